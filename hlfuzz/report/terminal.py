"""Tables and summaries for people, drawn with rich. Text from a guest is escaped and made printable."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hlfuzz.fuzz import Replay, Replayed, Summary
from hlfuzz.guest import Guest, find_allocator
from hlfuzz.invariants import Fault, Interface, Invariant, Observation, Status, observation_text
from hlfuzz.invariants.observe import bytes_text, call_text, outcome_text
from hlfuzz.model import Call, CallRecord, FuncType, GlobalType, MemoryType
from hlfuzz.report.checked import Checked, CheckedRow, ShownFinding
from hlfuzz.report.text import visible
from hlfuzz.sandbox import WasiActivity

MAX_LISTED: Final = 200
"""Imports or exports shown at most; `--json` has all of them."""

_COLOURS: Final = {
    Status.HELD: "green",
    Status.VIOLATED: "bold red",
    Status.NOT_APPLICABLE: "dim",
    Status.INCONCLUSIVE: "yellow",
    Status.BROKEN: "bold yellow",
}


def printable(text: str) -> str:
    """`text` without control characters and safe for rich markup: names of a module are untrusted."""
    return escape(visible(text, limit=len(text)))


def _shown(text: str) -> str:
    """As `printable`, and cut where it is long: what a guest sent, or says, has no bound of its own."""
    return escape(visible(text))


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def check(console: Console, checked: Checked) -> None:
    """The verdict on each invariant, why it is not "held", and then each finding with its smallest case."""
    table = _table("invariant", "subject", "verdict", "runs", "seconds")
    for row in checked.rows:
        verdict = f"[{_COLOURS[row.status]}]{row.status}[/]"
        table.add_row(row.invariant, row.subject, verdict, str(row.runs), f"{row.seconds:.2f}")
    console.print(table)
    for row in checked.rows:
        if row.finding is None and row.detail:
            style = _COLOURS[row.status] if row.status is Status.BROKEN else "dim"
            _line(console, f"[{style}]{row.invariant}: {_shown(row.detail)}[/]")
    for row, finding in checked.findings:
        _finding(console, row, finding, checked.seed)


def _finding(console: Console, row: CheckedRow, finding: ShownFinding, seed: int) -> None:
    _line(console, f"\n[bold red]{row.invariant}[/]: {_shown(finding.title)}")
    _line(console, f"  accused: the {row.subject}; signature {finding.signature}; seed {seed}")
    _line(console, f"  smallest case ({finding.how}):")
    for at, call in enumerate(finding.calls, 1):
        _line(console, f"    {at}. {_shown(call)}")
    if finding.evidence:
        _line(console, "  what was seen:")
    for line in finding.evidence:
        _line(console, f"    {_shown(line)}")
    if finding.source is not None:
        _line(console, f"  source: {_shown(finding.source.file)}:{finding.source.line}")
    if finding.path is not None:
        _line(console, f"  again:  hlfuzz repro {printable(shlex.quote(str(finding.path)))}")
    if finding.test_path is not None:
        _line(console, f"  test:   pytest {printable(shlex.quote(str(finding.test_path)))}")


def invariants(console: Console, known: Iterable[Invariant]) -> None:
    """Every checker: whom it accuses and what it promises."""
    table = _table("invariant", "subject", "promise")
    for invariant in known:
        table.add_row(invariant.id, invariant.subject, printable(invariant.doc))
    console.print(table)


def _line(console: Console, text: str) -> None:
    """One line that is never broken, so that what it shows can be copied."""
    console.print(text, highlight=False, soft_wrap=True)


def _fault(console: Console, fault: Fault, path: str, text_of: Callable[[Call], str]) -> None:
    name = fault.invariant or fault.kind
    _line(console, f"\n[bold red]{name}[/] ({fault.subject}): {_shown(fault.title)}")
    for call in fault.case.calls:
        _line(console, f"  call  {_shown(text_of(call))}")
    for line in fault.evidence:
        _line(console, f"  saw   {_shown(line)}")
    if path:
        _line(console, f"  again hlfuzz repro {printable(path)}")


def fuzz(console: Console, summary: Summary, text_of: Callable[[Call], str] = call_text) -> None:
    """What a campaign did and found. `text_of` writes a call, as `Target.call_text` with its typed values."""
    progress = summary.progress
    stopped = "stopped after" if summary.interrupted else "ran for"
    _line(
        console,
        f"{stopped} {progress.seconds:.1f} s on {summary.engine}: {progress.executions:,} executions "
        f"({progress.exec_per_s:,.0f}/s), {progress.cases:,} cases, corpus {progress.corpus:,}, "
        f"seed {summary.seed}",
    )
    if progress.unconfirmed:
        console.print(
            f"{progress.unconfirmed} suspicions did not show again and were dropped", style="yellow"
        )
    if not summary.findings:
        console.print("[green]no findings[/]")
        return
    count = len(summary.findings)
    console.print(f"[bold red]{count} finding{'s' * (count > 1)}[/]")
    for finding in summary.findings:
        _fault(console, finding.fault, str(finding.path), text_of)


def repro(console: Console, finding: Replay, replayed: Replayed) -> None:
    """A finding's calls, what each showed, and whether the defect is still there."""
    _line(console, f"[bold]{_shown(finding.signature)}[/] ({finding.subject}): {_shown(finding.title)}")
    for title, steps in replayed.runs:
        console.print(f"\n{title}")
        for step in steps:
            _line(console, f"  {_shown(finding.target.call_text(step.call))}")
            _line(console, f"    {_shown(observation_text(step.observation))}")
    if replayed.fault is None:
        console.print("\n[green]not reproduced[/]: this guest on this engine does not show it")
        return
    _line(console, f"\n[bold red]reproduced[/]: {_shown(replayed.fault.title)}")
    for line in replayed.fault.evidence:
        _line(console, f"  {_shown(line)}")


