"""Gathers a .proto file and all that it imports, safely: regular files only, bounded, UTF-8.

protoc then sees copies in a private folder, so that no import of a hostile schema makes it open a pipe, a
device, or a file that changes while it is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Final

from hlfuzz.errors import EnvironmentProblem
from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import Position

MAX_FILE: Final = 16 << 20
"""Longest schema file, in bytes."""
MAX_TOTAL: Final = 64 << 20
"""Most bytes of a schema file and all that it imports."""
MAX_FILES: Final = 2_000
"""Most files of one schema."""
_MAX_NAME: Final = 1_024
_MAX_LINE: Final = 10_000
"""Longest line, in bytes, that is shown and has its columns counted in characters."""
_UNNAMED: Final = "schema.proto"
_TAB: Final = 8
"""Columns that protoc counts up to at a tab (protobuf `io/tokenizer.cc`, kTabWidth)."""

_STRING: Final = r"""(?:"(?:\\.|[^"\\\n])*+"?|'(?:\\.|[^'\\\n])*+'?)"""
_COMMENT: Final = r"(?://[^\n]*|/\*.*?(?:\*/|\Z))"
_GAP: Final = rf"(?:\s|{_COMMENT})*+"
# Comments and strings first, so that an import inside one is none. An open one ends with the file, not with
# a second try: linear time.
_IMPORTS: Final = re.compile(
    rf"{_COMMENT}|{_STRING}|\bimport\b{_GAP}(?:(?:public|weak|option)\b{_GAP})?(?P<name>(?:{_STRING}{_GAP})++)",
    re.DOTALL,
)
_PIECE: Final = re.compile(rf"{_COMMENT}|(?P<string>{_STRING})", re.DOTALL)


@dataclass(frozen=True)
class Source:
    """One schema file: the name by which others import it, what messages call it, its text."""

    name: str
    shown: str
    data: bytes

    @cached_property
    def lines(self) -> list[bytes]:
        """Its lines, without line ends."""
        return self.data.split(b"\n")

    def line(self, number: int) -> str:
        """Line `number`, from 1; "" when there is no such line, or none that anyone could look at."""
        if not 1 <= number <= len(self.lines) or len(self.lines[number - 1]) > _MAX_LINE:
            return ""
        return self.lines[number - 1].decode(errors="replace")

    def position(self, line: int, column: int) -> Position:
        """The place that protoc calls `line`:`column`: from 1, in bytes, a tab going to the next stop."""
        text = self.lines[line - 1] if 1 <= line <= len(self.lines) else b""
        if len(text) <= _MAX_LINE:
            reached, index = 1, 0
            for part in text.split(b"\t"):
                if reached + len(part) >= column:
                    index += max(0, column - reached)
                    break
                reached += len(part) + _TAB - (reached - 1 + len(part)) % _TAB
                index += len(part) + 1
            column = len(text[:index].decode(errors="ignore")) + 1 if text else column
        return Position(self.shown, max(1, line), max(1, column))


@dataclass
class Sources:
    """The files of one schema by import name, the main one's name, and why some imports cannot be had."""

    main: str
    files: dict[str, Source] = field(default_factory=dict[str, Source])
    problems: dict[str, str] = field(default_factory=dict[str, str])


def from_path(path: Path, include: Sequence[Path]) -> Sources:
    """The file at `path` and its imports, looked for in `include`, then beside it, then among protoc's own.

    Inside a folder of `include` its import name is the path from there, else its file name. Raises
    `SchemaError` when the main file cannot be used; imports that cannot are noted in `problems`.
    """
    name = path.name
    for folder in include:
        try:
            name = path.resolve().relative_to(folder.resolve()).as_posix()
        except (ValueError, OSError):
            continue
        break
    try:
        main = Source(_importable(name), str(path), _read(path))
    except (OSError, ValueError) as error:
        raise SchemaError([_unusable(str(path), error)]) from error
    return _closure(main, [*include, path.parent, well_known()], {})


