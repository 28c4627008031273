"""Where an encoding keeps its structure: offsets, lengths and vtables of FlatBuffers, lengths of Protobuf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlfuzz.schema.ir import Format

MAX_SPOTS: Final = 2048
"""Places of one encoding that are looked at."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A number that says where or how long something is: its place, and its width in bytes as it stands."""

    start: int
    width: int
    varint: bool = False


def spots(format_: Format, data: bytes) -> list[Spot]:
    """The structural numbers of an encoding, in order; of damaged bytes those that still look like it."""
    return _protobuf(data) if format_ is Format.PROTO else _flatbuffers(data)


def _flatbuffers(data: bytes) -> list[Spot]:
    """Aligned words that point into the buffer, forwards or (as a table to its vtable) backwards, and the
    halves of words that are small enough for vtable entries."""
    found: list[Spot] = []
    for start in range(0, len(data) - 3, 4):
        word = int.from_bytes(data[start : start + 4], "little")
        signed = word - (1 << 32 if word >> 31 else 0)
        if word and (0 < start + word <= len(data) or 0 <= start - signed < len(data)):
            found.append(Spot(start, 4))
        elif any(0 < half <= len(data) for half in (word & 0xFFFF, word >> 16)):
            found += [Spot(start, 2), Spot(start + 2, 2)]
        if len(found) >= MAX_SPOTS:
            break
    return found


def _protobuf(data: bytes) -> list[Spot]:
    """Tags and lengths, also of what may be a message inside another."""
    found: list[Spot] = []
    waiting = [(0, len(data))]
    while waiting and len(found) < MAX_SPOTS:
        at, end = waiting.pop()
        while at < end and len(found) < MAX_SPOTS:
            tag = _varint(data, at, end)
            if tag is None:
                break
            found.append(Spot(at, tag[1] - at, varint=True))
            at = tag[1]
            match tag[0] & 7:
                case 0:
                    value = _varint(data, at, end)
                    at = end if value is None else value[1]
                case 1:
                    at += 8
                case 2:
                    length = _varint(data, at, end)
                    if length is None or length[1] + length[0] > end:
                        break
                    found.append(Spot(at, length[1] - at, varint=True))
                    at = length[1] + length[0]
                    waiting.append((length[1], at))
                case 5:
                    at += 4
                case 3 | 4:
                    pass
                case _:
                    break
    return sorted(found, key=lambda s: s.start)


def _varint(data: bytes, at: int, end: int) -> tuple[int, int] | None:
    """The number at a place and the place behind it; None when it does not end."""
    value = 0
    for i in range(10):
        if at + i >= end:
            return None
        byte = data[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    return None


def varint(value: int) -> bytes:
    """A number below 2**64 as Protobuf writes it."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])
