"""Numbers as flatc reads them from text: any leading zeros, hexadecimal, hexadecimal fractions, nan, inf."""

from __future__ import annotations

import re
import struct
from typing import Final

from hlfuzz.schema.fbs.limits import MAX_NUMBER
from hlfuzz.schema.ir import Scalar

_SPACES: Final = " \t\n\v\f\r"
"""What C's strtod and strtoll skip in front of a number (also in a string constant)."""
_INTEGER: Final = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|([0-9]+))")
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL: Final = re.compile(
    r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?"
)
_WORD: Final = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)


class NotANumber(ValueError):
    """The text is no number, or not one that fits; the message says which."""


def read_integer(text: str, scalar: Scalar) -> int:
    """The integer in `text`, in the range of `scalar` (a boolean has that of a byte, as in flatc).

    Raises `NotANumber`.
    """
    match = _INTEGER.fullmatch(text.lstrip(_SPACES))
    if match is None:
        raise NotANumber("is no whole number")
    low, high = (Scalar.U8 if scalar is Scalar.BOOL else scalar).range
    sign, hexadecimal, decimal = match.groups()
    digits = (hexadecimal or decimal).lstrip("0") or "0"
    if len(digits) <= MAX_NUMBER:
        value = int(digits, 16 if hexadecimal else 10)
        value = -value if sign == "-" else value
        if low <= value <= high:
            return value
    raise NotANumber(f"does not fit {scalar} ({low} to {high})")


def read_float(text: str) -> float:
    """The number in `text` with double precision; infinite when it is too large. Raises `NotANumber`."""
    text = text.lstrip(_SPACES)
    if len(text) > MAX_NUMBER:
        raise NotANumber(f"has more than {MAX_NUMBER:,} characters")
    if _DECIMAL.fullmatch(text) or _WORD.fullmatch(text):
        return float(text)
    if _HEXADECIMAL.fullmatch(text):
        try:
            return float.fromhex(text)
        except OverflowError:
            return float("-inf" if text.startswith("-") else "inf")
    raise NotANumber("is no number")


def rounded(value: float, scalar: Scalar) -> float:
    """The nearest value that the type can hold: single precision for f32."""
    if scalar is Scalar.F64:
        return value
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
