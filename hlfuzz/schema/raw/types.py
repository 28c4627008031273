"""The words of a raw interface: types of parameters and results, "data: bytes"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import Bytes, CString, Number, Scalar

MAX_CAPACITY: Final = (1 << 31) - 1
"""Bytes; a length comes back as an i32, whose negative values are error codes."""

IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SCALARS: Final = frozenset(s.value for s in Scalar)
_OUT: Final = re.compile(r"out\s+bytes(?:\s*\(\s*([0-9_]*)\s*\))?")
_WORDS: Final = (*(s.value for s in Scalar), "bytes", "cstring", "out bytes(4096)")
_ELSEWHERE: Final = {
    **dict.fromkeys(("int", "int32", "int32_t", "long", "i32_t"), "i32"),
    **dict.fromkeys(("uint", "uint32", "uint32_t", "size_t", "usize", "ptr", "pointer"), "u32"),
    **dict.fromkeys(("int64", "int64_t"), "i64"),
    **dict.fromkeys(("uint64", "uint64_t"), "u64"),
    **dict.fromkeys(("byte", "uint8", "uint8_t"), "u8"),
    **dict.fromkeys(("float", "float32"), "f32"),
    **dict.fromkeys(("double", "float64", "number"), "f64"),
    **dict.fromkeys(("str", "string", "text", "char*", "const char*"), "cstring"),
    **dict.fromkeys(("buffer", "vector", "slice", "[u8]", "&[u8]", "u8*", "byte[]", "[ubyte]"), "bytes"),
}
"""What other languages call these types."""


class Misspelt(Exception):
    """A type that is none; `suggestion` says what to write, `offset` where in the text it stands."""

    def __init__(self, message: str, suggestion: str, offset: int = 0) -> None:
        super().__init__(message)
        self.suggestion = suggestion
        self.offset = offset


@dataclass(frozen=True, slots=True)
class ParameterType:
    """The type of a parameter. `capacity` is 0 where none was written."""

    type: Number | Bytes | CString
    out: bool = False
    capacity: int = 0


def parameter(text: str) -> tuple[str, ParameterType, int]:
    """Name, type, and where in the text the type stands. Raises `Misspelt`."""
    name, colon, type_ = text.partition(":")
    offset = len(name) + 1 + len(type_) - len(type_.lstrip())
    name = name.strip()
    if not colon:
        raise Misspelt(f"parameter {short(text)} has no type", 'write "name: type", as in "data: bytes"')
    if not IDENTIFIER.fullmatch(name):
        raise Misspelt(
            f"parameter name {short(name)} is no identifier", "use letters, digits and _, a letter first"
        )
    return name, _parameter_type(type_.strip(), offset), offset


def _parameter_type(text: str, offset: int) -> ParameterType:
    if text == "bytes":
        return ParameterType(Bytes())
    if text == "cstring":
        return ParameterType(CString())
    if text in _SCALARS:
        return ParameterType(Number(Scalar(text)))
    out = _OUT.fullmatch(text)
    if out is None:
        raise _unknown(text, offset)
    digits = (out[1] or "").replace("_", "")
    if out[1] is None:
        return ParameterType(Bytes(), out=True)
    if not digits or len(digits) > 10 or not 0 < int(digits) <= MAX_CAPACITY:
        raise Misspelt(
            f"capacity {short(out[1])} is out of range",
            f"give 1 to {MAX_CAPACITY} bytes: out bytes(4096)",
            offset,
        )
    return ParameterType(Bytes(), out=True, capacity=int(digits))


def scalar(text: str) -> Scalar:
    """The type of a result that is a number. Raises `Misspelt`."""
    if text in _SCALARS:
        return Scalar(text)
    raise _unknown(text, 0, (*(s.value for s in Scalar), "bytes"))


def _unknown(text: str, offset: int, words: tuple[str, ...] = _WORDS) -> Misspelt:
    wanted = _ELSEWHERE.get(text.lower())
    if wanted in words:
        return Misspelt(f"unknown type {short(text)}", f"did you mean '{wanted}'?", offset)
    listing = f"the types are {', '.join(words)}"
    return Misspelt(f"unknown type {short(text)}", did_you_mean(text, words, listing), offset)


def short(text: str) -> str:
    """A word of the file as messages show it."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")
