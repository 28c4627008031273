"""Text of a schema inside Rust source: comments that end where they should, literals, identifiers."""

from __future__ import annotations

import math
from typing import Final

from hlfuzz.schema.ir import Scalar

_STRICT: Final = (
    "as async await break const continue dyn else enum extern false fn for gen if impl in let loop"
)
_STRICT_TOO: Final = "match mod move mut pub ref return static struct trait true type unsafe use where while"
_RESERVED: Final = "abstract become box do final macro override priv try typeof unsized virtual yield"
KEYWORDS: Final = frozenset(f"{_STRICT} {_STRICT_TOO} {_RESERVED}".split())
"""Words with a meaning in some edition (the Rust Reference, "Keywords"); written raw they are identifiers."""
_NEVER: Final = frozenset({"self", "Self", "super", "crate", "_"})
"""Words that cannot be written raw."""


def identifier(name: str) -> str:
    """A name that Rust code may use."""
    if name in _NEVER:
        return f"{name}_"
    return f"r#{name}" if name in KEYWORDS else name


def comment(text: str, indent: str = "") -> list[str]:
    """Documentation lines, none for an empty text. What does not print is left out: some of it turns the
    direction of text, and a lone carriage return is an error."""
    lines = ["".join(c if c.isprintable() else " " for c in line).rstrip() for line in text.splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    while lines and not lines[0]:
        lines.pop(0)
    return [f"{indent}///{' ' if line else ''}{line}" for line in lines]


def string(text: str) -> str:
    """A string literal."""
    return '"' + "".join(_character(c) for c in text) + '"'


def byte_string(data: bytes) -> str:
    """A byte string literal."""
    return 'b"' + "".join(chr(b) if _plain(b) else f"\\x{b:02x}" for b in data) + '"'


def number(value: float, scalar: Scalar) -> str:
    """A literal of a number of this type."""
    if scalar is Scalar.BOOL:
        return "true" if value else "false"
    if not scalar.is_float:
        return str(int(value))
    if math.isnan(value):
        return f"{scalar}::NAN"
    if math.isinf(value):
        return f"{scalar}::{'NEG_' if value < 0 else ''}INFINITY"
    return repr(float(value))


def _character(c: str) -> str:
    return c if c.isascii() and _plain(ord(c)) else f"\\u{{{ord(c):x}}}"


def _plain(byte: int) -> bool:
    return 0x20 <= byte < 0x7F and byte not in b'"\\'
