"""Makes the `protobuf` runtime's message classes from the IR, in a descriptor pool of their own.

Bytes carry no names, so none are taken over: messages are M0, M1 …, fields f<number>. Nothing can then clash
with another pool, with Python, or with the runtime's special treatment of google.protobuf.*. Every field says
itself what an edition or a proto2 file would have said for it. A string that may be invalid UTF-8 is declared
as bytes, because the runtime could not hand it out otherwise.
"""

from __future__ import annotations

from typing import Any, Final

from hlfuzz.errors import UsageError
from hlfuzz.schema.ir import (
    Bytes,
    Coding,
    Enum,
    Field,
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
from hlfuzz.schema.proto.runtime import Message, MessageType, descriptor_pb2, descriptor_pool

_PACKAGE: Final = "h"
_FIELD: Final[Any] = descriptor_pb2.FieldDescriptorProto
_FEATURES: Final[Any] = descriptor_pb2.FeatureSet
_TYPES: Final = {
    Number(Scalar.F64): _FIELD.TYPE_DOUBLE,
    Number(Scalar.F32): _FIELD.TYPE_FLOAT,
    Number(Scalar.I64, Coding.VARINT): _FIELD.TYPE_INT64,
    Number(Scalar.U64, Coding.VARINT): _FIELD.TYPE_UINT64,
    Number(Scalar.I32, Coding.VARINT): _FIELD.TYPE_INT32,
    Number(Scalar.U32, Coding.VARINT): _FIELD.TYPE_UINT32,
    Number(Scalar.BOOL, Coding.VARINT): _FIELD.TYPE_BOOL,
    Number(Scalar.I32, Coding.ZIGZAG): _FIELD.TYPE_SINT32,
    Number(Scalar.I64, Coding.ZIGZAG): _FIELD.TYPE_SINT64,
    Number(Scalar.U32, Coding.FIXED): _FIELD.TYPE_FIXED32,
    Number(Scalar.U64, Coding.FIXED): _FIELD.TYPE_FIXED64,
    Number(Scalar.I32, Coding.FIXED): _FIELD.TYPE_SFIXED32,
    Number(Scalar.I64, Coding.FIXED): _FIELD.TYPE_SFIXED64,
}
_PRESENCE: Final = {
    Presence.OPTIONAL: _FEATURES.EXPLICIT,
    Presence.IMPLICIT: _FEATURES.IMPLICIT,
    Presence.REQUIRED: _FEATURES.LEGACY_REQUIRED,
}


class Messages:
    """The runtime's classes of one schema, by full name of a record."""

    def __init__(self, schema: Schema) -> None:
        """Raises `UsageError` when the runtime refuses the schema, which no front end makes."""
        self._schema = schema
        self._names = {d.name: f"{type(d).__name__[0]}{i}" for i, d in enumerate(schema.definitions)}
        file = descriptor_pb2.FileDescriptorProto(
            name="hlfuzz.proto",
            package=_PACKAGE,
            syntax="editions",
            edition=descriptor_pb2.EDITION_2023,
        )
        for definition in schema.definitions:
            if isinstance(definition, Record):
                self._record(file.message_type.add(), definition)
            elif isinstance(definition, Enum):
                self._enum(file.enum_type.add(), definition)
        self._classes: dict[str, Any] = {}
        self._pool: Any = descriptor_pool.DescriptorPool()
        try:
            self._pool.AddSerializedFile(file.SerializeToString())
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"the Protobuf runtime refuses the schema ({schema.name}): {error}: is it a Protobuf schema?"
            ) from error

    def cls(self, name: str) -> Any:
        """The message class of a record.

        The runtime needs the classes of all that it contains, too. `message_factory` makes them by recursion,
        which a chain of a thousand types would end.
        """
        wanted: Any = self._pool.FindMessageTypeByName(f"{_PACKAGE}.{self._names[name]}")
        waiting = [wanted]
        while waiting:
            descriptor = waiting.pop()
            if descriptor.full_name not in self._classes:
                self._classes[descriptor.full_name] = MessageType(
                    descriptor.name, (Message,), {"DESCRIPTOR": descriptor, "__module__": None}
                )
                waiting += [field.message_type for field in descriptor.fields if field.message_type]
        return self._classes[wanted.full_name]

    def _record(self, message: Any, record: Record) -> None:
        message.name = self._names[record.name]
        for field in record.fields:
            named = self._schema.by_name[field.type.name] if isinstance(field.type, Named) else None
            if isinstance(named, Union):
                for variant in named.variants:
                    made = self._field(message, variant.tag, variant.type, variant.delimited)
                    made.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=oneof_name(field))
            elif isinstance(field.type, Map):
                self._map(message, field, field.type)
            elif isinstance(field.type, Vector):
                made = self._field(message, field.id, field.type.element, field.delimited)
                made.label = _FIELD.LABEL_REPEATED
                if not field.type.packed:
                    made.options.features.repeated_field_encoding = _FEATURES.EXPANDED
            else:
                made = self._field(message, field.id, field.type, field.delimited)
                made.options.features.field_presence = _PRESENCE[field.presence]

    def _map(self, message: Any, field: Field, type_: Map) -> None:
        entry = message.nested_type.add(name=f"F{field.id}Entry")
        entry.options.map_entry = True
        key = self._field(entry, 1, String() if isinstance(type_.key, String) else type_.key, False)
        value = self._field(entry, 2, type_.value, False)
        key.name, value.name = "key", "value"
        made = self._field(message, field.id, Bytes(), False)
        made.type = _FIELD.TYPE_MESSAGE
        made.label = _FIELD.LABEL_REPEATED
        made.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"

    def _field(self, message: Any, number: int, type_: Type, delimited: bool) -> Any:
        field = message.field.add(name=field_name(number), number=number, label=_FIELD.LABEL_OPTIONAL)
        match type_:
            case Number():
                field.type = _TYPES.get(type_, 0) or _unknown(type_)
            case String(checked=True):
                field.type = _FIELD.TYPE_STRING
            case String() | Bytes():
                field.type = _FIELD.TYPE_BYTES
            case Named():
                is_enum = isinstance(self._schema.by_name[type_.name], Enum)
                field.type = _FIELD.TYPE_ENUM if is_enum else _FIELD.TYPE_MESSAGE
                field.type_name = f".{_PACKAGE}.{self._names[type_.name]}"
            case _:
                _unknown(type_)
        if delimited:
            field.options.features.message_encoding = _FEATURES.DELIMITED
        return field

    def _enum(self, made: Any, enum: Enum) -> None:
        made.name = self._names[enum.name]
        made.options.features.enum_type = _FEATURES.CLOSED if enum.closed else _FEATURES.OPEN
        for number in dict.fromkeys(m.value for m in enum.members):
            made.value.add(name=f"{made.name}V{len(made.value)}", number=number)


def field_name(number: int) -> str:
    """The runtime's name of a field."""
    return f"f{number}"


def oneof_name(field: Field) -> str:
    """The runtime's name of a oneof."""
    return f"o{field.id}"


def _unknown(type_: Type) -> int:
    raise UsageError(f"Protobuf has no type {type_}: use a codec of the schema's own format")
