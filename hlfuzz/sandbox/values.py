"""Checks Python values against Wasm types and gives them the one form that both engines use.

Canonical form: i32 and i64 are signed ints, f32 and f64 are floats (a NaN is `Float32`/`Float64`, so that its
bits survive), v128 is 16 bytes.
"""

from __future__ import annotations

import operator
import struct
from collections.abc import Sequence
from typing import Any, Final, SupportsFloat, TypeGuard, cast

from hlfuzz.errors import UsageError
from hlfuzz.model import Float32, Float64, FuncType, ValType, Value

V128_BYTES: Final = 16
_BITS: Final = {ValType.I32: 32, ValType.I64: 64}


def canonical(value: object, type_: ValType) -> Value:
    """`value` as a Wasm value of `type_`.

    Integers may be given signed or unsigned; an f32 is rounded to the nearest. Raises `ValueError` with what
    is wrong, for the caller to say where.
    """
    match type_:
        case ValType.I32 | ValType.I64:
            return _integer(value, _BITS[type_])
        case ValType.F32:
            return _f32(value)
        case ValType.F64:
            return _f64(value)
        case ValType.V128:
            if is_bytes(value) and len(value) == V128_BYTES:
                return bytes(value)
            raise ValueError(f"{_show(value)} is not {V128_BYTES} bytes")
        case _:
            raise ValueError(f"{type_} values cannot cross between host and guest")


def canonical_args(args: Sequence[object], type_: FuncType, function: str) -> tuple[Value, ...]:
    """All arguments of a call. Raises `UsageError` that names the function, the position and the type."""
    if len(args) != len(type_.params):
        raise UsageError(
            f"{len(args)} arguments for {len(type_.params)} parameters ({function!r} {type_}): "
            "pass one value a parameter, or bytes for a pointer and a length"
        )
    values: list[Value] = []
    for position, (arg, param) in enumerate(zip(args, type_.params, strict=True), 1):
        try:
            values.append(canonical(arg, param))
        except ValueError as e:
            raise UsageError(f"wrong argument ({function!r}, argument {position}, {param}): {e}") from None
    return tuple(values)


def canonical_results(returned: object, type_: FuncType) -> tuple[Value, ...]:
    """What a host function returned, as the results of its import. Raises `ValueError` that says what was
    expected."""
    types = ", ".join(type_.results)
    expected = f"expected {types}" if len(type_.results) == 1 else f"expected a tuple ({types})"
    match len(type_.results):
        case 0:
            if returned is not None:
                raise ValueError(f"returned {_show(returned)}, expected None")
            return ()
        case 1:
            results: Sequence[object] = (returned,)
        case count:
            results = cast("Sequence[object]", returned) if isinstance(returned, (tuple, list)) else ()
            if len(results) != count:
                raise ValueError(f"returned {_show(returned)}, {expected}")
    try:
        return tuple(canonical(r, t) for r, t in zip(results, type_.results, strict=True))
    except ValueError as e:
        raise ValueError(f"returned {_show(returned)}, {expected}: {e}") from None


def is_bytes(value: object) -> TypeGuard[bytes | bytearray | memoryview[int]]:
    """Whether `value` is bytes of some kind."""
    return isinstance(value, (bytes, bytearray, memoryview))


def refuse_references(type_: FuncType, function: str) -> None:
    """Raise `UsageError` when a signature has reference types, before anything runs."""
    for role, types in (("parameter", type_.params), ("result", type_.results)):
        for position, t in enumerate(types, 1):
            if t.is_reference:
                raise UsageError(
                    f"reference types cannot cross between host and guest ({function!r}, {role} {position}, "
                    f"{t}): call a function whose parameters and results are numbers or vectors"
                )


def f32_from_bits(bits: int) -> float:
    """The float of an f32's bits; a NaN keeps them."""
    value: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return value if value == value else Float32(bits)


def f64_exact(value: float) -> float:
    """An f64 as it came from an engine; a NaN keeps its bits."""
    return value if value == value else Float64(struct.unpack("<Q", struct.pack("<d", value))[0])


def f32_bits(value: float) -> int:
    """The 32 bits of a canonical f32."""
    return value.bits if isinstance(value, Float32) else struct.unpack("<I", struct.pack("<f", value))[0]


def f64_bits(value: float) -> int:
    """The 64 bits of a canonical f64."""
    return value.bits if isinstance(value, Float64) else struct.unpack("<Q", struct.pack("<d", value))[0]


def _integer(value: object, bits: int) -> int:
    if is_bytes(value):
        raise ValueError(
            f"{_show(value)} is not an integer: bytes need two integer parameters, pointer and length"
        )
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ValueError(f"{_show(value)} is not an integer") from None
    if not -(1 << (bits - 1)) <= number < 1 << bits:
        raise ValueError(f"{_show(number)} is outside {-(1 << (bits - 1))} to {(1 << bits) - 1}")
    return number - (1 << bits) if number >= 1 << (bits - 1) else number


def _f32(value: object) -> float:
    if isinstance(value, Float32):
        return f32_from_bits(value.bits)
    try:
        return f32_from_bits(struct.unpack("<I", struct.pack("<f", _float(value)))[0])
    except OverflowError:
        raise ValueError(f"{_show(value)} does not fit") from None


def _f64(value: object) -> float:
    return value if isinstance(value, Float64) and value != float(value) else f64_exact(_float(value))


def _float(value: object) -> float:
    if isinstance(value, (str, bytes, bytearray)) or not isinstance(value, SupportsFloat):
        raise ValueError(f"{_show(value)} is not a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{_show(value)} does not fit") from None


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a very large integer"
    return text if len(text) <= 60 else f"{text[:57]}..."
