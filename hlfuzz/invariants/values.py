"""Generates scalars and byte vectors: biased to the boundaries where parsers and arithmetic break."""

from __future__ import annotations

import struct
from random import Random
from typing import Final, cast

from hlfuzz.model import Float32, Float64, ValType, Value

MAX_VECTOR_BYTES: Final = 4096

_F32_BITS: Final = (
    0,
    1,
    0x80000000,
    0x3F800000,
    0x7F7FFFFF,
    0x00800000,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0x7FC00001,
    0xFF800001,
)
_F64_BITS: Final = (
    0,
    1,
    1 << 63,
    0x3FF0000000000000,
    0x7FEFFFFFFFFFFFFF,
    0x0010000000000000,
    0x7FF0000000000000,
    0xFFF0000000000000,
    0x7FF8000000000000,
    0x7FF8000000000001,
    0xFFF0000000000001,
)


def integer(rng: Random, bits: int) -> int:
    """A signed integer of `bits` bits: small, near a power of two, an extreme, or uniform."""
    kind = rng.randrange(8)
    if kind < 3:
        value = rng.randrange(-4, 65)
    elif kind < 6:
        value = (1 << rng.randrange(bits)) + rng.randrange(-1, 2)
    else:
        value = rng.getrandbits(bits)
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def scalar(rng: Random, type_: ValType) -> Value:
    """A value of that type. NaNs keep their payload (see `hlfuzz.model.Float32`)."""
    if type_ is ValType.I32:
        return integer(rng, 32)
    if type_ is ValType.I64:
        return integer(rng, 64)
    if type_ is ValType.F32:
        return cast(float, Float32(rng.choice(_F32_BITS) if rng.random() < 0.5 else rng.getrandbits(32)))
    if type_ is ValType.F64:
        return cast(float, Float64(rng.choice(_F64_BITS) if rng.random() < 0.5 else rng.getrandbits(64)))
    return rng.randbytes(16)


def vector(rng: Random, seeds: tuple[bytes, ...]) -> bytes:
    """A byte vector: a seed, a seed cut or with a byte changed, a length-prefixed block, text, or random
    bytes."""
    kind = rng.randrange(10)
    if seeds and kind < 7:
        data = rng.choice(seeds)
        if kind < 4 or not data:
            return data
        at = rng.randrange(len(data))
        return data[:at] if kind == 4 else data[:at] + bytes([rng.getrandbits(8)]) + data[at + 1 :]
    size = rng.choice((0, 1, 2, 4, 15, 16, 31, 64, 255, 256, 1024, rng.randrange(MAX_VECTOR_BYTES)))
    if kind < 8:
        body = rng.randbytes(size)
        claimed = rng.choice((size, size, size + 1, 0xFFFF)) & 0xFFFF
        return struct.pack(rng.choice((">H", "<H")), claimed) + body
    if kind == 8:
        return bytes(rng.choice(b' 0123456789abcdefGET/:\r\n"{}') for _ in range(min(size, 256)))
    return rng.randbytes(size)
