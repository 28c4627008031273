"""Reads a schema file and all that it includes, each once, in the order in which their types are defined."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Protocol

from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.fbs.limits import MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES
from hlfuzz.schema.fbs.parser import parse_file
from hlfuzz.schema.fbs.problems import Problem, Reading, shown, similar
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.syntax import FileNode, Name
from hlfuzz.schema.ir import Position


class Unreadable(Exception):
    """A file cannot be read as a schema; `line` and `column` are 0 when no place in it is to blame."""

    def __init__(self, message: str, suggestion: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.line = line
        self.column = column


class Files(Protocol):
    """Where schema files come from."""

    def find(self, path: str, includer: str) -> str | None:
        """The name of the file that `includer` means by `path`; None when there is none."""
        ...

    def read(self, name: str) -> bytes:
        """Raises `Unreadable`."""
        ...

    def known(self) -> Sequence[str]:
        """Names for suggestions."""
        ...


@dataclass(frozen=True)
class DiskFiles:
    """Regular files; searched beside the including file, in the include folders, beside the main file."""

    folders: tuple[Path, ...]

    def find(self, path: str, includer: str) -> str | None:
        """See `Files`."""
        for folder in (Path(includer).parent, *self.folders):
            candidate = folder / path
            try:
                if candidate.exists():
                    return str(candidate)
            except (OSError, ValueError):
                # A name too long, a link that leads to itself, a zero byte.
                continue
        return None

    def read(self, name: str) -> bytes:
        """See `Files`."""
        try:
            # Opening a pipe must not wait for its writer.
            handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Unreadable(f"cannot open it: {reason}", "check the path and its permissions") from None
        try:
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
                raise Unreadable(f"it is {what}", "give a .fbs file")
            with os.fdopen(handle, "rb", closefd=False) as stream:
                return stream.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise Unreadable(f"cannot read it: {error.strerror}") from None
        finally:
            os.close(handle)

    def known(self) -> Sequence[str]:
        """See `Files`."""
        return ()


@dataclass(frozen=True)
class MemoryFiles:
    """Files given as texts by name."""

    texts: Mapping[str, str]

    def find(self, path: str, includer: str) -> str | None:
        """See `Files`."""
        beside = os.path.normpath(PurePosixPath(includer).parent / path)
        return next((name for name in (beside, path) if name in self.texts), None)

    def read(self, name: str) -> bytes:
        """See `Files`."""
        try:
            return self.texts[name].encode()
        except UnicodeEncodeError as error:
            raise Unreadable(f"its text has half of a surrogate pair at character {error.start}") from None

    def known(self) -> Sequence[str]:
        """See `Files`."""
        return tuple(self.texts)


def read_all(main: str, files: Files, reading: Reading) -> list[FileNode]:
    """The main file and all that it includes, in order of definition: what a file includes comes before it,
    as flatc has it; the main file is the last.

    Syntax errors go to `reading`. Raises `SchemaError` when the main file cannot be read, `Abandoned` at a
    limit.
    """
    loader = _Loader(files, reading)
    try:
        first = loader.load(main)
    except Unreadable as error:
        position = Position(main, error.line, error.column) if error.line else None
        message = f"{main} is no schema that can be read: {error}" if position is None else str(error)
        raise SchemaError([Diagnostic(message, position, error.suggestion)]) from None
    assert first is not None
    stack = [(first, iter(first.includes))]
    ordered: list[FileNode] = []
    while stack:
        node, includes = stack[-1]
        include = next(includes, None)
        if include is None:
            ordered.append(node)
            stack.pop()
            continue
        try:
            found = loader.include(node.source, include)
        except Problem as problem:
            reading.report(node.source, problem)
            continue
        if found is not None:
            stack.append((found, iter(found.includes)))
    return ordered


class _Loader:
    def __init__(self, files: Files, reading: Reading) -> None:
        self._files = files
        self._reading = reading
        self._seen: set[tuple[str, bytes]] = set()
        self._names: dict[str, None] = {}
        self._total = 0

    def load(self, name: str) -> FileNode | None:
        """Read and parse a file; None when it was before. Raises `Unreadable`."""
        if name in self._names:
            return None
        data = self._files.read(name)
        text = _decode(data)
        self._names[name] = None
        # flatc takes files of one name and content for one file, wherever they are.
        key = (PurePosixPath(name).name, sha256(data).digest())
        if key in self._seen:
            return None
        self._seen.add(key)
        self._total += len(data)
        if len(self._seen) > MAX_FILES or self._total > MAX_TOTAL_BYTES:
            raise Unreadable(
                f"with it, the schema has more than {MAX_FILES:,} files or {MAX_TOTAL_BYTES >> 20} MiB",
                "include less",
            )
        return parse_file(Source(name, text), self._reading)

    def include(self, source: Source, include: Name) -> FileNode | None:
        """The file that an `include` names; None when it was read before. Raises `Problem`."""
        path = include.text.replace("\\", "/")
        if PurePosixPath(path).is_absolute():
            raise Problem(
                "the path of an include must be relative",
                include.offset,
                "give its folder as an include folder",
            )
        name = self._files.find(path, source.name)
        if name is None:
            suggestion = similar(path, self._files.known(), "add its folder to the include folders")
            raise Problem(f"cannot find the included file {shown(path)}", include.offset, suggestion)
        try:
            return self.load(name)
        except Unreadable as error:
            where = f" (line {error.line}, column {error.column})" if error.line else ""
            raise Problem(
                f"cannot use the included file {shown(name)}: {error}{where}",
                include.offset,
                error.suggestion,
            ) from None


def _decode(data: bytes) -> str:
    if len(data) > MAX_FILE_BYTES:
        raise Unreadable(
            f"it is larger than {MAX_FILE_BYTES >> 20} MiB", "split it, or check that it is a schema"
        )
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("it is UTF-16 text", "save it as UTF-8", 1, 1)
    data = data.removeprefix(b"\xef\xbb\xbf")
    for bad, what in ((data.find(b"\0"), "a zero byte"), (_invalid(data), "a byte that is no UTF-8")):
        if bad >= 0:
            line = data.count(b"\n", 0, bad) + 1
            start = data.rfind(b"\n", 0, bad) + 1
            column = len(data[start:bad].decode(errors="replace")) + 1
            raise Unreadable(f"{what} (0x{data[bad]:02x})", "give a text file in UTF-8", line, column)
    return data.decode()


def _invalid(data: bytes) -> int:
    """Offset of the first byte that is no UTF-8, or -1."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return error.start
    return -1
