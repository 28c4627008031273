"""The parts of a native program's file that are loaded, code and data apart."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_HEADER: Final = struct.Struct("<32xQ14xHH")
"""Of a 64-bit file: offset of the program headers, size and number of them."""
_PROGRAM: Final = struct.Struct("<IIQ16xQ")
"""Of a program header: type, flags, offset and size in the file (System V ABI, "Program Header")."""
_LOAD: Final = 1
_EXECUTABLE: Final = 1
_MAX_SEGMENTS: Final = 64
_MAX_BYTES: Final = 16 << 20
"""Of all parts together: headers of a hostile file may all name the same large one."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What one program header loads."""

    data: bytes
    executable: bool


def elf_segments(data: bytes) -> Iterator[Segment]:
    """The loaded parts, as far as the headers can be read."""
    if len(data) < _HEADER.size:
        return
    left = _MAX_BYTES
    start, size, count = _HEADER.unpack_from(data)
    for at in range(start, start + size * min(count, _MAX_SEGMENTS), max(size, 1)):
        if at + _PROGRAM.size > len(data):
            return
        kind, flags, offset, length = _PROGRAM.unpack_from(data, at)
        if kind == _LOAD:
            part = data[offset : offset + min(length, left)]
            left -= len(part)
            yield Segment(part, bool(flags & _EXECUTABLE))
