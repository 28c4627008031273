"""Generates scalars and byte vectors: biased to the boundaries where parsers and arithmetic break."""

from __future__ import annotations

import struct
from random import Random
from typing import Final, cast

from hlfuzz.model import Float32, Float64, ValType, Value

MAX_VECTOR_BYTES: Final = 4096

_SIZES: Final = (0, 1, 2, 4, 15, 16, 31, 64, 255, 256, 1024)
_SIGNS: Final = bytes(b' 0123456789abcdefGET/:\r\n"{}\t=\\_-'[i % 32] for i in range(256))
"""A sign of text for each byte."""

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
    return wrapped(value, bits)


def wrapped(value: int, bits: int) -> int:
    """The signed integer of `bits` bits that an integer is in two's complement."""
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


def vector(rng: Random) -> bytes:
    """A byte vector without meaning: random bytes, alone or behind their length, or signs of text."""
    kind = rng.randrange(10)
    at = rng.randrange(len(_SIZES) + 1)
    size = _SIZES[at] if at < len(_SIZES) else rng.randrange(MAX_VECTOR_BYTES)
    if kind < 4:
        body = rng.randbytes(size)
        claimed = rng.choice((size, size, size + 1, 0xFFFF)) & 0xFFFF
        return struct.pack(rng.choice((">H", "<H")), claimed) + body
    if kind < 6:
        return rng.randbytes(min(size, 256)).translate(_SIGNS)
    return rng.randbytes(size)
