"""The FlatBuffers compiler as oracle: flatc 25.12.19 of PyPI's zlmdb, and the binary schemas it writes."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from flatbuffers import encode, number_types
from flatbuffers.table import Table

VERSION = "25.12.19"


@cache
def flatc() -> str:
    """The program. Without it tests are skipped, in CI they fail."""
    spec = importlib.util.find_spec("zlmdb")
    folders = spec.submodule_search_locations if spec is not None else None
    program = Path(folders[0], "_flatc", "bin", "flatc") if folders else None
    if program is None or not program.is_file():
        message = "no flatc here: install the package zlmdb"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    version = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    assert VERSION in version
    return str(program)


def run(*arguments: str | Path) -> tuple[bool, str]:
    """Whether flatc is content, and what it says."""
    done = subprocess.run([flatc(), *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return done.returncode == 0, (done.stdout + done.stderr).strip()


def compile_schemas(files: Sequence[Path], out: Path, include: Sequence[Path] = ()) -> tuple[bool, str]:
    """Binary schemas of files, with comments and all attributes, as `out`/<stem>.bfbs."""
    folders = [part for folder in include for part in ("-I", folder)]
    options = ("--schema", "--binary", "--bfbs-comments", "--bfbs-builtins", "--no-warnings")
    return run(*options, *folders, "-o", out, *files)


@dataclass(frozen=True)
class Row:
    """A table of the binary schema; fields by their number in flatc's reflection.fbs."""

    table: Table

    def _at(self, field: int) -> int:
        return self.table.Offset(4 + 2 * field)

    def number(self, field: int, flags: Any, default: Any = 0) -> Any:
        return self.table.GetSlot(4 + 2 * field, default, flags)

    def text(self, field: int) -> str:
        offset = self._at(field)
        return self.table.String(offset + self.table.Pos).decode() if offset else ""

    def row(self, field: int) -> Row | None:
        offset = self._at(field)
        return Row(Table(self.table.Bytes, self.table.Indirect(offset + self.table.Pos))) if offset else None

    def rows(self, field: int) -> Iterator[Row]:
        for position in self._elements(field):
            yield Row(Table(self.table.Bytes, self.table.Indirect(position)))

    def texts(self, field: int) -> tuple[str, ...]:
        return tuple(self.table.String(position).decode() for position in self._elements(field))

    def _elements(self, field: int) -> Iterator[int]:
        offset = self._at(field)
        if offset:
            start = self.table.Vector(offset)
            yield from (start + 4 * i for i in range(self.table.VectorLen(offset)))


def read_binary_schema(data: bytes) -> Row:
    """The root of a .bfbs file."""
    assert data[4:8] == b"BFBS"
    return Row(Table(data, encode.Get(number_types.UOffsetTFlags.packer_type, data, 0)))
