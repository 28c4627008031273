"""What `hlfuzz generate` and `hlfuzz conform` print, for people and as JSON documents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from hlfuzz.generate import FileState, State
from hlfuzz.report.terminal import printable
from hlfuzz.schema.conform import Breakage

GENERATE: Final = "hlfuzz.generate/1"
CONFORM: Final = "hlfuzz.conform/1"

_COLOURS: Final = {"+": "green", "-": "red", "@": "cyan"}
_ADVICE: Final = {
    State.STALE: "differs from what its schema says: run hlfuzz generate without --check",
    State.MISSING: "is not there: run hlfuzz generate without --check",
    State.LEFT_OVER: "belongs to no schema given any more: delete it, or name its schema too",
}


def generate_document(
    files: Sequence[str], written: Sequence[str], left_over: Sequence[str]
) -> dict[str, Any]:
    """What a run wrote."""
    states = {name: "written" if name in written else State.CURRENT.value for name in files}
    states |= dict.fromkeys(left_over, State.LEFT_OVER.value)
    return {
        "schema": GENERATE,
        "files": [{"name": name, "state": states[name], "diff": ""} for name in sorted(states)],
        "breakages": [],
    }


def check_document(states: Sequence[FileState], found: Sequence[Breakage]) -> dict[str, Any]:
    """What `--check` saw."""
    return {
        "schema": GENERATE,
        "files": [{"name": s.name, "state": s.state.value, "diff": s.diff} for s in states],
        "breakages": [_breakage(b) for b in found],
    }


def conform_document(found: Sequence[Breakage]) -> dict[str, Any]:
    """What a change of a schema breaks."""
    return {"schema": CONFORM, "breakages": [_breakage(b) for b in found]}


def generated(
    console: Console, folder: Path, files: Sequence[str], written: Sequence[str], left_over: Sequence[str]
) -> None:
    """The files of a run."""
    for name in files:
        state = "written" if name in written else "[dim]as it was[/]"
        console.print(f"{printable(str(folder / name))}: {state}", soft_wrap=True)
    _left_over(console, left_over)


def checked(console: Console, stale: Sequence[FileState], found: Sequence[Breakage]) -> None:
    """Each stale file with its difference, then what the change of the schema breaks."""
    for state in stale:
        for line in state.diff.splitlines():
            colour = _COLOURS.get(line[:1], "default")
            console.print(f"[{colour}]{_text(line)}[/]", soft_wrap=True)
    for state in stale:
        console.print(
            f"[bold red]{state.state}[/]: {printable(state.name)} {_ADVICE[state.state]}", soft_wrap=True
        )
    if found:
        conformed(console, found)
    elif not stale:
        console.print("[green]current[/]: the code is what its schemas say")


def conformed(console: Console, found: Sequence[Breakage]) -> None:
    """Each thing that a change breaks."""
    for breakage in found:
        console.print(f"[bold red]breaks[/]: {printable(str(breakage))}", soft_wrap=True)
    if not found:
        console.print("[green]conforms[/]: peers built on the old and the new schema can talk")


def _left_over(console: Console, names: Sequence[str]) -> None:
    for name in names:
        console.print(f"[yellow]left over[/]: {printable(name)} {_ADVICE[State.LEFT_OVER]}", soft_wrap=True)


def _text(line: str) -> str:
    return printable(line.replace("\t", "    "))


def _breakage(breakage: Breakage) -> dict[str, Any]:
    place = breakage.position
    return {
        "rule": breakage.rule,
        "path": breakage.path,
        "message": breakage.message,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
    }
