"""From resolved definitions to the IR."""

from __future__ import annotations

from typing import Final

from hlfuzz.schema.fbs.model import (
    Attributes,
    Base,
    Container,
    EnumDef,
    FieldDef,
    FieldType,
    RecordDef,
    ServiceDef,
)
from hlfuzz.schema.fbs.resolver import Resolved
from hlfuzz.schema.fbs.services import DIRECTIONS, STATEFUL, direction, stateful
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.ir import (
    Array,
    Attribute,
    Default,
    Enum,
    Field,
    Format,
    Member,
    Method,
    Named,
    Number,
    Position,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    Service,
    String,
    Type,
    Union,
    Variant,
    Vector,
    symbol,
)

UNDERLYING: Final = "underlying_type"
"""Attribute of a union in the IR: the type that the schema gives for its tags."""
_KNOWN: Final = frozenset(
    ("deprecated", "id", "key", "nested_flatbuffer", "required", "bit_flags", STATEFUL, *DIRECTIONS)
)
"""Attributes that the IR has fields for."""


def emit(name: str, files: tuple[str, ...], resolved: Resolved) -> Schema:
    """The schema as IR; what was resolved must have no errors."""
    return Schema(
        name=name,
        format=Format.FBS,
        definitions=tuple(
            _record(d) if isinstance(d, RecordDef) else _union(d) if d.union else _enum(d)
            for d in resolved.scope.defined.values()
        ),
        services=tuple(map(_service, resolved.scope.services.values())),
        root=resolved.root.name if resolved.root is not None else None,
        identifier=resolved.identifier,
        extension=resolved.extension,
        files=files,
        notes=tuple(resolved.notes),
    )


def _record(record: RecordDef) -> Record:
    assert record.place is not None
    source = record.place[0]
    return Record(
        record.name,
        RecordKind.STRUCT if record.fixed else RecordKind.TABLE,
        tuple(_field(f, record, source) for f in record.fields),
        size=record.size,
        align=record.align if record.fixed else 0,
        attributes=_attributes(record.attributes),
        doc=_doc(record.doc),
        position=_position(record.place),
    )


def _field(field: FieldDef, record: RecordDef, source: Source) -> Field:
    presence = Presence.IMPLICIT
    if record.fixed or field.required:
        presence = Presence.REQUIRED
    elif field.optional and not field.type.is_vector:
        presence = Presence.OPTIONAL
    return Field(
        field.name,
        _type(field.type),
        field.slot,
        presence,
        default=_default(field) if presence is Presence.IMPLICIT else None,
        deprecated="deprecated" in field.attributes,
        key="key" in field.attributes,
        nested=field.nested.name if field.nested is not None else None,
        attributes=_attributes(field.attributes),
        doc=_doc(field.doc),
        position=source.position(field.offset),
    )


def _default(field: FieldDef) -> Default:
    if field.type.is_string and field.default is not None:
        return field.default.text
    if not field.type.is_scalar:
        return None
    number = field.default.number if field.default is not None and field.default.number is not None else 0
    if field.type.scalar is Scalar.BOOL:
        return bool(number)
    assert field.type.scalar is not None
    return float(number) if field.type.scalar.is_float else number


def _type(type_: FieldType) -> Type:
    element = _element(type_)
    if type_.container is Container.VECTOR:
        return Vector(element)
    if type_.container is Container.ARRAY:
        assert not isinstance(element, String)
        return Array(element, type_.length)
    return element


def _element(type_: FieldType) -> Number | String | Named:
    if type_.enum is not None:
        return Named(type_.enum.name)
    if type_.record is not None:
        return Named(type_.record.name)
    if type_.base is Base.STRING:
        return String()
    assert type_.scalar is not None
    return Number(type_.scalar)


def _enum(enum: EnumDef) -> Enum:
    return Enum(
        enum.name,
        enum.scalar,
        tuple(
            Member(m.name, m.value, "deprecated" in m.attributes, _doc(m.doc), m.position)
            for m in sorted(enum.members.values(), key=lambda m: m.value)
        ),
        bit_flags=enum.bit_flags,
        closed=True,
        attributes=_attributes(enum.attributes),
        doc=_doc(enum.doc),
        position=enum.position,
    )


def _union(union: EnumDef) -> Union:
    variants: list[Variant] = []
    for member in sorted(union.members.values(), key=lambda m: m.value):
        assert member.type is not None
        variants.append(
            Variant(
                member.name,
                member.value,
                _element(member.type),
                doc=_doc(member.doc),
                position=member.position,
            )
        )
    attributes = _attributes(union.attributes)
    if union.underlying:
        attributes += (Attribute(UNDERLYING, union.underlying),)
    return Union(
        union.name, tuple(variants), attributes=attributes, doc=_doc(union.doc), position=union.position
    )


def _service(service: ServiceDef) -> Service:
    way = direction(service)
    methods = tuple(
        Method(
            m.name,
            way,
            symbol(service.name, m.name, way),
            request=m.request.name,
            response=m.response.name,
            stateful=stateful(service, m),
            doc=_doc(m.doc),
            position=_position(m.place),
        )
        for m in service.methods
    )
    return Service(service.name, way, methods, _doc(service.doc), _position(service.place))


def _attributes(attributes: Attributes) -> tuple[Attribute, ...]:
    return tuple(Attribute(name, use.value) for name, use in attributes.items() if name not in _KNOWN)


def _doc(lines: tuple[str, ...]) -> str:
    """Lines of documentation without the space after `///`."""
    return "\n".join(line.removeprefix(" ").rstrip() for line in lines)


def _position(place: tuple[Source, int]) -> Position:
    return place[0].position(place[1])
