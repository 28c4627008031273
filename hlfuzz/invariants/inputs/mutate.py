"""Byte-level mutation of corpus inputs, with attention to the length fields that binary formats carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Final, TypeAlias

MAX_INPUT_BYTES: Final = 16384
MAX_STACKED: Final = 4
"""Mutations applied one after another to an input: 1 to this many."""

_INTERESTING: Final = {
    1: (0, 1, 0x7F, 0x80, 0xFF, 0x0A, 0x0D, 0x20, 0x3A),
    2: (0, 1, 0x7F, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x1000, 0x4000, 0x4001),
    3: (0, 1, 0xFFFF, 0x10000, 0x7FFFFF, 0x800000, 0xFFFFFF),
    4: (0, 1, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE),
    8: (0, 1, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1),
}
_WIDTHS: Final = (1, 2, 2, 3, 4, 4, 8)
_MAX_CACHED: Final = 512


LengthField: TypeAlias = tuple[int, int, bool]
"""Offset, width in bytes, big-endian?"""


def length_fields(data: bytes) -> tuple[LengthField, ...]:
    """Where `data` seems to carry a length.

    A field counts when its value is the number of bytes that follow it, or a little less (0 to 4 bytes: a
    trailer).
    """
    found: list[LengthField] = []
    for offset in range(min(len(data), 256)):
        for width in (2, 3, 4):
            end = offset + width
            if end > len(data):
                break
            rest = len(data) - end
            for order in ("big", "little"):
                value = int.from_bytes(data[offset:end], order)  # type: ignore[arg-type]
                if value > 4 and 0 <= rest - value <= 4:
                    found.append((offset, width, order == "big"))
    return tuple(found)


def insert(data: bytearray, at: int, more: bytes, fields: Iterable[LengthField]) -> None:
    """Put bytes into `data`, and count them in the length fields before them."""
    for offset, width, big in fields:
        if offset + width <= at:
            order = "big" if big else "little"
            new = int.from_bytes(data[offset : offset + width], order) + len(more)
            data[offset : offset + width] = (new % (1 << 8 * width)).to_bytes(width, order)
    data[at:at] = more


class Mutator:
    """Makes new byte vectors out of inputs. `pool` are all of them, and may grow; `word` gives bytes that may
    mean something."""

    def __init__(self, rng: Random, pool: list[bytes], word: Callable[[], bytes]) -> None:
        self._rng = rng
        self._pool = pool
        self._word = word
        self._fields: dict[bytes, tuple[LengthField, ...]] = {}
        self._operations: tuple[Callable[[bytearray], None], ...] = (
            self._flip_bit,
            self._set_byte,
            self._set_integer,
            self._add_to_integer,
            self._delete_block,
            self._copy_block,
            self._insert_bytes,
            self._splice,
            self._truncate,
            self._insert_word,
            self._put_word,
            self._set_length,
        )

    def vector(self, seed: bytes) -> bytes:
        """What is made of an input: itself (one time in four), with a length field changed or kept true while
        it grows, or with a few mutations."""
        rng = self._rng
        kind = rng.random()
        if kind < 0.25:
            return seed
        data = bytearray(seed)
        if kind < 0.5 and (self._change_length if kind < 0.4 else self._grow)(seed, data):
            return bytes(data[:MAX_INPUT_BYTES])
        for _ in range(1 + int(rng.random() * MAX_STACKED)):
            self._operations[int(rng.random() * len(self._operations))](data)
        return bytes(data[:MAX_INPUT_BYTES])

    def _length_fields(self, seed: bytes) -> tuple[LengthField, ...]:
        fields = self._fields.get(seed)
        if fields is None:
            if len(self._fields) >= _MAX_CACHED:
                self._fields.clear()
            fields = self._fields[seed] = length_fields(seed)
        return fields

    def _change_length(self, seed: bytes, data: bytearray) -> bool:
        fields = self._length_fields(seed)
        if not fields:
            return False
        rng = self._rng
        offset, width, big = rng.choice(fields)
        order = "big" if big else "little"
        old = int.from_bytes(seed[offset : offset + width], order)
        new = rng.choice(
            (*_INTERESTING[width], old + 1, old - 1, old * 2, old // 2, rng.getrandbits(8 * width))
        )
        data[offset : offset + width] = (new % (1 << 8 * width)).to_bytes(width, order)
        return True

    def _grow(self, seed: bytes, data: bytearray) -> bool:
        """More bytes at the end, and all lengths that span it with them."""
        fields = self._length_fields(seed)
        insert(data, len(data), self._rng.randbytes(self._rng.choice((1, 4, 16, 32, 64))), fields)
        return bool(fields)

    def _at(self, data: bytearray) -> int:
        return int(self._rng.random() * len(data))

    def _flip_bit(self, data: bytearray) -> None:
        if data:
            data[self._at(data)] ^= 1 << self._rng.randrange(8)

    def _set_byte(self, data: bytearray) -> None:
        if data:
            data[self._at(data)] = self._rng.getrandbits(8)

    def _set_integer(self, data: bytearray) -> None:
        width = self._rng.choice(_WIDTHS)
        if len(data) >= width:
            at = self._rng.randrange(len(data) - width + 1)
            value = self._rng.choice(_INTERESTING[width])
            data[at : at + width] = value.to_bytes(width, "big" if self._rng.random() < 0.5 else "little")

    def _add_to_integer(self, data: bytearray) -> None:
        width = self._rng.choice(_WIDTHS)
        if len(data) >= width:
            at = self._rng.randrange(len(data) - width + 1)
            order = "big" if self._rng.random() < 0.5 else "little"
            value = int.from_bytes(data[at : at + width], order) + self._rng.randrange(-16, 17)
            data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)

    def _block(self, data: bytearray) -> tuple[int, int]:
        start = self._at(data)
        return start, min(len(data), start + 1 + int(self._rng.random() ** 2 * len(data)))

    def _delete_block(self, data: bytearray) -> None:
        if data:
            start, end = self._block(data)
            del data[start:end]

    def _copy_block(self, data: bytearray) -> None:
        if data:
            start, end = self._block(data)
            at = self._at(data)
            data[at:at] = data[start:end]

    def _insert_bytes(self, data: bytearray) -> None:
        at = self._rng.randrange(len(data) + 1)
        count = 1 + int(self._rng.random() ** 3 * 256)
        data[at:at] = (
            bytes([self._rng.getrandbits(8)]) * count
            if self._rng.random() < 0.5
            else self._rng.randbytes(count)
        )

    def _splice(self, data: bytearray) -> None:
        other = self._rng.choice(self._pool) if self._pool else b""
        if data and other:
            at, start = self._at(data), self._rng.randrange(len(other))
            data[at:] = other[start:]

    def _truncate(self, data: bytearray) -> None:
        if data:
            del data[self._at(data) :]

    def _insert_word(self, data: bytearray) -> None:
        at = self._rng.randrange(len(data) + 1)
        data[at:at] = self._word()

    def _put_word(self, data: bytearray) -> None:
        """Over what is there, half of the time near the start, where heads are; it may lengthen the data."""
        word = self._word()
        reach = max(len(data) - len(word), 0) if self._rng.random() < 0.5 else min(len(data), 16)
        at = self._rng.randrange(reach + 1)
        data[at : at + len(word)] = word

    def _set_length(self, data: bytearray) -> None:
        """Behind what may be a type, the number of bytes that follow."""
        offset, width = self._rng.randrange(5), self._rng.choice(_WIDTHS)
        rest = len(data) - offset - width
        if 0 <= rest < 1 << 8 * width:
            order = "big" if self._rng.random() < 0.5 else "little"
            data[offset : offset + width] = rest.to_bytes(width, order)
