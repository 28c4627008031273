"""What a change of a FlatBuffers schema breaks: the verdicts of `flatc --conform`, and those on services.

Tables and structs are compared by full name, their fields by name and then by place; a definition that is in
one schema only breaks nothing. As in flatc, types are equal when their names without namespace are, and the
number of elements of an array does not count (the fields behind it move).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hlfuzz.schema.conform.breakage import Breakage
from hlfuzz.schema.conform.services import service_breakages
from hlfuzz.schema.ir import (
    Array,
    Default,
    Enum,
    Field,
    Named,
    Number,
    Position,
    Presence,
    Record,
    RecordKind,
    Schema,
    String,
    Type,
    Union,
    Vector,
)

_WIDE = ("offset64", "vector64")
_UNION_TAGS = "underlying_type"


@dataclass(frozen=True, slots=True)
class _Slot:
    """A field as it is on the wire: `place` is the byte offset in the struct, or in the vtable of a table."""

    name: str
    place: int
    type: str
    default: Default
    optional: bool
    wide: str
    position: Position | None


def fbs_breakages(old: Schema, new: Schema) -> Iterator[Breakage]:
    """What peers on the two schemas disagree on, in order of the new schema."""
    for definition in new.definitions:
        other = old.by_name.get(definition.name)
        match definition, other:
            case Record(), Record():
                yield from _records(old, other, new, definition)
            case Enum(), Enum():
                yield from _enums(other, definition)
            case Union(), Union():
                yield from _unions(other, definition)
            case (Enum(), Union()) | (Union(), Enum()):
                message = f"was {_kind(other)}, is {_kind(definition)}"
                yield Breakage("type-changed", definition.name, message, definition.position)
            case _:
                # New, or a record in place of an enum: flatc looks for each kind by itself.
                pass
    yield from service_breakages(old, new)


def _records(old: Schema, before: Record, new: Schema, after: Record) -> Iterator[Breakage]:
    old_slots = {s.name: s for s in _slots(old, before)}
    new_slots = {s.name: s for s in _slots(new, after)}
    by_place = {s.place: s for s in reversed(old_slots.values())}
    renamed: set[str] = set()
    for slot in new_slots.values():
        path = f"{after.name}.{slot.name}"
        if slot.name in old_slots:
            tables = before.kind is after.kind is RecordKind.TABLE
            yield from _fields(old_slots[slot.name], slot, path, tables)
        elif slot.place in by_place:
            was = by_place[slot.place]
            renamed.add(was.name)
            if was.type != slot.type:
                message = f"{was.name} ({was.type}) was renamed, and is now {slot.type}"
                yield Breakage("field-renamed-to-other-type", path, message, slot.position)
    for slot in old_slots.values():
        if slot.name not in new_slots and slot.name not in renamed:
            message = "was removed; mark it as deprecated instead"
            yield Breakage("field-removed", f"{after.name}.{slot.name}", message, slot.position)


def _fields(before: _Slot, after: _Slot, path: str, tables: bool) -> Iterator[Breakage]:
    if before.place != after.place:
        message = f"offset was {before.place}, is {after.place}"
        if tables:
            message = f"id was {before.place // 2 - 2}, is {after.place // 2 - 2}"
        yield Breakage("field-moved", path, message, after.position)
    if before.type != after.type:
        message = f"type was {before.type}, is {after.type}"
        yield Breakage("field-type-changed", path, message, after.position)
    elif before.optional != after.optional or not _same(before.default, after.default):
        message = f"default was {_shown(before)}, is {_shown(after)}"
        yield Breakage("default-changed", path, message, after.position)
    if before.wide != after.wide:
        message = f"its offset was {before.wide or 'offset32'}, is {after.wide or 'offset32'}"
        yield Breakage("field-offset-size-changed", path, message, after.position)


def _enums(before: Enum, after: Enum) -> Iterator[Breakage]:
    values = {m.name: m.value for m in before.members}
    for member in after.members:
        if values.get(member.name, member.value) != member.value:
            message = f"value was {values[member.name]}, is {member.value}"
            yield Breakage("enum-value-changed", f"{after.name}.{member.name}", message, member.position)
    if before.scalar is not after.scalar:
        message = f"underlying type was {before.scalar}, is {after.scalar}"
        yield Breakage("underlying-type-changed", after.name, message, after.position)


def _unions(before: Union, after: Union) -> Iterator[Breakage]:
    tags = {v.name: v.tag for v in before.variants}
    for variant in after.variants:
        if tags.get(variant.name, variant.tag) != variant.tag:
            message = f"tag was {tags[variant.name]}, is {variant.tag}"
            yield Breakage("union-tag-changed", f"{after.name}.{variant.name}", message, variant.position)
    was, now = _tags(before), _tags(after)
    if was != now:
        message = f"underlying type was {was or 'not given'}, is {now or 'not given'}"
        yield Breakage("underlying-type-changed", after.name, message, after.position)


def _slots(schema: Schema, record: Record) -> Iterator[_Slot]:
    """Fields in order, with the tags of unions as fields of their own (as flatc has them)."""
    end = 0
    for field in record.fields:
        place = 4 + 2 * field.id
        if record.kind is RecordKind.STRUCT:
            size, align = _layout(schema, field.type)
            place = -(-end // align) * align
            end = place + size
        element = field.type.element if isinstance(field.type, Vector | Array) else field.type
        if isinstance(element, Named) and isinstance(schema.by_name[element.name], Union):
            tags = f"{_type(schema, field.type)} tag"
            yield _Slot(f"{field.name}_type", place - 2, tags, None, False, "", field.position)
        yield _Slot(
            field.name,
            place,
            _type(schema, field.type),
            field.default,
            field.presence is Presence.OPTIONAL and _is_number(schema, field),
            next((a.name for a in field.attributes if a.name in _WIDE), ""),
            field.position,
        )


def _is_number(schema: Schema, field: Field) -> bool:
    """Whether an absent value is null rather than no offset."""
    return isinstance(field.type, Number) or (
        isinstance(field.type, Named) and isinstance(schema.by_name[field.type.name], Enum)
    )


def _type(schema: Schema, type_: Type) -> str:
    """A type as text that is equal when flatc takes types for equal."""
    match type_:
        case Vector(element):
            return f"[{_type(schema, element)}]"
        case Array(element):
            return f"[{_type(schema, element)}:n]"
        case Named(name):
            found = schema.by_name[name]
            short = name.rpartition(".")[2]
            if isinstance(found, Enum):
                return f"enum {short}: {found.scalar}"
            # A table and a struct of one name are equal to flatc.
            return f"union {short}" if isinstance(found, Union) else f"record {short}"
        case Number(scalar):
            return str(scalar)
        case String():
            return "string"
        case _:
            raise AssertionError(type_)


def _layout(schema: Schema, type_: Type) -> tuple[int, int]:
    """Size and alignment in bytes of what a struct holds."""
    match type_:
        case Number(scalar):
            return scalar.size, scalar.size
        case Array(element, length):
            size, align = _layout(schema, element)
            return size * length, align
        case Named(name):
            found = schema.by_name[name]
            if isinstance(found, Enum):
                return found.scalar.size, found.scalar.size
            assert isinstance(found, Record)
            return found.size, found.align
        case _:
            raise AssertionError(type_)


def _tags(union: Union) -> str:
    return next((a.value for a in union.attributes if a.name == _UNION_TAGS), "")


def _same(before: Default, after: Default) -> bool:
    if isinstance(before, float) and isinstance(after, float) and math.isnan(before) and math.isnan(after):
        return True
    return before == after


def _shown(slot: _Slot) -> str:
    return "null" if slot.optional else "none" if slot.default is None else repr(slot.default)


def _kind(definition: Enum | Union) -> str:
    return "an enum" if isinstance(definition, Enum) else "a union"
