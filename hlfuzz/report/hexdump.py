"""Compares two byte strings as people read memory: rows of 16 bytes, with what differs marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

ROW: Final = 16
MAX_ROWS: Final = 64
"""Rows shown of one comparison: enough to see what leaked, and bounded whatever a guest sends."""
CONTEXT: Final = 1
"""Rows shown before and after each one that differs."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Bytes that stand together in a row: as hexadecimal and as text; `differs` from the other side."""

    hex: str
    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class DumpRow:
    """One row: its address, and both sides. `skipped` rows before it are equal and left out."""

    address: int
    left: tuple[Cell, ...]
    right: tuple[Cell, ...]
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Dump:
    """Rows that differ with their neighbours; `more`: others differ too, and are not shown."""

    rows: tuple[DumpRow, ...]
    more: bool


def compare(left: bytes, right: bytes, address: int = 0) -> Dump:
    """The rows in which two byte strings differ; they begin at `address`."""
    count = -(-max(len(left), len(right)) // ROW)
    shown = _shown(left, right, count)
    rows: list[DumpRow] = []
    previous = -1
    for at in shown[:MAX_ROWS]:
        a, b = left[at * ROW : at * ROW + ROW], right[at * ROW : at * ROW + ROW]
        rows.append(DumpRow(address + at * ROW, tuple(_cells(a, b)), tuple(_cells(b, a)), at - previous - 1))
        previous = at
    return Dump(tuple(rows), len(shown) > MAX_ROWS)


def _shown(left: bytes, right: bytes, count: int) -> list[int]:
    """The numbers of the rows that differ, and of those next to them."""
    wanted: set[int] = set()
    for at in range(count):
        here = slice(at * ROW, at * ROW + ROW)
        if left[here] != right[here]:
            wanted.update(range(max(at - CONTEXT, 0), min(at + CONTEXT + 1, count)))
            if len(wanted) > 2 * MAX_ROWS:
                break
    return sorted(wanted)


def _cells(data: bytes, other: bytes) -> Iterator[Cell]:
    def differs(at: int) -> bool:
        return at >= len(other) or data[at] != other[at]

    for different, group in groupby(range(len(data)), differs):
        part = bytes(data[at] for at in group)
        text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
        yield Cell(part.hex(" "), text, different)
