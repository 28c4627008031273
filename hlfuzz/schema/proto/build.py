"""Turns protoc's descriptors into the IR: messages, enums, oneofs, maps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from hlfuzz.schema.ir import (
    Attribute,
    Bytes,
    Coding,
    Default,
    Definition,
    Element,
    Enum,
    Field,
    Map,
    Member,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    String,
    Type,
    Union,
    Variant,
    Vector,
)
from hlfuzz.schema.proto.features import Features, FieldPresence, of_field, of_file
from hlfuzz.schema.proto.places import Path, Places
from hlfuzz.schema.proto.runtime import descriptor_pb2

_FIELD: Final[Any] = descriptor_pb2.FieldDescriptorProto
# Field numbers of descriptor.proto, of which the paths of source information are made.
_FILE_MESSAGE, _FILE_ENUM = 4, 5
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM, _MESSAGE_ONEOF = 2, 3, 4, 8
_ENUM_VALUE: Final = 2

_NUMBERS: Final = {
    _FIELD.TYPE_DOUBLE: Number(Scalar.F64),
    _FIELD.TYPE_FLOAT: Number(Scalar.F32),
    _FIELD.TYPE_INT64: Number(Scalar.I64, Coding.VARINT),
    _FIELD.TYPE_UINT64: Number(Scalar.U64, Coding.VARINT),
    _FIELD.TYPE_INT32: Number(Scalar.I32, Coding.VARINT),
    _FIELD.TYPE_UINT32: Number(Scalar.U32, Coding.VARINT),
    _FIELD.TYPE_BOOL: Number(Scalar.BOOL, Coding.VARINT),
    _FIELD.TYPE_SINT32: Number(Scalar.I32, Coding.ZIGZAG),
    _FIELD.TYPE_SINT64: Number(Scalar.I64, Coding.ZIGZAG),
    _FIELD.TYPE_FIXED32: Number(Scalar.U32, Coding.FIXED),
    _FIELD.TYPE_FIXED64: Number(Scalar.U64, Coding.FIXED),
    _FIELD.TYPE_SFIXED32: Number(Scalar.I32, Coding.FIXED),
    _FIELD.TYPE_SFIXED64: Number(Scalar.I64, Coding.FIXED),
}
_PRESENCE: Final = {
    FieldPresence.EXPLICIT: Presence.OPTIONAL,
    FieldPresence.IMPLICIT: Presence.IMPLICIT,
    FieldPresence.LEGACY_REQUIRED: Presence.REQUIRED,
}


def definitions(file: Any, places: Places) -> Iterator[Definition]:
    """The definitions of a `FileDescriptorProto`, each message before what is nested in it."""
    builder = _Builder(places)
    features, scope = of_file(file), f"{file.package}." if file.package else ""
    for index, enum in enumerate(file.enum_type):
        yield builder.enum(enum, scope, (_FILE_ENUM, index), features)
    for index, message in enumerate(file.message_type):
        yield from builder.message(message, scope, (_FILE_MESSAGE, index), features)


class _Builder:
    """Builds what one file defines."""

    def __init__(self, places: Places) -> None:
        self._places = places

    def enum(self, enum: Any, scope: str, path: Path, parent: Features) -> Enum:
        place, features = self._places.at(path), parent.override(enum)
        members: list[Member] = []
        for index, value in enumerate(enum.value):
            at = self._places.at((*path, _ENUM_VALUE, index))
            members.append(Member(value.name, value.number, _deprecated(value), at.doc, at.position))
        # Unlike those of messages, the ends of an enum's reserved ranges belong to them.
        reserved = [(r.start, r.end) for r in enum.reserved_range]
        return Enum(
            f"{scope}{enum.name}",
            Scalar.I32,
            tuple(members),
            closed=not features.open_enums,
            attributes=_attributes(enum, reserved),
            doc=place.doc,
            position=place.position,
        )

    def message(self, message: Any, scope: str, path: Path, parent: Features) -> Iterator[Definition]:
        name, place, features = f"{scope}{message.name}", self._places.at(path), parent.override(message)
        entries = {f".{name}.{n.name}": n for n in message.nested_type if n.options.map_entry}
        fields: list[Field] = []
        variants: defaultdict[int, list[tuple[Any, Variant]]] = defaultdict(list)
        for index, field in enumerate(message.field):
            at = (*path, _MESSAGE_FIELD, index)
            if field.HasField("oneof_index") and not field.proto3_optional:
                oneof = features.override(message.oneof_decl[field.oneof_index])
                variants[field.oneof_index].append((field, self._variant(field, at, oneof)))
            else:
                fields.append(self._field(field, at, features, entries))
        unions = [
            self._union(message.oneof_decl[index], name, (*path, _MESSAGE_ONEOF, index), found)
            for index, found in variants.items()
        ]
        fields += [_oneof_field(union) for union in unions]
        attributes = _attributes(message, [(r.start, r.end - 1) for r in message.reserved_range])
        extensions = [(r.start, r.end - 1) for r in message.extension_range]
        if extensions:
            attributes += (Attribute("extensions", _ranges(extensions)),)
        if message.options.message_set_wire_format:
            attributes += (Attribute("message_set_wire_format", "true"),)
        ordered = tuple(sorted(fields, key=lambda f: f.id))
        yield Record(
            name,
            RecordKind.MESSAGE,
            ordered,
            attributes=attributes,
            doc=place.doc,
            position=place.position,
        )
        yield from unions
        for index, enum in enumerate(message.enum_type):
            yield self.enum(enum, f"{name}.", (*path, _MESSAGE_ENUM, index), features)
        for index, nested in enumerate(message.nested_type):
            if not nested.options.map_entry:
                # protoc refuses messages nested deeper than 32, so this recursion is bounded.
                yield from self.message(nested, f"{name}.", (*path, _MESSAGE_NESTED, index), features)

    def _field(self, field: Any, path: Path, parent: Features, entries: dict[str, Any]) -> Field:
        place, features = self._places.at(path), of_field(field, parent)
        repeated = field.label == _FIELD.LABEL_REPEATED
        entry = entries.get(field.type_name) if repeated else None
        delimited, presence, default = False, Presence.IMPLICIT, None
        if entry is not None:
            # Entries and their values always have lengths. protoc copies the field's features into them.
            type_: Type = _map(entry, parent)
        else:
            element = _element(field, features)
            delimited = features.delimited and _is_message(field)
            type_ = Vector(element, features.packed and _is_packable(field)) if repeated else element
            if not repeated:
                presence = _PRESENCE[FieldPresence(features.presence)]
                if presence is Presence.IMPLICIT and _is_message(field):
                    presence = Presence.OPTIONAL
                if presence is Presence.IMPLICIT:
                    default = _zero(element)
        attributes = (Attribute("default", field.default_value),) if field.HasField("default_value") else ()
        return Field(
            field.name,
            type_,
            field.number,
            presence,
            default,
            deprecated=_deprecated(field),
            delimited=delimited,
            attributes=attributes,
            doc=place.doc,
            position=place.position,
        )

    def _variant(self, field: Any, path: Path, parent: Features) -> Variant:
        place, features = self._places.at(path), of_field(field, parent)
        return Variant(
            field.name,
            field.number,
            _element(field, features),
            delimited=features.delimited and _is_message(field),
            doc=place.doc,
            position=place.position,
        )

    def _union(self, oneof: Any, message: str, path: Path, variants: list[tuple[Any, Variant]]) -> Union:
        place = self._places.at(path)
        defaults = [
            Attribute(f"default.{field.name}", field.default_value)
            for field, _ in variants
            if field.HasField("default_value")
        ]
        return Union(
            f"{message}.{oneof.name}",
            tuple(sorted((variant for _, variant in variants), key=lambda v: v.tag)),
            oneof=True,
            attributes=tuple(defaults),
            doc=place.doc,
            position=place.position,
        )


def _oneof_field(union: Union) -> Field:
    return Field(
        union.name.rsplit(".", 1)[-1],
        Named(union.name),
        union.variants[0].tag,
        Presence.OPTIONAL,
        doc=union.doc,
        position=union.position,
    )


def _element(field: Any, features: Features) -> Element:
    number = _NUMBERS.get(field.type)
    if number is not None:
        return number
    if field.type == _FIELD.TYPE_STRING:
        return String(features.checked)
    return Bytes() if field.type == _FIELD.TYPE_BYTES else Named(field.type_name.removeprefix("."))


def _map(entry: Any, parent: Features) -> Map:
    key, value = (_element(field, of_field(field, parent)) for field in entry.field)
    assert isinstance(key, Number | String), "protoc allows no other map keys"
    return Map(key, value)


def _is_message(field: Any) -> bool:
    return field.type in (_FIELD.TYPE_MESSAGE, _FIELD.TYPE_GROUP)


def _is_packable(field: Any) -> bool:
    return field.type in _NUMBERS or field.type == _FIELD.TYPE_ENUM


def _zero(element: Element) -> Default:
    """The default of a field without presence. An enum is an open one then, whose first is 0."""
    match element:
        case String():
            return ""
        case Bytes():
            return b""
        case Number(scalar=Scalar.BOOL):
            return False
        case Number(scalar=Scalar.F32 | Scalar.F64):
            return 0.0
        case _:
            return 0


def _deprecated(element: Any) -> bool:
    return element.HasField("options") and element.options.deprecated


def _attributes(element: Any, reserved: list[tuple[int, int]]) -> tuple[Attribute, ...]:
    found: list[Attribute] = []
    if _deprecated(element):
        found.append(Attribute("deprecated", "true"))
    if reserved:
        found.append(Attribute("reserved", _ranges(reserved)))
    if element.reserved_name:
        found.append(Attribute("reserved_names", ", ".join(element.reserved_name)))
    return tuple(found)


def _ranges(ranges: list[tuple[int, int]]) -> str:
    """ "2, 9 to 11" """
    return ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in ranges)
