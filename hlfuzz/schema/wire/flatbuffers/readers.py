"""Reads what offsets lead to, in verified bytes: strings, vectors, unions' values.

A reader takes the bytes and the position of the thing, and gives its value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from struct import Struct, unpack_from
from typing import Any, Final, TypeAlias

from hlfuzz.schema.wire.flatbuffers.values import StructValues

Reader: TypeAlias = Callable[[bytes, int], Any]
Variants: TypeAlias = Mapping[int, tuple[type[Any], Reader]]
"""The classes and readers of a union's variants by tag."""

U16: Final = Struct("<H").unpack_from
U32: Final = Struct("<I").unpack_from
I32: Final = Struct("<i").unpack_from


def read_string(data: bytes, at: int) -> str:
    """A string."""
    return data[at + 4 : at + 4 + U32(data, at)[0]].decode()


def read_bytes(data: bytes, at: int) -> bytes:
    """A vector of `u8`."""
    return data[at + 4 : at + 4 + U32(data, at)[0]]


def numbers_reader(letter: str, members: Mapping[Any, Any] | None) -> Reader:
    """Vectors of numbers, or of an enum's values."""

    def read(data: bytes, at: int) -> list[Any]:
        numbers = unpack_from(f"<{U32(data, at)[0]}{letter}", data, at + 4)
        return list(numbers) if members is None else [members[n] for n in numbers]

    return read


def structs_reader(values: StructValues) -> Reader:
    """Vectors of structs."""
    size = values.layout.size

    def read(data: bytes, at: int) -> list[Any]:
        start = at + 4
        part = data[start : start + size * U32(data, at)[0]]
        return [values.make(t) for t in values.layout.iter_unpack(part)]

    return read


def struct_reader(values: StructValues) -> Reader:
    """A struct of its own, as a union's value."""

    def read(data: bytes, at: int) -> Any:
        return values.make(values.layout.unpack_from(data, at))

    return read


def offsets_reader(element: Reader) -> Reader:
    """Vectors of strings or tables."""

    def read(data: bytes, at: int) -> list[Any]:
        start = at + 4
        offsets = unpack_from(f"<{U32(data, at)[0]}I", data, start)
        return [element(data, start + 4 * i + offset) for i, offset in enumerate(offsets)]

    return read


def read_unions(variants: Variants, data: bytes, tags: int, at: int) -> list[Any]:
    """A vector of unions; NONE is None."""
    start = at + 4
    offsets = unpack_from(f"<{U32(data, at)[0]}I", data, start)
    result: list[Any] = []
    for i, offset in enumerate(offsets):
        tag = data[tags + 4 + i]
        if tag:
            cls, reader = variants[tag]
            result.append(cls(reader(data, start + 4 * i + offset)))
        else:
            result.append(None)
    return result
