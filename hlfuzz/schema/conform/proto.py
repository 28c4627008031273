"""What a change of a Protobuf schema breaks: what peers on the two versions would misread or refuse.

Definitions are compared by full name, fields by number, enum members by number and name. Names of fields and
oneofs are not on the wire and may change; so may packing, which readers take either way, and a field may go
between implicit and explicit presence. A change must work in both directions: either side sends and receives.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Final

from hlfuzz.schema.conform.breakage import Breakage
from hlfuzz.schema.conform.services import service_breakages
from hlfuzz.schema.ir import (
    Attribute,
    Bytes,
    Coding,
    Definition,
    Element,
    Enum,
    Map,
    Named,
    Number,
    Position,
    Presence,
    Record,
    Schema,
    String,
    Type,
    Union,
    Vector,
)

_RANGE: Final = re.compile(r"(-?\d{1,10})(?: to (-?\d{1,10}))?")


@dataclass(frozen=True, slots=True)
class _Slot:
    """A field, or a variant of a oneof, as it is on the wire. `beside` are the numbers of its oneof."""

    name: str
    type: Type
    required: bool
    delimited: bool
    default: str | None
    beside: frozenset[int]
    position: Position | None


def proto_breakages(old: Schema, new: Schema) -> Iterator[Breakage]:
    """What peers on the two schemas disagree on, in order of the old schema."""
    for before in old.definitions:
        if isinstance(before, Union):
            continue
        after = new.by_name.get(before.name)
        match before, after:
            case _, None:
                yield Breakage(f"{_kind(before)}-removed", before.name, "was removed", before.position)
            case Record(), Record():
                yield from _messages(old, before, new, after)
            case Enum(), Enum():
                yield from _enums(before, after)
            case _:
                message = f"was of kind {_kind(before)}, is of kind {_kind(after)}"
                yield Breakage("kind-changed", before.name, message, after.position)
    yield from service_breakages(old, new)


def _kind(definition: Definition) -> str:
    return "message" if isinstance(definition, Record) else type(definition).__name__.lower()


def _messages(old: Schema, before: Record, new: Schema, after: Record) -> Iterator[Breakage]:
    olds, news = _slots(old, before), _slots(new, after)
    reserved = _ranges(after.attributes, "reserved")
    for number, slot in olds.items():
        path = f"{before.name}.{slot.name}"
        now = news.get(number)
        if now is not None:
            both = olds.keys() & news.keys()
            for rule, message in _field(old, slot, new, now, both):
                yield Breakage(rule, path, message, now.position)
        elif slot.required:
            message = f"field {number} was removed, and old readers require it"
            yield Breakage("required-field-removed", path, message, slot.position)
        elif not _covers(reserved, number, number):
            message = f"field {number} was removed: reserve its number, so that nothing else takes it"
            yield Breakage("field-removed", path, message, slot.position)
    for number, slot in news.items():
        if slot.required and number not in olds:
            message = f"field {number} is new and required: old writers do not send it"
            yield Breakage("required-field-added", f"{after.name}.{slot.name}", message, slot.position)
    yield from _unreserved(before.name, before.attributes, after.attributes, after.position)
    kept = _ranges(after.attributes, "extensions")
    for low, high in _ranges(before.attributes, "extensions"):
        if not _covers(kept, low, high):
            message = f"numbers {low} to {high} were open to extensions, and are no longer"
            yield Breakage("extension-range-removed", before.name, message, after.position)


def _field(old: Schema, was: _Slot, new: Schema, now: _Slot, both: Set[int]) -> Iterator[tuple[str, str]]:
    """Rules that a field in both schemas breaks; `both` are the numbers that both messages have."""
    if was.required != now.required:
        side, peers = ("new", "old") if now.required else ("old", "new")
        yield "required-changed", f"{side} readers require the field, and {peers} writers may leave it out"
    old_type, new_type = was.type, now.type
    if isinstance(old_type, Vector) != isinstance(new_type, Vector):
        one, many = ("was", "is") if isinstance(new_type, Vector) else ("is", "was")
        yield "field-cardinality-changed", f"{one} one value, {many} repeated"
        return
    if isinstance(old_type, Map) and isinstance(new_type, Map):
        pairs = [("keys ", old_type.key, new_type.key), ("values ", old_type.value, new_type.value)]
    else:
        pairs = [("", _element(old_type), _element(new_type))]
    for part, a, b in pairs:
        reason = _type_change(old, a, new, b)
        if reason is not None:
            rule, text = reason
            yield rule, f"{part}{text}"
    if was.delimited != now.delimited:
        form = {False: "after a length", True: "between tags"}
        yield "field-encoding-changed", f"was {form[was.delimited]}, is {form[now.delimited]}"
    if was.beside & both != now.beside & both:
        moved = sorted((was.beside ^ now.beside) & both)
        numbers = ", ".join(map(str, moved))
        yield (
            "field-oneof-changed",
            f"setting it clears other fields than before (those with numbers {numbers})",
        )
    if was.default != now.default:
        yield (
            "field-default-changed",
            f"absent was read as {_said(was.default)}, is read as {_said(now.default)}",
        )


def _type_change(old: Schema, was: Element | Map, new: Schema, now: Element | Map) -> tuple[str, str] | None:
    """Why values of one type cannot be read as the other, and the rule; None when they can."""
    text = f"were {_show(was)}, are {_show(now)}"
    match was, now:
        case String(), String():
            if was.checked != now.checked:
                strict = "new" if now.checked else "old"
                text = f"{strict} readers refuse text that is not UTF-8, and the others may write it"
                return "field-utf8-changed", text
            same = True
        case (String(), Bytes()) | (Bytes(), String()):
            same = not any(isinstance(t, String) and t.checked for t in (was, now))
        case Named(), Named():
            same = was.name == now.name
        case _:
            same = _group(old, was) == _group(new, now)
    return None if same else ("field-type-changed", text)


def _group(schema: Schema, type_: Element | Map) -> str:
    """What a type is on the wire: types of one group read each other's values (protobuf.dev, "Updating")."""
    match type_:
        case Number(coding=Coding.VARINT):
            return "varint"
        case Number(coding=Coding.ZIGZAG):
            return "zigzag"
        case Number(coding=Coding.FIXED):
            return f"fixed {type_.scalar.size}"
        case Number():
            return type_.scalar
        case Named():
            definition = schema.by_name[type_.name]
            # A reader of a closed enum drops numbers that it does not know.
            return "varint" if isinstance(definition, Enum) and not definition.closed else type_.name
        case _:
            return type(type_).__name__