def from_text(text: str, name: str, files: Mapping[str, str]) -> Sources:
    """A schema in memory; `files` are texts by import name. Raises `SchemaError` for an unusable `text`."""
    try:
        main = Source(_importable(name), name, _checked(text.encode()))
    except ValueError as error:
        raise SchemaError([_unusable(name, error)]) from error
    return _closure(main, [well_known()], files)


def well_known() -> Path:
    """The folder of Protobuf's own schemas, `google/protobuf/*.proto`, in grpcio-tools."""
    spec = find_spec("grpc_tools")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentProblem(
            "no protoc (package grpcio-tools): install it with `pip install grpcio-tools`", reason="io"
        )
    return Path(spec.submodule_search_locations[0]) / "_proto"


def _closure(main: Source, roots: Sequence[Path], texts: Mapping[str, str]) -> Sources:
    sources = Sources(main.name, {main.name: main})
    waiting, total = [main], len(main.data)
    while waiting:
        for name in imports(waiting.pop().data):
            if name in sources.files or name in sources.problems:
                continue
            try:
                found = _find(name, roots, texts)
                total += len(found.data)
                if total > MAX_TOTAL or len(sources.files) >= MAX_FILES:
                    raise ValueError(
                        f"the schema is too large: at most {MAX_FILES} files of {MAX_TOTAL} bytes in all"
                    )
            except (OSError, ValueError) as error:
                sources.problems[name] = _reason(error)
                continue
            sources.files[name] = found
            waiting.append(found)
    return sources


def imports(data: bytes) -> list[str]:
    """Names that a schema file imports, as far as one can tell without a parser; protoc has the last word."""
    names: list[str] = []
    for match in _IMPORTS.finditer(data.decode(errors="replace")):
        if match["name"] is not None:
            pieces = [p["string"] for p in _PIECE.finditer(match["name"]) if p["string"]]
            names.append("".join(p[1:-1] for p in pieces))
    return names


def _importable(name: str) -> str:
    """The name of the main file among the copies; one that no import could have is replaced."""
    return name if _is_import_name(name) else _UNNAMED


def _is_import_name(name: str) -> bool:
    plain = PurePosixPath(name)
    return (
        0 < len(name) <= _MAX_NAME
        and not plain.is_absolute()
        and plain.as_posix() == name
        and all(part not in ("..", ".") and "\\" not in part and part.isprintable() for part in plain.parts)
    )


def _find(name: str, roots: Sequence[Path], texts: Mapping[str, str]) -> Source:
    if not _is_import_name(name):
        raise ValueError("an import is a relative path without '.', '..' and backslashes")
    if name in texts:
        return Source(name, name, _checked(texts[name].encode()))
    for root in roots:
        path = root / name
        if path.exists():
            own = root == roots[-1]
            return Source(name, name if own else str(path), _read(path))
    raise FileNotFoundError(_where(name, roots))


def _where(name: str, roots: Sequence[Path]) -> str:
    """Why a file is not found, and the --include that would find it when it lies above the main file."""
    for folder in (parent for root in roots[:-1] for parent in root.absolute().parents):
        if (folder / name).is_file():
            return f"not found; it is there with --include {folder}"
    return "not found; give the folder that it is relative to with --include"


def _read(path: Path) -> bytes:
    # Without O_NONBLOCK the open itself would wait for the writer of a pipe.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise ValueError("not a regular file")
        return _checked(file.read(MAX_FILE + 1))


def _checked(data: bytes) -> bytes:
    if len(data) > MAX_FILE:
        raise ValueError(f"longer than {MAX_FILE} bytes")
    data.decode()
    return data


def _unusable(shown: str, error: Exception) -> Diagnostic:
    if isinstance(error, UnicodeDecodeError):
        before = error.object[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode(errors="replace")) + 1
        return Diagnostic(
            _reason(error),
            Position(shown, line, column),
            "save the file as UTF-8; is it a .proto file at all?",
        )
    return Diagnostic(
        f"cannot read the schema ({shown}): {_reason(error)}", suggestion="name a readable .proto file"
    )


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte 0x{error.object[error.start]:02x} at offset {error.start}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error)
