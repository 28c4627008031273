"""FlatBuffers schemas: the language of flatc 25.12, read into the IR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Final

from hlfuzz.schema.fbs.emit import emit
from hlfuzz.schema.fbs.files import DiskFiles, Files, MemoryFiles, read_all
from hlfuzz.schema.fbs.problems import Abandoned, Reading
from hlfuzz.schema.fbs.resolver import resolve
from hlfuzz.schema.ir import Schema

__all__ = ["parse", "parse_text"]

_NO_FILES: Final[Mapping[str, str]] = MappingProxyType({})


def parse(path: Path, *, include: Sequence[Path] = ()) -> Schema:
    """The schema in a file and in all that it includes.

    An included file is looked for beside the file that includes it, then in the folders `include`, then
    beside `path`. Raises `SchemaError` with all that is wrong, for input of any kind.
    """
    return _parse(str(path), DiskFiles((*include, path.parent)))


def parse_text(text: str, *, name: str = "schema", files: Mapping[str, str] = _NO_FILES) -> Schema:
    """The schema in `text`, which may include the texts `files` by name. Raises `SchemaError`."""
    main = f"{name}.fbs"
    return _parse(main, MemoryFiles({**files, main: text}))


def _parse(main: str, files: Files) -> Schema:
    reading = Reading()
    try:
        nodes = read_all(main, files, reading)
        resolved = resolve(nodes, reading)
    except Abandoned:
        reading.errors.finish()
        raise
    reading.errors.finish()
    names = [node.source.name for node in nodes]
    return emit(PurePath(main).stem, (names[-1], *names[:-1]), resolved)
