"""Hypothesis strategies of values for Protobuf schemas, and equality that knows NaN."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from hypothesis import strategies as st

from hlfuzz.schema.ir import (
    Bytes,
    Enum,
    Map,
    Named,
    Number,
    Presence,
    Record,
    Scalar,
    Schema,
    String,
    Type,
    Union,
    Vector,
)
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes, enum_value

_INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


class Values:
    """Strategies for the messages of one schema; messages nest at most `depth` deep."""

    def __init__(self, schema: Schema, classes: Classes, depth: int = 3) -> None:
        self._schema = schema
        self._classes = classes
        self._depth = depth
        self._made: dict[tuple[str, int], st.SearchStrategy[Any]] = {}

    def record(self, name: str, depth: int = 1) -> st.SearchStrategy[Any]:
        """Values of the message `name`."""
        key = name, depth
        if key not in self._made:
            self._made[key] = st.deferred(lambda: self._record(self._schema.record(name), depth))
        return self._made[key]

    def _record(self, record: Record, depth: int) -> st.SearchStrategy[Any]:
        names = field_names(record)
        required: dict[str, Any] = {}
        optional: dict[str, Any] = {}
        for f in record.fields:
            chosen = required if f.presence is Presence.REQUIRED else optional
            if depth < self._depth or f.presence is Presence.REQUIRED:
                chosen[names[f.name]] = self._type(f.type, depth)
        cls = self._classes.definitions[record.name]
        return st.fixed_dictionaries(required, optional=optional).map(lambda given: cls(**given))

    def _type(self, type_: Type, depth: int) -> st.SearchStrategy[Any]:
        match type_:
            case Number(scalar=Scalar.BOOL):
                return st.booleans()
            case Number(scalar=Scalar.F32 | Scalar.F64):
                return st.floats(width=32 if type_.scalar is Scalar.F32 else 64)
            case Number():
                return st.integers(*type_.scalar.range)
            case String():
                text = st.text(max_size=20)
                raw = st.binary(max_size=8).map(lambda b: b.decode(errors="surrogateescape"))
                return text if type_.checked else text | raw
            case Bytes():
                return st.binary(max_size=20)
            case Vector():
                return st.lists(self._type(type_.element, depth), max_size=4)
            case Map():
                # Keys are always Unicode: the runtime can hold no others.
                key = String() if isinstance(type_.key, String) else type_.key
                return st.dictionaries(self._type(key, depth), self._type(type_.value, depth), max_size=3)
            case Named():
                return self._named(type_.name, depth)
            case _:
                raise AssertionError(type_)

    def _named(self, name: str, depth: int) -> st.SearchStrategy[Any]:
        definition = self._schema.by_name[name]
        match definition:
            case Record():
                return self.record(name, depth + 1)
            case Enum():
                cls = self._classes.definitions[name]
                members = st.sampled_from([m.value for m in definition.members])
                numbers = members if definition.closed else members | _INT32
                return numbers.map(lambda number: enum_value(cls, number))
            case Union():
                return st.one_of(
                    self._type(v.type, depth).map(self._classes.variants[name, v.tag])
                    for v in definition.variants
                )


def same(a: Any, b: Any) -> bool:
    """Equality of values, types included, in which NaN is NaN and -0.0 is not 0.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b
