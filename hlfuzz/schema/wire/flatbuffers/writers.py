"""Writes what offsets lead to: strings, vectors, unions' values.

A writer takes the buffer, the value, the position of its end (a multiple of 4) and the depth of the table
that refers to it; it gives back where the thing starts and the buffer's new end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct, pack
from typing import Any, Final, TypeAlias, cast

from hlfuzz.schema.wire.flatbuffers.values import BOOLS, StructValues

Writer: TypeAlias = "Callable[[Buffer, Any, int, int], tuple[int, int]]"

U32: Final = Struct("<I").pack
ENDS: Final = tuple(bytes(4 - n) for n in range(4))
"""What follows a string, by its length modulo 4: the terminator, and zeros up to a multiple of 4."""
PADS: Final = tuple(bytes(n) for n in range(64))


class OutOfBounds(Exception):
    """A value that is too deep, too large, or contains itself."""


class Buffer:
    """A buffer in the making: its parts, the vtables in it by content, and how much more may come."""

    __slots__ = ("parts", "size", "tables", "vtables")

    def __init__(self, size: int, tables: int) -> None:
        self.parts: list[Any] = []
        self.vtables: dict[bytes, int] = {}
        self.size = size
        self.tables = tables

    def put(self, count: int, data: bytes, pos: int, align: int = 4) -> tuple[int, int]:
        """Append a vector of `count` elements that are `data`, aligned to `align` bytes."""
        gap = -(pos + 4) & (align - 1) if align > 4 else 0
        start = pos + gap
        end = start + 4 + len(data)
        tail = -end & 3
        if end > self.size:
            raise OutOfBounds(f"more than {self.size} bytes")
        self.parts += (PADS[gap], U32(count), data, PADS[tail])
        return start, end + tail


def write_string(buffer: Buffer, value: str, pos: int, depth: int) -> tuple[int, int]:
    """A string with its terminator."""
    data = value.encode()
    size = len(data)
    end = pos + ((size + 8) & ~3)
    if end > buffer.size:
        raise OutOfBounds(f"more than {buffer.size} bytes")
    buffer.parts += (U32(size), data, ENDS[size & 3])
    return pos, end


def bytes_writer(align: int, check: Callable[[bytes], None] | None = None) -> Writer:
    """Vectors of `u8`, perhaps nested buffers that must pass `check`."""

    def write(buffer: Buffer, value: Any, pos: int, depth: int) -> tuple[int, int]:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError
        data = bytes(cast("bytes", value))
        if check is not None:
            check(data)
        return buffer.put(len(data), data, pos, align)

    return write


def numbers_writer(letter: str, align: int, numbers: Mapping[Any, int] | None) -> Writer:
    """Vectors of numbers, of booleans and enum values through the mapping `numbers`."""
    mapping = BOOLS if letter == "?" else numbers

    def write(buffer: Buffer, value: Sequence[Any], pos: int, depth: int) -> tuple[int, int]:
        given = value if mapping is None else [mapping[x] for x in value]
        return buffer.put(len(given), pack(f"<{len(given)}{letter}", *given), pos, align)

    return write


def structs_writer(values: StructValues, align: int) -> Writer:
    """Vectors of structs."""

    def write(buffer: Buffer, value: Sequence[Any], pos: int, depth: int) -> tuple[int, int]:
        return buffer.put(len(value), b"".join(map(values.pack, value)), pos, align)

    return write


def struct_writer(values: StructValues, align: int) -> Writer:
    """A struct of its own, as a union's value."""

    def write(buffer: Buffer, value: Any, pos: int, depth: int) -> tuple[int, int]:
        gap = -pos & (align - 1)
        data = values.pack(value)
        end = pos + gap + len(data)
        tail = -end & 3
        buffer.parts += (PADS[gap], data, PADS[tail])
        return pos + gap, end + tail

    return write


def offsets_writer(element: Writer, align: int) -> Writer:
    """Vectors of strings or tables."""

    def write(buffer: Buffer, value: Sequence[Any], pos: int, depth: int) -> tuple[int, int]:
        count = len(value)
        start, end = buffer.put(count, bytes(4 * count), pos, align)
        slot = len(buffer.parts) - 2
        offsets: list[int] = []
        at = start + 4
        for item in value:
            target, end = element(buffer, item, end, depth)
            offsets.append(target - at)
            at += 4
        buffer.parts[slot] = pack(f"<{count}I", *offsets)
        return start, end

    return write


Variants: TypeAlias = Mapping[type[Any], tuple[int, Writer]]
"""The tags and writers of a union, by the class of the variant."""


def unions_writer(
    variants: Variants, align: int
) -> Callable[[Buffer, Sequence[Any], int, int], tuple[int, int, int]]:
    """Vectors of unions: the start of the tags, of the values, the end. None is NONE, with an offset of 0."""

    def one(buffer: Buffer, item: Any, end: int, depth: int) -> tuple[int, int]:
        return variants[type(item)][1](buffer, item.value, end, depth)

    def write(buffer: Buffer, value: Sequence[Any], pos: int, depth: int) -> tuple[int, int, int]:
        tags = bytes([0 if item is None else variants[type(item)][0] for item in value])
        first, pos = buffer.put(len(tags), tags, pos)
        count = len(value)
        start, end = buffer.put(count, bytes(4 * count), pos, align)
        slot = len(buffer.parts) - 2
        offsets: list[int] = []
        for index, item in enumerate(value):
            target = at = start + 4 + 4 * index
            if item is not None:
                target, end = one(buffer, item, end, depth)
            offsets.append(target - at)
        buffer.parts[slot] = pack(f"<{count}I", *offsets)
        return first, start, end

    return write