def inspect(console: Console, guest: Guest, interface: Interface) -> None:
    """A module's imports, exports and facts."""
    info = guest.info
    _line(
        console,
        f"[bold]{printable(guest.name)}[/]  {info.size:,} bytes  SHA-256 {guest.digest}",
    )
    allocator = find_allocator(info)
    facts = [
        ("functions", f"{info.functions:,} in {info.code_bytes:,} bytes of code"),
        ("memory", ", ".join(_memory(m.type) for m in info.memories) or "none"),
        ("start function", "yes" if info.start else "no"),
        ("features", ", ".join(info.features) or "MVP only"),
        ("allocator", allocator.export.name if allocator else "none found"),
        ("host functions needed", ", ".join(i.key for i in info.functions_imported) or "none"),
        ("byte-vector methods", ", ".join(m.name for m in interface.vectors) or "none"),
        ("custom sections", ", ".join(f"{c.name} ({c.size} bytes)" for c in info.custom_sections) or "none"),
        ("made with", _producers(info.producers) or "unknown"),
    ]
    table = _table("", "")
    for name, value in facts:
        table.add_row(name, printable(value))
    console.print(table)
    for title, items in (
        ("imports", [(i.key, i.kind, i.type) for i in info.imports]),
        ("exports", [(e.name, e.kind, e.type) for e in info.exports]),
    ):
        if items:
            listing = _table(title, "kind", "type")
            for name, kind, type_ in items[:MAX_LISTED]:
                listing.add_row(printable(name), kind, printable(_type(type_)))
            console.print()
            console.print(listing)
            if len(items) > MAX_LISTED:
                console.print(f"… and {len(items) - MAX_LISTED:,} more (--json shows all)")


def _producers(fields: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(
        f"{name} {version}".strip() for entries in fields.values() for name, version in entries.items()
    )


def _memory(type_: MemoryType) -> str:
    most = f" to {type_.max_pages}" if type_.max_pages is not None else " or more"
    more = f"{', 64-bit' if type_.memory64 else ''}{', shared' if type_.shared else ''}"
    return f"{type_.min_pages}{most} pages of 64 KiB{more}"


def _type(type_: object) -> str:
    if isinstance(type_, FuncType):
        return str(type_)
    if isinstance(type_, MemoryType):
        return _memory(type_)
    if isinstance(type_, GlobalType):
        return f"{'mutable ' if type_.mutable else ''}{type_.value}"
    return str(getattr(type_, "element", ""))


def run(console: Console, observation: Observation) -> None:
    """The result of one call, and the host calls that stand-ins saw."""
    for call in observation.host_calls:
        shown = bytes_text(call.data, 512) if call.data is not None else ", ".join(map(repr, call.args))
        note = f" [{call.problem}]" if call.problem else ""
        _line(console, f"host  {printable(f'{call.function}({shown}){note}')}")
    _line(console, _shown(outcome_text(observation.outcome)))


def wasi(console: Console, activity: WasiActivity) -> None:
    """What a WASI guest wrote, line by line, and what it was refused."""
    for name, data in (("out", activity.stdout), ("err", activity.stderr)):
        for line in data.decode("utf-8", "backslashreplace").splitlines():
            _line(console, f"{name}  {_shown(line)}")
    for function, count in sorted(activity.refused.items()):
        _line(console, f"refused  {function} ({count} times)" if count > 1 else f"refused  {function}")


def trace(console: Console, record: CallRecord) -> None:
    """One call with its host calls, time and pages."""
    pages = "" if record.pages_written is None else f", {record.pages_written} pages written"
    _line(console, f"call  {_shown(call_text(record.call))}")
    for call in record.host_calls:
        result = ", ".join(map(repr, call.result)) or "nothing"
        args = ", ".join(map(repr, call.args))
        _line(console, f"  host  {printable(f'{call.function}({args}) -> {result}')}")
    time = f"{record.seconds * 1e6:.1f} µs{pages}"
    _line(console, f"  {_shown(outcome_text(record.outcome))}  [dim]({time})[/]")
