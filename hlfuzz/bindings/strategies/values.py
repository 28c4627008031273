"""Valid values: a strategy for each type and depth, made once.

A field that may be absent is drawn as absent first, so that a value shrinks to one with every field as a
reader of an empty message sees it.
"""

from __future__ import annotations

import functools
from typing import Any, Final, Unpack, cast

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.strategies.bounds import Bounds, BoundsOptions
from hlfuzz.bindings.strategies.heights import ENDLESS, field_height, heights, type_height
from hlfuzz.errors import UsageError
from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import (
    Array,
    Bytes,
    CString,
    Enum,
    Field,
    Map,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    String,
    Type,
    Union,
    Vector,
)
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import enum_value, is_byte_vector
from hlfuzz.schema.wire.base import MAX_DEPTH

_ABSENT: Final = object()
_WIDE: Final = 12
"""Fields of a record that are present in a middling example of a wide one."""
_DRAWN_ARRAY: Final = 16
"""Elements of a long array that are drawn; the rest repeats them, or no value would fit into an example."""


def valid(interface: Interface, name: str, **bounds: Unpack[BoundsOptions]) -> SearchStrategy[Any]:
    """Valid values of the definition `name` (a full name of the schema).

    Raises: UsageError for an unknown name, bounds out of range, or a type that has no finite value.
    """
    return builder(interface, Bounds(**bounds)).definition(name)


@functools.lru_cache(maxsize=64)
def builder(interface: Interface, bounds: Bounds) -> Builder:
    """The strategies of an interface within bounds; the same for the same arguments."""
    return Builder(interface, bounds)


class _Named:
    """A strategy by its type's name. Without it the text of a strategy, which every failure shows, would hold
    that of all types inside, again and again."""

    def __init__(self, name: str, strategy: SearchStrategy[Any]) -> None:
        self._name = name
        self.strategy = strategy

    def __repr__(self) -> str:
        return self._name


@st.composite
def value_of(draw: st.DrawFn, type: _Named) -> Any:
    """Values of a definition."""
    return draw(type.strategy)


