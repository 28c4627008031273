"""Encodings at the edge: boundary numbers, large sizes, unknown members, absent required fields, bad text.

Each is a valid value with one change, and says which. Values that a codec rightly refuses are encoded by the
relaxed form of the schema; text that is no UTF-8 is put into finished bytes, in the place of a marker.
"""

from __future__ import annotations

import copy
import math
import operator
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any, Final, Unpack

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.strategies.bounds import Bounds, BoundsOptions
from hlfuzz.bindings.strategies.relax import relaxed
from hlfuzz.bindings.strategies.sites import Site, sites
from hlfuzz.bindings.strategies.values import builder, name_of
from hlfuzz.schema.ir import Bytes, Enum, Named, Number, Presence, RecordKind, Scalar, String, Type, Vector
from hlfuzz.schema.values import is_byte_vector

SIZES: Final = (127, 128, 255, 256, 16_383, 16_384, 65_535, 65_536)
"""Lengths of text and byte vectors round which one more byte of length is needed somewhere."""
ELEMENTS: Final = (127, 128, 255, 256, 1024)
"""Lengths of other vectors."""
_MARKER: Final = "\x02hlfuzz\x03"
_BAD_TEXT: Final = (b"\xff", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82")
"""No UTF-8: no such byte, a continuation alone, an overlong zero, a surrogate, above U+10FFFF, cut off."""


@dataclass(frozen=True, slots=True)
class NearValid:
    """Bytes with one thing at the edge or over it; `what` says which thing, and where."""

    data: bytes
    what: str


class _Kind(StrEnum):
    """What a change is about; all are drawn equally often."""

    BOUNDARY = "boundary"
    SIZE = "size"
    MEMBER = "member"
    ABSENT = "absent"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class _Change:
    """Another value for a field. `make` makes it, because most of them are never used and some are large."""

    kind: _Kind
    what: str
    make: Callable[[], Any]
    bad_text: bytes = b""


def near_valid(
    interface: Interface, record: type[Any] | str, **bounds: Unpack[BoundsOptions]
) -> SearchStrategy[NearValid]:
    """Encodings of a table or message, given by its class or full name, with one thing at the edge.

    Some are valid (a number at the end of its range), some are not (an absent required field). A record
    without fields gives its encoding as it is. Raises `UsageError` as `valid`, and for other types.
    """
    name = name_of(interface, record)
    return _near_valid(interface, name, builder(interface, Bounds(**bounds)).definition(name))


@st.composite
def _near_valid(draw: st.DrawFn, interface: Interface, name: str, values: SearchStrategy[Any]) -> NearValid:
    # A copy, because parts of a value may be shared and this one is changed.
    value = copy.deepcopy(draw(values))
    places = [(site, list(_changes(interface, site))) for site in sites(interface, name, value)]
    kinds = {change.kind for _, changes in places for change in changes}
    if not kinds:
        return NearValid(interface.codec.encode(name, value), "no field to change")
    kind = draw(st.sampled_from([k for k in _Kind if k in kinds]))
    fitting = [(site, fit) for site, all_ in places if (fit := [c for c in all_ if c.kind is kind])]
    site, changes = draw(st.sampled_from(fitting))
    change = draw(st.sampled_from(changes))
    site.put(change.make())
    strict = kind not in (_Kind.MEMBER, _Kind.ABSENT)
    data = interface.codec.encode(name, value) if strict else _encode_relaxed(interface, name, value)
    if change.bad_text:
        data = data.replace(_MARKER.encode(), change.bad_text.ljust(len(_MARKER), b"a"), 1)
    return NearValid(data, f"{site.path}: {change.what}")


@lru_cache(maxsize=64)
def _relaxed(interface: Interface) -> Interface:
    return Interface(relaxed(interface.schema), interface.classes)


def _encode_relaxed(interface: Interface, name: str, value: Any) -> bytes:
    other = _relaxed(interface)
    for site in sites(interface, name, value, sys.maxsize):
        # FlatBuffers: a vector of one-byte enums is one of one-byte numbers there, and so bytes.
        same = next(f for f in other.schema.record(site.record.name).fields if f.id == site.field.id)
        if is_byte_vector(same.type) and isinstance(site.get(), list):
            site.put(bytes(site.get()))
    return other.codec.encode(name, value)


def _changes(interface: Interface, site: Site) -> Iterator[_Change]:
    field, type_ = site.field, site.field.type
    if field.nested is not None:
        return
    definition = interface.schema.by_name[type_.name] if isinstance(type_, Named) else None
    match type_:
        case Number(scalar):
            for value in boundaries(scalar):
                yield _Change(_Kind.BOUNDARY, f"boundary {value!r}", partial(_same, value))
        case String():
            for size in (0, *SIZES):
                yield _Change(_Kind.SIZE, f"text of {size} bytes", partial(str.ljust, "", size, "a"))
            for bad in _BAD_TEXT if type_.checked else ():
                yield _Change(_Kind.TEXT, f"text with {bad!r}, no UTF-8", partial(_same, _MARKER), bad)
        case _ if is_byte_vector(type_) or isinstance(type_, Bytes):
            for size in (0, *SIZES):
                yield _Change(_Kind.SIZE, f"{size} bytes", partial(bytes, size))
        case Named() if isinstance(definition, Enum):
            for value in _strangers(definition):
                what = f"{value} is no member of {definition.name}"
                yield _Change(_Kind.MEMBER, what, partial(_same, value))
        case Vector() if site.get():
            for size in ELEMENTS:
                yield _Change(_Kind.SIZE, f"{size} elements", partial(operator.mul, site.get()[:1], size))
        case _:
            pass
    if field.presence is Presence.REQUIRED and site.record.kind is not RecordKind.STRUCT:
        yield _Change(_Kind.ABSENT, "required and absent", partial(_absent, type_))


def _same(value: Any) -> Any:
    return value


def boundaries(scalar: Scalar) -> tuple[Any, ...]:
    """Numbers of a width at which something changes, 0 first."""
    if scalar is Scalar.BOOL:
        return (False, True)
    if scalar is Scalar.F32:
        largest = (2 - 2**-23) * 2.0**127
        return (0.0, -0.0, math.inf, -math.inf, math.nan, largest, -largest, 2.0**-149, 16_777_216.0)
    if scalar is Scalar.F64:
        return (0.0, -0.0, math.inf, -math.inf, math.nan, 1.7976931348623157e308, 5e-324, 2.0**53 + 2)
    low, high = scalar.range
    edges = {
        n + d
        for n in (low, 0, high, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF)
        for d in (-1, 0, 1)
    }
    return tuple(sorted((e for e in edges if low <= e <= high), key=lambda e: (abs(e), e)))


def _strangers(enum: Enum) -> list[int]:
    """Numbers that are no member, and for bit flags no combination."""
    known = {m.value for m in enum.members}
    bits = sum(known) if enum.bit_flags else 0
    low, high = enum.scalar.range
    near = {n + d for n in known or {0} for d in (-1, 1)} | {low, high, 0}
    strange = (n for n in near if low <= n <= high and n not in known)
    return sorted((n for n in strange if not enum.bit_flags or n & ~bits), key=lambda n: (abs(n), n))


def _absent(type_: Type) -> Any:
    if isinstance(type_, Vector):
        return b"" if is_byte_vector(type_) else []
    return None
