"""How many records the smallest value of each type has inside each other: where recursion may end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hlfuzz.schema.ir import (
    Array,
    Enum,
    Field,
    Named,
    Presence,
    Record,
    RecordKind,
    Schema,
    Type,
    Union,
    references,
)

ENDLESS: Final = 1 << 30
"""Height of a type that has no finite value: one that requires itself, or an enum without members."""


def heights(schema: Schema) -> Mapping[str, int]:
    """The height of each definition: 0 for enums and structs, 1 for a table without required tables.

    A union is as high as its lowest variant.
    """
    found = {d.name: ENDLESS for d in schema.definitions}
    users: dict[str, list[str]] = {d.name: [] for d in schema.definitions}
    for definition in schema.definitions:
        for name in references(definition):
            users[name].append(definition.name)
    waiting = list(found)
    while waiting:
        name = waiting.pop()
        height = _height(schema, schema.by_name[name], found)
        if height < found[name]:
            found[name] = height
            waiting += users[name]
    return found


def type_height(type_: Type, found: Mapping[str, int]) -> int:
    """The height of the smallest value of a type: vectors and maps may be empty."""
    return found[type_.name] if isinstance(type_, Named) else 0


def field_height(field: Field, found: Mapping[str, int]) -> int:
    """The height of the smallest value of a field, also of the table in a nested buffer."""
    return found[field.nested] if field.nested is not None else type_height(field.type, found)


def _height(schema: Schema, definition: Record | Enum | Union, found: Mapping[str, int]) -> int:
    match definition:
        case Enum():
            return 0 if definition.members or definition.bit_flags or not definition.closed else ENDLESS
        case Union():
            return min((type_height(v.type, found) for v in definition.variants), default=ENDLESS)
        case Record(kind=RecordKind.STRUCT):
            inner = (f.type.element if isinstance(f.type, Array) else f.type for f in definition.fields)
            return max((type_height(t, found) for t in inner), default=0)
        case Record():
            required = (field_height(f, found) for f in definition.fields if f.presence is Presence.REQUIRED)
            return min(ENDLESS, 1 + max(required, default=0))
