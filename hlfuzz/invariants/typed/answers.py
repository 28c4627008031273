"""Answers of stand-ins: valid values that depend on nothing but the request, so that every run gets the same.

No Hypothesis here: what a case does must not change with the release of a library.
"""

from __future__ import annotations

from random import Random
from typing import Any, Final, cast

from hlfuzz.bindings import Interface
from hlfuzz.schema.ir import (
    Array,
    Bytes,
    CString,
    Enum,
    Field,
    Map,
    Method,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    ResultForm,
    Scalar,
    String,
    Type,
    Union,
    Vector,
)
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import is_byte_vector

MAX_DEPTH: Final = 16
"""Records in records; a type that needs more has no answer."""
_FULL_DEPTH: Final = 2
"""Deeper than this only what is required is there."""
_TEXTS: Final = ("", "a", "deny", "hlfuzz", "0", "true", "127.0.0.1")
_NUMBERS: Final = (0, 0, 1, 2, 100, 0x7F, 0xFFFF)


class NoAnswerError(Exception):
    """A type has no value that is small enough."""


class Answers:
    """Makes values of one interface. The same random source makes the same values."""

    def __init__(self, interface: Interface) -> None:
        self._interface = interface
        self._schema = interface.schema

    def record(self, name: str, rng: Random) -> Any:
        """A valid value of a record: every other one with nothing in it but what is required. Raises
        `NoAnswerError`."""
        return self._named(name, rng, 0 if rng.random() < 0.5 else _FULL_DEPTH)

    def results(self, method: Method, rng: Random) -> Any:
        """What a raw host function answers: numbers, bytes for an `out` parameter or a result of bytes."""
        if method.form is ResultForm.INPLACE:
            return b""
        if method.form is not ResultForm.NONE:
            return rng.randbytes(rng.randrange(17))
        numbers: list[Any] = [self._number(s, rng) for s in method.results]
        if any(p.out for p in method.parameters):
            numbers[-1:] = [rng.randbytes(rng.randrange(17))]
        return tuple(numbers) if len(numbers) > 1 else numbers[0] if numbers else None

    def _named(self, name: str, rng: Random, left: int) -> Any:
        if left < -MAX_DEPTH:
            raise NoAnswerError(name)
        match self._schema.by_name[name]:
            case Record() as record:
                return self._record(record, rng, left)
            case Enum() as enum:
                return self._enum(enum, rng)
            case Union() as union:
                return self._union(union, rng, left)

    def _record(self, record: Record, rng: Random, left: int) -> Any:
        names = field_names(record)
        values: dict[str, Any] = {}
        for field in record.fields:
            must = record.kind is RecordKind.STRUCT or field.presence is Presence.REQUIRED
            if must or (left > 0 and rng.random() < 0.7):
                values[names[field.name]] = self._field(field, rng, left - 1)
        return cast("Any", self._interface.classes.definitions[record.name])(**values)

    def _field(self, field: Field, rng: Random, left: int) -> Any:
        if field.nested is not None:
            return self._interface.codec.encode(field.nested, self._named(field.nested, rng, left))
        return self._value(field.type, rng, left)

    def _enum(self, enum: Enum, rng: Random) -> Any:
        cls = cast("Any", self._interface.classes.definitions[enum.name])
        if not enum.members:
            raise NoAnswerError(enum.name)
        return cls(rng.choice(enum.members).value)

    def _union(self, union: Union, rng: Random, left: int) -> Any:
        for variant in rng.sample(union.variants, len(union.variants)):
            try:
                value = self._value(variant.type, rng, left)
            except NoAnswerError:
                continue
            return self._interface.classes.variants[union.name, variant.tag](value)
        raise NoAnswerError(union.name)

    def _value(self, type_: Type, rng: Random, left: int) -> Any:
        match type_:
            case Number(scalar):
                return self._number(scalar, rng)
            case String() | CString():
                return rng.choice(_TEXTS)
            case _ if is_byte_vector(type_):
                return rng.randbytes(rng.randrange(17))
            case Bytes():
                return rng.randbytes(rng.randrange(17))
            case Named(name):
                return self._named(name, rng, left)
            case Vector(element):
                return [self._value(element, rng, left) for _ in range(rng.randrange(3) if left > 0 else 0)]
            case Array(element, length):
                return [self._value(element, rng, left)] * length
            case Map(key, value):
                pairs = range(rng.randrange(3) if left > 0 else 0)
                return {self._value(key, rng, left): self._value(value, rng, left) for _ in pairs}

    def _number(self, scalar: Scalar, rng: Random) -> Any:
        if scalar is Scalar.BOOL:
            return rng.random() < 0.5
        if scalar.is_float:
            return rng.choice((0.0, 1.0, -1.5, 1024.0))
        return min(rng.choice(_NUMBERS), scalar.range[1])
