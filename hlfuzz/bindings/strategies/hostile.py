"""Damaged encodings that keep most of their structure, and so get past a verifier's first check.

Every choice is drawn from Hypothesis: a failure shrinks to few and small changes of a small value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Unpack

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.strategies.bounds import Bounds, BoundsOptions
from hlfuzz.bindings.strategies.structure import Spot, spots, varint
from hlfuzz.bindings.strategies.values import builder, name_of
from hlfuzz.schema.ir import Format

MAX_CHANGES: Final = 4
"""Changes of one encoding."""
_NUMBERS: Final = (0, 1, 2, 3, 4, 8, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000)
_STEPS: Final = (-8, -4, -2, -1, 1, 2, 4, 8)
_LARGE: Final = (0xFFFF_FFFF, 0x1_0000_0000, 0x7FFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)


def hostile_bytes(
    interface: Interface, record: type[Any] | str, **bounds: Unpack[BoundsOptions]
) -> SearchStrategy[bytes]:
    """Encodings of a table or message, given by its class or full name, after one to four changes.

    Offsets, lengths and tags get boundary numbers; bits flip; parts are cut, doubled, moved, or come from
    another encoding. Few are valid. Raises `UsageError` as `near_valid`.
    """
    name = name_of(interface, record)
    values = builder(interface, Bounds(**bounds)).definition(name)
    codec = interface.codec
    return _hostile(interface.schema.format, values.map(lambda value: codec.encode(name, value)))


@st.composite
def _hostile(draw: st.DrawFn, format_: Format, encodings: SearchStrategy[bytes]) -> bytes:
    data = draw(encodings)
    for change in draw(st.lists(st.sampled_from(_CHANGES), min_size=1, max_size=MAX_CHANGES)):
        data = change(draw, format_, data, encodings)
    return data


def _number(draw: st.DrawFn, format_: Format, data: bytes, _: SearchStrategy[bytes]) -> bytes:
    """A structural number becomes another: at a boundary, near what it was, or near the length of all."""
    places = spots(format_, data)
    if not places:
        return data
    spot = draw(st.sampled_from(places))
    now = _value(data, spot)
    numbers = [*_NUMBERS, *(now + s for s in _STEPS), len(data), len(data) - spot.start, *_LARGE]
    new = draw(st.sampled_from([n for n in numbers if n >= 0]))
    after = data[spot.start + spot.width :]
    if spot.varint:
        return data[: spot.start] + varint(new) + after
    return data[: spot.start] + (new % (1 << 8 * spot.width)).to_bytes(spot.width, "little") + after


def _value(data: bytes, spot: Spot) -> int:
    raw = data[spot.start : spot.start + spot.width]
    if not spot.varint:
        return int.from_bytes(raw, "little")
    return sum((b & 0x7F) << 7 * i for i, b in enumerate(raw)) % (1 << 64)


def _flip(draw: st.DrawFn, format_: Format, data: bytes, _: SearchStrategy[bytes]) -> bytes:
    """One bit is another."""
    if not data:
        return data
    bit = draw(st.integers(0, 8 * len(data) - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _truncate(draw: st.DrawFn, format_: Format, data: bytes, _: SearchStrategy[bytes]) -> bytes:
    """The end is missing."""
    return data[: draw(st.integers(0, max(0, len(data) - 1)))]


def _double(draw: st.DrawFn, format_: Format, data: bytes, _: SearchStrategy[bytes]) -> bytes:
    """A part is there twice."""
    start, end = _part(draw, format_, data)
    return data[:end] + data[start:end] + data[end:]


def _remove(draw: st.DrawFn, format_: Format, data: bytes, _: SearchStrategy[bytes]) -> bytes:
    """A part is missing."""
    start, end = _part(draw, format_, data)
    return data[:start] + data[end:]


def _move(draw: st.DrawFn, format_: Format, data: bytes, _: SearchStrategy[bytes]) -> bytes:
    """A word stands in the place of another: an offset to something of another type."""
    if len(data) < 8:
        return data
    words = st.integers(0, len(data) // 4 - 1)
    start, end = 4 * draw(words), 4 * draw(words)
    changed = bytearray(data)
    changed[end : end + 4] = data[start : start + 4]
    return bytes(changed)


def _splice(draw: st.DrawFn, format_: Format, data: bytes, encodings: SearchStrategy[bytes]) -> bytes:
    """The end comes from another encoding."""
    other = draw(encodings)
    at = draw(st.integers(0, min(len(data), len(other))))
    return data[:at] + other[at:]


def _part(draw: st.DrawFn, format_: Format, data: bytes) -> tuple[int, int]:
    # FlatBuffers: whole words, so that what follows keeps its alignment.
    unit = 1 if format_ is Format.PROTO else 4
    start = draw(st.integers(0, len(data) // unit))
    return unit * start, unit * draw(st.integers(start, len(data) // unit))


_Change = Callable[[st.DrawFn, Format, bytes, SearchStrategy[bytes]], bytes]
_CHANGES: Final[tuple[_Change, ...]] = (_flip, _number, _number, _truncate, _double, _remove, _move, _splice)
