"""How values cross between Python and a guest through the PyPI `wasmtime` package.

The package's `Val` has no v128 and rounds an f32 NaN through a C double. So an f32 crosses as the i32 of its
bits and a v128 as two i64 (low, high); the shims (see `shims`) convert on the Wasm side. Reference types do
not cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from hlfuzz.model import ValType, Value
from hlfuzz.sandbox.values import f32_bits, f32_from_bits, f64_exact

Raw: TypeAlias = int | float

_U32: Final = 0xFFFF_FFFF


def lowered(types: Sequence[ValType]) -> list[ValType]:
    """The types that cross in the place of `types`."""
    low: list[ValType] = []
    for t in types:
        if t is ValType.V128:
            low += [ValType.I64, ValType.I64]
        elif not t.is_reference:
            low.append(ValType.I32 if t is ValType.F32 else t)
    return low


def lower(values: Sequence[Value], types: Sequence[ValType]) -> list[Raw]:
    """Canonical values of `types` as what crosses."""
    raw: list[Raw] = []
    for value, t in zip(values, types, strict=True):
        if isinstance(value, bytes):
            raw += [
                int.from_bytes(value[:8], "little", signed=True),
                int.from_bytes(value[8:], "little", signed=True),
            ]
        elif t is ValType.F32:
            bits = f32_bits(value)
            raw.append(bits - (1 << 32) if bits >> 31 else bits)
        else:
            raw.append(value)
    return raw


def lift(raw: Sequence[Raw], types: Sequence[ValType]) -> tuple[Value, ...]:
    """What crossed as canonical values of `types`."""
    words = iter(raw)
    values: list[Value] = []
    for t in types:
        word = next(words)
        match t:
            case ValType.F32:
                values.append(f32_from_bits(int(word) & _U32))
            case ValType.F64:
                values.append(f64_exact(float(word)))
            case ValType.V128:
                halves = (int(word), int(next(words)))
                values.append(b"".join(half.to_bytes(8, "little", signed=True) for half in halves))
            case _:
                values.append(int(word))
    return tuple(values)
