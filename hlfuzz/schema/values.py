"""Python classes for the values of a schema: dataclasses, enums and union variants.

What a value is, by its type: numbers `bool`, `int`, `float`; text `str`; byte vectors (FlatBuffers `[ubyte]`
too) `bytes`; other vectors and arrays `list`; maps `dict`; enums `IntEnum`, or `IntFlag` for bit flags (a
plain `int` where an open enum has no such member); records dataclasses, keyword-only except for structs; a
union's value an instance of its variant's class, which has one attribute, `value`. An absent optional field
is None.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Any

from hlfuzz.schema.ir import (
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
from hlfuzz.schema.names import class_names, field_names, member_names, variant_names


@dataclass(frozen=True)
class Classes:
    """The Python classes of one schema: of definitions by full name, of union variants by (union, tag).

    Unions themselves have no class; generated code has a type alias for them.
    """

    definitions: Mapping[str, type[Any]]
    variants: Mapping[tuple[str, int], type[Any]]


def make_classes(schema: Schema) -> Classes:
    """Classes of the same shape as generated ones, for use without generated code."""
    names = class_names(schema)
    definitions: dict[str, type[Any]] = {}
    for definition in schema.definitions:
        if isinstance(definition, Enum):
            definitions[definition.name] = _enum(definition, names[definition.name])
    for definition in schema.definitions:
        if isinstance(definition, Record):
            definitions[definition.name] = _record(schema, definition, names[definition.name], definitions)
    variants: dict[tuple[str, int], type[Any]] = {
        key: make_dataclass(name, ["value"], slots=True) for key, name in variant_names(schema).items()
    }
    return Classes(definitions, variants)


def _enum(definition: Enum, name: str) -> Any:
    members = member_names(definition)
    values = {members[m.name]: m.value for m in definition.members}
    if definition.bit_flags:
        return enum.IntFlag(name, values, boundary=enum.FlagBoundary.KEEP)
    return enum.IntEnum(name, values)


def _record(schema: Schema, record: Record, name: str, enums: Mapping[str, type[Any]]) -> type[Any]:
    attributes = field_names(record)
    fields: list[Any] = []
    for f in record.fields:
        if f.presence is Presence.REQUIRED or record.kind is RecordKind.STRUCT:
            fields.append(attributes[f.name])
        else:
            fields.append((attributes[f.name], "Any", _default(schema, f, enums)))
    return make_dataclass(name, fields, slots=True, kw_only=record.kind is not RecordKind.STRUCT)


def _default(schema: Schema, f: Field, enums: Mapping[str, type[Any]]) -> Any:
    if isinstance(f.type, Vector):
        return field(default=b"") if is_byte_vector(f.type) else field(default_factory=list[Any])
    if isinstance(f.type, Map):
        return field(default_factory=dict[Any, Any])
    return field(default=default_value(schema, f, enums))


def default_value(schema: Schema, f: Field, enums: Mapping[str, type[Any]]) -> Any:
    """What an absent field that is no vector or map reads as; enum values as members where there is one."""
    if f.presence is not Presence.IMPLICIT:
        return None
    if isinstance(f.type, Named) and isinstance(schema.by_name[f.type.name], Enum):
        return enum_value(enums[f.type.name], f.default)
    if f.default is not None:
        return f.default
    if isinstance(f.type, String):
        return ""
    if isinstance(f.type, Bytes):
        return b""
    if isinstance(f.type, Number):
        return False if f.type.scalar is Scalar.BOOL else 0.0 if f.type.scalar.is_float else 0
    return None


def enum_value(cls: type[Any], number: Any) -> Any:
    """The member of an enum class with this number, or the number itself when it has none."""
    try:
        return cls(number)
    except ValueError:
        return number


def is_byte_vector(type_: Type) -> bool:
    """Whether values are `bytes`: Protobuf and raw byte vectors, and FlatBuffers `[ubyte]`."""
    return isinstance(type_, Bytes) or (
        isinstance(type_, Vector)
        and isinstance(type_.element, Number)
        and type_.element.scalar is Scalar.U8
        and not type_.packed
    )


def is_union(schema: Schema, type_: Type) -> bool:
    """Whether a type names a union (not a vector of unions)."""
    return isinstance(type_, Named) and isinstance(schema.by_name[type_.name], Union)
