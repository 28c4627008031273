"""Values as Python source for a test: on one line where they fit, else below each other; plain ASCII."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from hlfuzz.bindings.text import NameOf, group_of, leaf_text, own_name, pieces
from hlfuzz.model import Float32, Float64

CHUNK: Final = 64
"""Bytes or characters of a long one on a line, where they are printable; else `ESCAPED`."""
ESCAPED: Final = 16
MAX_LINE: Final = 88
"""Characters of a call or value on one line, without the room in front of it."""
INDENT: Final = "    "
REPEATED: Final = 8
"""From this many equal bytes or characters on, they are written as a product."""

_Data = TypeVar("_Data", bytes, str)


def stacked(parts: Iterable[str]) -> str:
    """The parts below each other, further in, with a comma after each."""
    lines = (f"\n{part},".replace("\n", f"\n{INDENT}") for part in parts)
    return "".join(lines) + "\n"


def value_source(value: Any, name_of: NameOf = own_name, room: int = MAX_LINE) -> str:
    """A value, with the names of its classes, as an expression of one line or more."""

    def leaf(value: Any) -> str:
        return _leaf(value, name_of)

    group = group_of(value, leaf, name_of)
    if group is None:
        return leaf(value)
    line = _one_line(pieces(value, leaf, name_of), room)
    if line is not None:
        return line
    inner = max(room - len(INDENT), MAX_LINE // 2)
    parts = (before + value_source(part, name_of, inner) for before, part in group.parts)
    return f"{group.opening}{stacked(parts)}{group.closing}"


def call_source(function: str, arguments: Sequence[Any], name_of: NameOf = own_name) -> str:
    """A call as the tuple of its function and arguments."""
    parts = (text_source(function), *(value_source(a, name_of) for a in arguments))
    line = f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    return line if len(line) <= MAX_LINE and "\n" not in line else f"({stacked(parts)})"


def _one_line(parts: Iterable[str], room: int) -> str | None:
    """The parts on one line; None where they do not fit."""
    found = ""
    for part in parts:
        found += part
        if len(found) > room or "\n" in part:
            return None
    return found


def _leaf(value: Any, name_of: NameOf) -> str:
    if isinstance(value, Float32 | Float64):
        return f"hlfuzz.{value!r}"
    if isinstance(value, bytes):
        return bytes_source(value)
    if isinstance(value, str):
        return _long_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value!r}")'
    return leaf_text(value, name_of)


def bytes_source(data: bytes) -> str:
    """A byte string, on several lines where it is long."""
    if len(data) >= REPEATED and len(set(data)) == 1:
        return f"bytes({len(data)})" if not data[0] else f"{_bytes_literal(data[:1])} * {len(data)}"
    return _lines(_bytes_literal(data), data, _bytes_literal)


def _bytes_literal(data: bytes) -> str:
    return f'b"{repr(data)[2:-1]}"' if b'"' not in data and b"'" not in data else repr(data)


def text_source(text: str) -> str:
    """A string literal in plain ASCII: a name of a guest cannot end it, nor turn the line around."""
    quoted = ascii(str(text))  # an enum too is written as its text
    return quoted if '"' in quoted or "\\'" in quoted else f'"{quoted[1:-1]}"'


def _long_text(text: str) -> str:
    if len(text) >= REPEATED and len(set(text)) == 1:
        return f"{text_source(text[0])} * {len(text)}"
    return _lines(text_source(text), text, text_source)


def _lines(literal: str, data: _Data, write: Callable[[_Data], str]) -> str:
    """The literal, or where it is long those of its parts below each other."""
    if len(literal) <= CHUNK + len('b""'):
        return literal
    step = CHUNK if len(literal) <= len(data) + len(data) // 8 else ESCAPED
    parts = "".join(f"\n{INDENT}{write(data[at : at + step])}" for at in range(0, len(data), step))
    return f"({parts}\n)"