class Builder:
    """Makes strategies for the types of one interface, each once for each depth."""

    def __init__(self, interface: Interface, bounds: Bounds) -> None:
        self._interface = interface
        self._schema = interface.schema
        self._classes = interface.classes
        self.bounds = bounds
        self._heights = heights(interface.schema)
        self._made: dict[tuple[str, int], SearchStrategy[Any]] = {}

    def definition(self, name: str) -> SearchStrategy[Any]:
        """Values of a definition, as deep as the bounds allow."""
        if name not in self._heights:
            known = did_you_mean(name, self._heights, "use a full name of the schema")
            raise UsageError(f"unknown type {name!r} ({self._schema.name}): {known}")
        height = self._heights[name]
        if height > MAX_DEPTH:
            why = "it requires itself" if height >= ENDLESS else f"it requires {height} records in each other"
            raise UsageError(f"no value of {name!r} can be made ({self._schema.name}): {why}")
        return self._definition(name, max(self.bounds.max_depth, height))

    def type(self, type_: Type) -> SearchStrategy[Any]:
        """Values of a type, as deep as the bounds allow."""
        return self._type(type_, self.bounds.max_depth)

    def _definition(self, name: str, depth: int) -> SearchStrategy[Any]:
        found = self._made.get((name, depth))
        if found is None:
            found = self._made[name, depth] = value_of(_Named(name, self._make(name, depth)))
        return found

    def _make(self, name: str, depth: int) -> SearchStrategy[Any]:
        match self._schema.by_name[name]:
            case Enum() as enum:
                return self._enum(enum)
            case Union() as union:
                return self._union(union, depth)
            case Record() as record:
                return self._record(record, depth)

    def _record(self, record: Record, depth: int) -> SearchStrategy[Any]:
        attributes = field_names(record)
        struct = record.kind is RecordKind.STRUCT
        inner = depth if struct else depth - 1
        fields: dict[str, SearchStrategy[Any]] = {}
        for field in record.fields:
            must = struct or field.presence is Presence.REQUIRED
            if must or field_height(field, self._heights) <= inner:
                made = self._field(field, inner)
                fields[attributes[field.name]] = made if must else st.one_of(*self._absences(record), made)
        cls = self._classes.definitions[record.name]
        # Not as a dictionary's optional keys: those are drawn in random order, and shrink badly.
        names = tuple(fields)
        return st.tuples(*fields.values()).map(
            lambda values: cls(**{n: v for n, v in zip(names, values, strict=True) if v is not _ABSENT})
        )

    def _absences(self, record: Record) -> list[SearchStrategy[Any]]:
        """Alternatives to a field's value: one, and more in wide records, of whose fields few are present."""
        return [st.just(_ABSENT) for _ in range(1 + len(record.fields) // _WIDE)]

    def _field(self, field: Field, depth: int) -> SearchStrategy[Any]:
        if field.nested is not None:
            encode = functools.partial(self._interface.codec.encode, field.nested)
            return self._definition(field.nested, depth).map(encode)
        return self._type(field.type, depth)

    def _union(self, union: Union, depth: int) -> SearchStrategy[Any]:
        choices = [
            self._type(v.type, depth).map(self._classes.variants[union.name, v.tag])
            for v in union.variants
            if type_height(v.type, self._heights) <= depth
        ]
        return st.one_of(choices)

    def _enum(self, enum: Enum) -> SearchStrategy[Any]:
        cls = cast("Any", self._classes.definitions[enum.name])
        numbers = list(dict.fromkeys(m.value for m in enum.members))
        if enum.bit_flags:
            bits = st.sets(st.sampled_from(numbers)) if numbers else st.just(cast("set[int]", set()))
            return bits.map(lambda chosen: cls(sum(chosen)))
        # The one that is zero first, because examples shrink to the first.
        members = [cls(n) for n in sorted(numbers, key=bool)]
        if enum.closed:
            return st.sampled_from(members)
        others = st.integers(*enum.scalar.range).map(lambda n: enum_value(cls, n))
        return st.one_of(st.sampled_from(members), others) if members else others

    def _type(self, type_: Type, depth: int) -> SearchStrategy[Any]:
        bounds = self.bounds
        match type_:
            case Number(scalar):
                return self.number(scalar)
            case String() | CString():
                return _text(bounds.max_text, "\0" if isinstance(type_, CString) else "")
            case _ if is_byte_vector(type_):
                return st.binary(max_size=bounds.max_bytes)
            case Bytes():
                return st.binary(max_size=bounds.max_bytes)
            case Named(name):
                return self._definition(name, depth)
            case Vector(element):
                if type_height(element, self._heights) > depth:
                    return st.builds(list[Any])
                return st.lists(self._type(element, depth), max_size=bounds.max_length)
            case Array(element, length):
                return self._array(self._type(element, depth), length)
            case Map(key, value):
                if type_height(value, self._heights) > depth:
                    return st.builds(dict[Any, Any])
                keys, held = self._type(key, depth), self._type(value, depth)
                return st.dictionaries(keys, held, max_size=bounds.max_length)

    def _array(self, element: SearchStrategy[Any], length: int) -> SearchStrategy[Any]:
        if length <= _DRAWN_ARRAY:
            return st.lists(element, min_size=length, max_size=length)
        some = st.lists(element, min_size=1, max_size=_DRAWN_ARRAY)
        return some.map(lambda drawn: (drawn * (length // len(drawn) + 1))[:length])

    def number(self, scalar: Scalar) -> SearchStrategy[Any]:
        """Numbers of a width."""
        if scalar is Scalar.BOOL:
            return st.booleans()
        if scalar.is_float:
            width = 32 if scalar is Scalar.F32 else 64
            return st.floats(width=width, allow_nan=self.bounds.allow_nan)
        return st.integers(*scalar.range)


def _text(most: int, without: str) -> SearchStrategy[str]:
    """ASCII as often as anything: what parsers look for is seldom found among a million characters."""
    ascii_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=most)
    any_text = st.text(st.characters(codec="utf-8", exclude_characters=without), max_size=most)
    return st.one_of(ascii_text, any_text)


def name_of(interface: Interface, record: type[Any] | str) -> str:
    """The full name of a table or message, given by its class or its name.

    Raises: UsageError for anything else of this interface, and of any other.
    """
    names = {id(cls): name for name, cls in interface.classes.definitions.items()}
    name = record if isinstance(record, str) else names.get(id(record), "")
    found = interface.schema.by_name.get(name)
    if isinstance(found, Record) and found.kind is not RecordKind.STRUCT:
        return name
    shown = record if isinstance(record, str) else record.__qualname__
    records = (d.name for d in interface.schema.definitions if isinstance(d, Record))
    known = did_you_mean(shown, records, "give the class or full name of one")
    raise UsageError(f"{shown!r} is no table or message of {interface.schema.name}: {known}")
