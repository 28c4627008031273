"""Reads typed arguments from the command line: integers, floats with NaN payloads, vectors."""

from __future__ import annotations

import re
from typing import Final, cast

from hlfuzz.errors import UsageError
from hlfuzz.model import Float32, Float64, ValType, Value

_INTEGER: Final = re.compile(r"[+-]?(0x[0-9a-fA-F]+|0b[01]+|0o[0-7]+|[0-9]+)")
_NAN: Final = re.compile(r"([+-]?)nan(?::0x([0-9a-fA-F]{1,16}))?")
_FORMATS: Final = {ValType.F32: (Float32, 23, 32), ValType.F64: (Float64, 52, 64)}
_EXAMPLES: Final = {
    ValType.I32: "42, -1 or 0xff",
    ValType.I64: "42, -1 or 0xff",
    ValType.F32: "1.5, -inf, 0x1.8p3 or nan:0x400000",
    ValType.F64: "1.5, -inf, 0x1.8p3 or nan:0x8000000000000",
    ValType.V128: "0x and up to 32 hex digits, most significant first",
}


def parse_value(text: str, type_: ValType, position: int) -> Value:
    """The value that `text` writes for a parameter of that type. Ranges of integers are checked by the
    sandbox.

    Raises: UsageError naming the argument's position (from 1) and the accepted forms.
    """
    try:
        if type_ in (ValType.I32, ValType.I64):
            return _integer(text)
        if type_ in _FORMATS:
            return _float(text, type_)
        if type_ is ValType.V128:
            return _vector(text)
    except (ValueError, OverflowError):
        raise UsageError(
            f"argument {position} ({text[:60]!r}) is no {type_}: write {_EXAMPLES[type_]}"
        ) from None
    raise UsageError(
        f"argument {position} has type {type_}, which cannot be given from outside: call another function"
    )


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    unsigned = text.lstrip("+-")
    # int(…, 0) refuses decimal numbers with leading zeros.
    value = int(unsigned, 0) if unsigned[:2].lower() in ("0x", "0b", "0o") else int(unsigned)
    return -value if text.startswith("-") else value


def _float(text: str, type_: ValType) -> float:
    kind, mantissa, width = _FORMATS[type_]
    if match := _NAN.fullmatch(text):
        payload = int(match[2], 16) if match[2] else 1 << (mantissa - 1)
        if not 0 < payload < 1 << mantissa:
            raise ValueError(text)  # payload 0 is infinity
        exponent = ((1 << (width - mantissa - 1)) - 1) << mantissa
        return cast(float, kind((match[1] == "-") << (width - 1) | exponent | payload))
    return float.fromhex(text) if "0x" in text.lower() else float(text)


def _vector(text: str) -> bytes:
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,32}", text):
        raise ValueError(text)
    return int(text, 16).to_bytes(16, "little")
