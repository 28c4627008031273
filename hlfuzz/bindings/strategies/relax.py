"""The same interface without what a wire codec enforces, to encode values that it refuses.

Enums become their numbers and required fields optional ones. The bytes have the layout of the real schema:
only rules are gone, none of which has a place on the wire.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from hlfuzz.schema.ir import (
    Array,
    Coding,
    Definition,
    Element,
    Enum,
    Field,
    Format,
    Map,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Schema,
    Type,
    Union,
    Vector,
)


def relaxed(schema: Schema) -> Schema:
    """A schema whose encoder takes any number for an enum and leaves out required fields."""
    return replace(schema, definitions=tuple(_definition(schema, d) for d in schema.definitions), services=())


def _definition(schema: Schema, definition: Definition) -> Definition:
    match definition:
        case Record():
            struct = definition.kind is RecordKind.STRUCT
            return replace(definition, fields=tuple(_field(schema, f, struct) for f in definition.fields))
        case Union():
            variants = (replace(v, type=cast("Element", _type(schema, v.type))) for v in definition.variants)
            return replace(definition, variants=tuple(variants))
        case Enum():
            return definition


def _field(schema: Schema, field: Field, in_struct: bool) -> Field:
    type_ = _type(schema, field.type)
    if field.presence is not Presence.REQUIRED or in_struct:
        return replace(field, type=type_)
    # Empty vectors and maps are not written; of everything else None is absent.
    empty_is_absent = isinstance(type_, Vector | Map)
    presence = Presence.IMPLICIT if empty_is_absent else Presence.OPTIONAL
    return replace(field, type=type_, presence=presence)


def _type(schema: Schema, type_: Type) -> Type:
    match type_:
        case Named(name):
            found = schema.by_name[name]
            if not isinstance(found, Enum):
                return type_
            coding = Coding.VARINT if schema.format is Format.PROTO else Coding.PLAIN
            return Number(found.scalar, coding)
        case Vector(element, packed):
            return Vector(cast("Element", _type(schema, element)), packed)
        case Array(element, length):
            return Array(cast("Number | Named", _type(schema, element)), length)
        case Map(key, value):
            return Map(key, cast("Element", _type(schema, value)))
        case _:
            return type_
