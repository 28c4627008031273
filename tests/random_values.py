"""Values of any type of a schema from a seeded generator: fast, for tests that need very many."""

from __future__ import annotations

import struct
from functools import cached_property
from random import Random
from typing import Any

from hlfuzz.schema.ir import (
    Array,
    Bytes,
    Enum,
    Field,
    Map,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    String,
    Type,
    Union,
    Vector,
)
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes, enum_value, is_byte_vector
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, flatbuffers_codec

_TEXT = ("", "a", "plain ASCII text", "é", "漢字", "😀", "zero\0inside", "x" * 40)


class RandomValues:
    """Values of one schema. Records nest at most `depth` deep, vectors have at most `longest` elements."""

    def __init__(
        self, schema: Schema, classes: Classes, seed: int, *, depth: int = 3, longest: int = 3
    ) -> None:
        self._schema = schema
        self._classes = classes
        self._random = Random(seed)
        self._depth = depth
        self._longest = longest

    def record(self, name: str, depth: int = 0) -> Any:
        """A value of the record `name`."""
        record = self._schema.record(name)
        attributes = field_names(record)
        given = {
            attributes[f.name]: self._field(f, depth)
            for f in record.fields
            if self._present(record, f, depth)
        }
        return self._classes.definitions[name](**given)

    @cached_property
    def _codec(self) -> FlatBuffersCodec:
        return flatbuffers_codec(self._schema, self._classes)

    def _present(self, record: Record, f: Field, depth: int) -> bool:
        if record.kind is RecordKind.STRUCT or f.presence is Presence.REQUIRED:
            return True
        return depth < self._depth and self._random.random() < 0.7

    def _field(self, f: Field, depth: int) -> Any:
        if f.nested is not None:
            return self._codec.encode(f.nested, self.record(f.nested, depth + 1))
        return self._value(f.type, depth)

    def _value(self, type_: Type, depth: int) -> Any:
        count = self._random.randint(0, self._longest) if depth < self._depth else 0
        match type_:
            case Vector() if is_byte_vector(type_):
                return self._random.randbytes(self._random.choice((0, 1, 5, 33)))
            case Vector():
                return [self._element(type_.element, depth) for _ in range(count)]
            case Array():
                return [self._element(type_.element, depth) for _ in range(type_.length)]
            case Map():
                return {
                    self._element(type_.key, depth): self._element(type_.value, depth) for _ in range(count)
                }
            case _:
                return self._element(type_, depth)

    def _element(self, type_: Any, depth: int) -> Any:
        match type_:
            case Number():
                return self._number(type_.scalar)
            case String():
                return self._random.choice(_TEXT)
            case Bytes():
                return self._random.randbytes(self._random.choice((0, 1, 5, 33)))
            case Named():
                return self._named(type_, depth)
        raise AssertionError(type_)

    def _named(self, type_: Named, depth: int) -> Any:
        definition = self._schema.by_name[type_.name]
        match definition:
            case Record():
                return self.record(type_.name, depth + 1)
            case Enum():
                return self._enum(definition)
            case Union():
                variant = self._random.choice(definition.variants)
                value = self._element(variant.type, depth)
                return self._classes.variants[definition.name, variant.tag](value)

    def _enum(self, enum: Enum) -> Any:
        members = [m.value for m in enum.members]
        number = self._random.choice(members)
        if enum.bit_flags:
            for value in members:
                number |= value if self._random.random() < 0.3 else 0
        return enum_value(self._classes.definitions[enum.name], number)

    def _number(self, scalar: Scalar) -> Any:
        if scalar is Scalar.BOOL:
            return self._random.random() < 0.5
        if scalar is Scalar.F64:
            return self._random.choice((0.0, -1.5, 1e300, float("inf"), self._random.random()))
        if scalar is Scalar.F32:
            return struct.unpack("<f", struct.pack("<f", self._random.uniform(-1e6, 1e6)))[0]
        low, high = scalar.range
        return self._random.choice((low, high, 0, 1, self._random.randint(low, high)))