def _enums(before: Enum, after: Enum) -> Iterator[Breakage]:
    if before.closed != after.closed:
        strict = "new" if after.closed else "old"
        message = f"{strict} readers drop numbers that are no members, and the others keep them"
        yield Breakage("enum-closedness-changed", before.name, message, after.position)
    names = {m.name: m for m in after.members}
    numbers = {m.value for m in after.members}
    reserved = _ranges(after.attributes, "reserved")
    for member in before.members:
        path, now = f"{before.name}.{member.name}", names.get(member.name)
        if now is not None and now.value != member.value:
            message = f"was {member.value}, is {now.value}"
            yield Breakage("enum-member-changed", path, message, now.position)
        elif member.value not in numbers and not _covers(reserved, member.value, member.value):
            message = f"member {member.value} was removed: reserve its number, so that nothing else takes it"
            yield Breakage("enum-member-removed", path, message, member.position)
    yield from _unreserved(before.name, before.attributes, after.attributes, after.position)


def _unreserved(
    name: str, before: tuple[Attribute, ...], after: tuple[Attribute, ...], position: Position | None
) -> Iterator[Breakage]:
    kept = _ranges(after, "reserved")
    for low, high in _ranges(before, "reserved"):
        if not _covers(kept, low, high):
            numbers = str(low) if low == high else f"{low} to {high}"
            message = (
                f"numbers {numbers} were reserved, and are no longer: peers may know them as something else"
            )
            yield Breakage("reservation-removed", name, message, position)


def _slots(schema: Schema, record: Record) -> Mapping[int, _Slot]:
    """The fields of a message by number, those of oneofs among them."""
    found: dict[int, _Slot] = {}
    for field in record.fields:
        union = schema.by_name[field.type.name] if isinstance(field.type, Named) else None
        if not isinstance(union, Union):
            required, default = field.presence is Presence.REQUIRED, _text(field.attributes, "default")
            found[field.id] = _Slot(
                field.name, field.type, required, field.delimited, default, frozenset(), field.position
            )
            continue
        numbers = frozenset(v.tag for v in union.variants)
        for v in union.variants:
            default = _text(union.attributes, f"default.{v.name}")
            found[v.tag] = _Slot(v.name, v.type, False, v.delimited, default, numbers - {v.tag}, v.position)
    return dict(sorted(found.items()))


def _element(type_: Type) -> Element | Map:
    """What is compared of a type that is no map in both schemas."""
    element = type_.element if isinstance(type_, Vector) else type_
    assert isinstance(element, Element | Map), "Protobuf has no other types"
    return element


def _text(attributes: tuple[Attribute, ...], name: str) -> str | None:
    return next((a.value for a in attributes if a.name == name), None)


def _ranges(attributes: tuple[Attribute, ...], name: str) -> list[tuple[int, int]]:
    """The ranges in an attribute of the front end, "2, 9 to 11", sorted; ends belong to them."""
    found = _RANGE.findall(_text(attributes, name) or "")
    return sorted((int(low), int(high or low)) for low, high in found)


def _covers(ranges: list[tuple[int, int]], low: int, high: int) -> bool:
    """Whether every number from `low` to `high` is in one of the ranges."""
    for start, end in ranges:
        if start <= low <= end:
            low = end + 1
        if low > high:
            return True
    return False


def _show(type_: Element | Map) -> str:
    match type_:
        case Number():
            return f"{type_.scalar} ({type_.coding})" if type_.coding is not Coding.PLAIN else type_.scalar
        case Named():
            return type_.name
        case _:
            return type(type_).__name__.lower()


def _said(default: str | None) -> str:
    return "nothing" if default is None else repr(default)
