"""Generated files on disk: all written or none, and how what is there differs from what would be written."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from hlfuzz.errors import EnvironmentProblem, UsageError
from hlfuzz.files import temporary_beside, write_synced
from hlfuzz.generate.plan import language_of

_MAX_DIFF_BYTES: Final = 8 << 20
"""Files above this are compared, but their difference is not shown."""
_FIRST_LINE: Final = 1024


class State(StrEnum):
    """How a file on disk stands to what would be written."""

    CURRENT = "current"
    STALE = "stale"
    MISSING = "missing"
    LEFT_OVER = "left-over"
    """Written by an earlier run for one of these languages, and by this one no more."""


@dataclass(frozen=True, slots=True)
class FileState:
    """One file, by name. `diff` is a unified diff from what is there to what would be written."""

    name: str
    state: State
    diff: str = ""


def compare(folder: Path, files: Mapping[str, str], languages: Collection[str]) -> list[FileState]:
    """Every file of a run and every left-over in the folder, sorted by name.

    Raises: EnvironmentProblem when something there cannot be read.
    """
    states = [_compare(folder / name, name, text) for name, text in files.items()]
    states += [FileState(name, State.LEFT_OVER) for name in _left_over(folder, files, languages)]
    return sorted(states, key=lambda s: s.name)


def write(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Write all files; a crash or an error leaves none of them half written, and mostly none at all.

    First every file is written beside its place and brought to disk, then they are renamed. Files that are as
    they should be are not touched. Returns the names of those written.

    Raises: UsageError when a file of that name was not generated; EnvironmentProblem when the disk or the
    permissions do not allow it.
    """
    changed = {
        name: text
        for name, text in files.items()
        if _compare(folder / name, name, text).state != State.CURRENT
    }
    for name in changed:
        _refuse_foreign(folder / name)
    temporary: dict[str, Path] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in changed.items():
            temporary[name] = temporary_beside(folder / name)
            write_synced(temporary[name], text.encode())
        for name, path in list(temporary.items()):
            path.replace(folder / name)
            del temporary[name]
        _sync_folder(folder)
    except OSError as error:
        raise _cannot("write", Path(error.filename or folder), error) from error
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
    return sorted(changed)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _refuse_foreign(path: Path) -> None:
    if path.is_dir():
        raise UsageError(f"a folder has the name of a generated file ({path}): choose another --out")
    if path.exists() and _language(path) is None:
        raise UsageError(
            f"this file was not written by hlfuzz ({path}): move it away, or choose another folder with --out"
        )


def _compare(path: Path, name: str, text: str) -> FileState:
    expected = text.encode()
    try:
        size = path.stat().st_size
        found = path.read_bytes() if size <= _MAX_DIFF_BYTES or size == len(expected) else None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return FileState(name, State.MISSING, "".join(_diff([], text, "/dev/null", name)))
    except OSError as error:
        raise _cannot("read", path, error) from error
    if found == expected:
        return FileState(name, State.CURRENT)
    if found is None or len(found) > _MAX_DIFF_BYTES or len(expected) > _MAX_DIFF_BYTES:
        return FileState(name, State.STALE, f"{name}: too large to show what differs\n")
    before = found.decode(errors="replace").splitlines(keepends=True)
    return FileState(name, State.STALE, "".join(_diff(before, text, name, name)))


def _diff(before: list[str], text: str, old: str, new: str) -> Iterator[str]:
    for line in difflib.unified_diff(before, text.splitlines(keepends=True), old, new):
        yield line if line.endswith("\n") else f"{line}\n"


def _left_over(folder: Path, files: Mapping[str, str], languages: Collection[str]) -> Iterator[str]:
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise _cannot("read", folder, error) from error
    for path in entries:
        if path.name not in files and path.is_file() and _language(path) in languages:
            yield path.name


def _language(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            line = file.readline(_FIRST_LINE)
    except OSError as error:
        raise _cannot("read", path, error) from error
    return language_of(line.decode(errors="replace"))


def _cannot(what: str, path: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"cannot {what} ({path}): {error.strerror or error}; choose another folder with --out", reason="io"
    )
