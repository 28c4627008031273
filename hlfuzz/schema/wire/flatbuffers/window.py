"""Untrusted bytes under verification: the window looked at, the budgets, and the fault that ends it."""

from __future__ import annotations

from struct import Struct
from typing import Final, NoReturn

from hlfuzz.schema.wire.base import Limits, Rule, WireFault
from hlfuzz.schema.wire.flatbuffers.program import BYTES_PER_BYTE, FREE_BYTES, TABLES_PER_BYTE

U32: Final = Struct("<I").unpack_from
I32: Final = Struct("<i").unpack_from


class Fault(Exception):
    """The rule broken first. `path` gathers names on the way out, innermost first; "[i]" is an element."""

    def __init__(self, rule: Rule, offset: int, message: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.offset = offset
        self.message = message
        self.path: list[str] = []

    def wire_fault(self) -> WireFault:
        """The fault as data."""
        path = "".join(part if part[0] == "[" else f".{part}" for part in reversed(self.path))
        return WireFault(self.rule, path.removeprefix("."), self.offset, self.message)


def fail(rule: Rule, offset: int, message: str) -> NoReturn:
    """End the verification."""
    raise Fault(rule, offset, message)


class Window:
    """The bytes, the part that the current root may use (`base` to `end`), and what is left to spend."""

    __slots__ = ("base", "bytes", "data", "depth", "end", "tables")

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.data = data
        self.base = 0
        self.end = len(data)
        self.depth = limits.depth
        self.tables = min(limits.tables, TABLES_PER_BYTE * len(data))
        self.bytes = BYTES_PER_BYTE * len(data) + FREE_BYTES

    def spend(self, count: int, at: int) -> None:
        """Count bytes that a reader will read."""
        self.bytes -= count
        if self.bytes < 0:
            fail(Rule.TABLES, at, "shared parts would read out to far more bytes than were sent")

    def offset(self, at: int) -> int:
        """Where the offset at `at` leads."""
        offset: int = U32(self.data, at)[0]
        if offset == 0:
            fail(Rule.BOUNDS, at, "an offset of 0")
        if offset >= 0x8000_0000 or at + offset >= self.end:
            fail(Rule.BOUNDS, at, f"an offset of {offset} leads outside the buffer")
        return at + offset

    def vector(self, at: int, size: int, align: int) -> int:
        """The number of elements of a vector, which is inside the window."""
        if (at - self.base) & 3:
            fail(Rule.ALIGNMENT, at, "a vector or string is not aligned to 4 bytes")
        if at + 4 > self.end:
            fail(Rule.BOUNDS, at, "the length of a vector or string is outside the buffer")
        count: int = U32(self.data, at)[0]
        length = 4 + count * size
        if at + length > self.end:
            fail(Rule.BOUNDS, at, f"{count} elements of {size} bytes end outside the buffer")
        if count and (at + 4 - self.base) % align:
            fail(Rule.ALIGNMENT, at + 4, f"elements are not aligned to {align} bytes")
        self.spend(length, at)
        return count
