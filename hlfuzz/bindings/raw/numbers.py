"""Numbers of a raw interface: Python values to Wasm values, and back with what a guest may send checked."""

from __future__ import annotations

import operator
import struct
from collections.abc import Callable
from typing import Any, Final

from hlfuzz.schema.ir import Scalar

_UNSIGNED: Final = {Scalar.U32: 0xFFFF_FFFF, Scalar.U64: 0xFFFF_FFFF_FFFF_FFFF}
_AS_THEY_ARE: Final = frozenset({Scalar.I32, Scalar.I64, Scalar.F32, Scalar.F64})


class OutOfRange(ValueError):
    """A value that is none of its type; the text says why."""


def to_wasm(scalar: Scalar) -> Callable[[Any], int | float]:
    """What turns a Python value into a Wasm value; it raises `OutOfRange` for wrong types and values."""
    if scalar.is_float:
        return _single if scalar is Scalar.F32 else _double
    if scalar is Scalar.BOOL:
        return _bool
    low, high = scalar.range

    def integer(value: Any) -> int:
        if value.__class__ is int and low <= value <= high:
            return value
        try:
            number = operator.index(value)
        except TypeError:
            raise OutOfRange(f"{show(value)} is not an integer") from None
        if not low <= number <= high:
            raise OutOfRange(f"{show(number)} is outside {low} to {high}")
        return number

    return integer


def from_wasm(scalar: Scalar) -> Callable[[Any], Any] | None:
    """What turns a Wasm value into a Python value; None: they are the same. It raises `OutOfRange` for a
    value that the type does not have: the guest lied."""
    if scalar in _AS_THEY_ARE:
        return None
    mask = _UNSIGNED.get(scalar)
    if mask is not None:
        return mask.__and__
    low, high = scalar.range

    def narrow(value: int) -> int:
        # An unsigned number above 2^31 comes as a negative i32, which is out of range as well.
        if not low <= value <= high:
            raise OutOfRange(f"{value} is outside {low} to {high} ({scalar})")
        return value

    return (lambda value: bool(narrow(value))) if scalar is Scalar.BOOL else narrow


def show(value: Any) -> str:
    """A value as messages show it, cut to a line."""
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python prints
        return "a very large integer"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _bool(value: Any) -> int:
    if isinstance(value, bool):
        return int(value)
    raise OutOfRange(f"{show(value)} is not a bool")


def _double(value: Any) -> float:
    if not isinstance(value, (int, float)):
        raise OutOfRange(f"{show(value)} is not a number")
    if isinstance(value, float):  # a NaN keeps its bits
        return value
    try:
        return float(value)
    except OverflowError:
        raise OutOfRange(f"{show(value)} does not fit") from None


def _single(value: Any) -> float:
    number = _double(value)
    try:
        struct.pack("<f", number)
    except OverflowError:
        raise OutOfRange(f"{show(value)} does not fit") from None
    return number
