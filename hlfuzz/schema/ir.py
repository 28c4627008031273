"""The interface as data: one immutable form for FlatBuffers, Protobuf and raw schemas, with source positions.

Every front end makes a `Schema`; codecs, verifiers, generators and strategies read nothing else. Names are
full names with dots ("net.v1.Request"); a type refers to another by full name (`Named`), so that types may be
recursive. Positions, documentation and file names are no part of a schema's identity (see `canonical`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Final, TypeAlias


class Format(StrEnum):
    """Where a schema comes from, and so how its values look on the wire."""

    FBS = "fbs"
    PROTO = "proto"
    RAW = "raw"


class Direction(StrEnum):
    """Who implements a method: the guest (an export) or the host (a host function)."""

    GUEST = "guest"
    HOST = "host"


class Scalar(StrEnum):
    """A number of fixed width, or a boolean."""

    BOOL = "bool"
    I8 = "i8"
    U8 = "u8"
    I16 = "i16"
    U16 = "u16"
    I32 = "i32"
    U32 = "u32"
    I64 = "i64"
    U64 = "u64"
    F32 = "f32"
    F64 = "f64"

    @property
    def size(self) -> int:
        """Width in bytes; FlatBuffers stores a boolean in one."""
        return _SIZES[self]

    @property
    def is_float(self) -> bool:
        """f32 or f64."""
        return self in (Scalar.F32, Scalar.F64)

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest integer value; of a boolean (0, 1). Raises `ValueError` for floats."""
        if self.is_float:
            raise ValueError(f"{self} has no integer range")
        if self is Scalar.BOOL:
            return 0, 1
        bits = 8 * self.size
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if self.value[0] == "i" else (0, (1 << bits) - 1)


_SIZES: Final = {
    Scalar.BOOL: 1,
    Scalar.I8: 1,
    Scalar.U8: 1,
    Scalar.I16: 2,
    Scalar.U16: 2,
    Scalar.I32: 4,
    Scalar.U32: 4,
    Scalar.F32: 4,
    Scalar.I64: 8,
    Scalar.U64: 8,
    Scalar.F64: 8,
}


class Coding(StrEnum):
    """How Protobuf writes a number; other formats know only PLAIN."""

    PLAIN = "plain"
    """Fixed width, little endian (FlatBuffers, raw, and Protobuf's float and double)."""
    VARINT = "varint"
    ZIGZAG = "zigzag"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a schema file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Number:
    """A scalar, with its Protobuf coding."""

    scalar: Scalar
    coding: Coding = Coding.PLAIN


@dataclass(frozen=True, slots=True)
class String:
    """UTF-8 text. In Protobuf `checked` says whether a parser refuses invalid UTF-8 (proto2 does not)."""

    checked: bool = True


@dataclass(frozen=True, slots=True)
class Bytes:
    """Any bytes (Protobuf `bytes`, raw byte vectors). FlatBuffers has `Vector(Number(Scalar.U8))` instead."""


@dataclass(frozen=True, slots=True)
class CString:
    """Raw only: a pointer to UTF-8 text that ends with a zero byte."""


@dataclass(frozen=True, slots=True)
class Named:
    """A type by full name: an `Enum`, `Record` or `Union` of the schema."""

    name: str


@dataclass(frozen=True, slots=True)
class Vector:
    """Any number of elements. `packed`: Protobuf writes the numbers in one length-prefixed run."""

    element: Element
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Array:
    """FlatBuffers structs only: a fixed number of elements."""

    element: Number | Named
    length: int


@dataclass(frozen=True, slots=True)
class Map:
    """Protobuf only. Keys are integers, booleans or strings."""

    key: Number | String
    value: Element


Element: TypeAlias = Number | String | Bytes | Named
Type: TypeAlias = Number | String | Bytes | CString | Named | Vector | Array | Map
Default: TypeAlias = bool | int | float | str | bytes | None


class Presence(StrEnum):
    """What an absent field means."""

    IMPLICIT = "implicit"
    """Its default value (vectors and maps: empty). Absent and default are one thing to a reader."""
    OPTIONAL = "optional"
    """None, which differs from every value."""
    REQUIRED = "required"
    """It must not be absent."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute or option without a field of its own in this form: name and value as text, for tools."""

    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record.

    `id` is the vtable slot in a FlatBuffers table (of the value for unions and vectors of unions, whose tags
    are in the slot before), the index in a struct, the field number in Protobuf. `default` is given exactly
    when `presence` is IMPLICIT and the type is a number, enum (then the number), string or bytes (Protobuf
    only; then text or bytes). It is None in structs, whose fields are REQUIRED. `nested` is the full name of
    the root table of a nested FlatBuffer in this byte vector. `delimited`: a Protobuf message
    between start and end tags (a group) instead of a length.
    """

    name: str
    type: Type
    id: int
    presence: Presence
    default: Default = None
    deprecated: bool = False
    key: bool = False
    nested: str | None = None
    delimited: bool = False
    attributes: tuple[Attribute, ...] = ()
    doc: str = ""
    position: Position | None = None


class RecordKind(StrEnum):
    """What a record is on the wire."""

    TABLE = "table"
    STRUCT = "struct"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Record:
    """A FlatBuffers table or struct, or a Protobuf message; fields in order of `id`.

    `size` and `align` in bytes are those of a struct; both 0 for tables and messages. A Protobuf oneof is one
    field, named as the oneof, whose type is a `Union` and whose `id` is the lowest number of its variants.
    """

    name: str
    kind: RecordKind
    fields: tuple[Field, ...]
    size: int = 0
    align: int = 0
    attributes: tuple[Attribute, ...] = ()
    doc: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One name of an enum; several names may have one value in Protobuf (aliases)."""

    name: str
    value: int
    deprecated: bool = False
    doc: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum. `bit_flags`: values are combinations of its members, whose values are 1 << position.
    `closed`: a value that is no member (no combination) is no value of this type."""

    name: str
    scalar: Scalar
    members: tuple[Member, ...]
    bit_flags: bool = False
    closed: bool = True
    attributes: tuple[Attribute, ...] = ()
    doc: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Variant:
    """One case of a union: `tag` is its FlatBuffers union type value (1…255) or its Protobuf field number."""

    name: str
    tag: int
    type: Element
    delimited: bool = False
    doc: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Union:
    """A FlatBuffers union, or a Protobuf oneof (then `oneof`, and its name is "Message.oneof"). NONE is no
    variant: it is an absent value.

    FlatBuffers variants are tables, structs or strings, Protobuf's any element.
    """

    name: str
    variants: tuple[Variant, ...]
    oneof: bool = False
    attributes: tuple[Attribute, ...] = ()
    doc: str = ""
    position: Position | None = None


Definition: TypeAlias = Record | Enum | Union


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a raw method. `out`: a byte vector that the callee fills; then `capacity` is the room in
    bytes that the caller gives."""

    name: str
    type: Number | Bytes | CString
    out: bool = False
    capacity: int = 0
    position: Position | None = None


class ResultForm(StrEnum):
    """How a raw method gives bytes back; the names are those of `Sandbox.call_bytes`."""

    NONE = "none"
    PAIR = "pair"
    PACKED = "packed"
    INPLACE = "inplace"


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service.

    FlatBuffers and Protobuf: `request` and `response` are full names of records, and the rest is empty. Raw:
    `parameters`, `results` (numbers, as the Wasm function returns them) and `form`, which says whether the
    results stand for bytes. `symbol` is the guest's export, or "module.name" of the import.
    """

    name: str
    direction: Direction
    symbol: str
    request: str | None = None
    response: str | None = None
    parameters: tuple[Parameter, ...] = ()
    results: tuple[Scalar, ...] = ()
    form: ResultForm = ResultForm.NONE
    stateful: bool = False
    doc: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """Methods in one direction, in source order."""

    name: str
    direction: Direction
    methods: tuple[Method, ...]
    doc: str = ""
    position: Position | None = None


@dataclass(frozen=True)
class Schema:
    """A whole interface: definitions and services of a file and of all it includes, in source order.

    `name` is the stem of the main file. `root` and `identifier` are FlatBuffers' root_type and
    file_identifier (4 characters). `allocator` is raw only: the guest's allocator export, or a scratch
    address.
    """

    name: str
    format: Format
    definitions: tuple[Definition, ...] = ()
    services: tuple[Service, ...] = ()
    root: str | None = None
    identifier: str | None = None
    extension: str | None = None
    allocator: str | int | None = None
    files: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)
    """What was read and left out, for the user: extensions, custom options."""

    @cached_property
    def by_name(self) -> Mapping[str, Definition]:
        """Definitions by full name."""
        return MappingProxyType({d.name: d for d in self.definitions})

    def record(self, name: str) -> Record:
        """The table, struct or message `name`. Raises `KeyError` when there is none."""
        found = self.by_name[name]
        if not isinstance(found, Record):
            raise KeyError(name)
        return found

    def methods(self, direction: Direction | None = None) -> Iterator[tuple[Service, Method]]:
        """Methods with their services, of one direction or both."""
        for service in self.services:
            for method in service.methods:
                if direction is None or method.direction is direction:
                    yield service, method


def symbol(service: str, method: str, direction: Direction) -> str:
    """The name of a FlatBuffers or Protobuf method at the boundary.

    Guest: an export that is an identifier in every language, "net_FilterGuest_on_data". Host: the import's
    module, which is the service's full name, a dot, and the method: "net.FilterHost.log".
    """
    if direction is Direction.HOST:
        return f"{service}.{method}"
    return f"{service.replace('.', '_')}_{method}"


def direction_of(service: str) -> Direction | None:
    """The direction that a service's name says: it ends in "Guest" or in "Host"; else None."""
    if service.endswith("Guest"):
        return Direction.GUEST
    return Direction.HOST if service.endswith("Host") else None


def references(definition: Definition) -> Iterator[str]:
    """Full names of the definitions that values of this one may contain at once, nested buffers included."""
    match definition:
        case Record():
            for field in definition.fields:
                yield from _named(field.type)
                if field.nested is not None:
                    yield field.nested
        case Union():
            for variant in definition.variants:
                yield from _named(variant.type)
        case Enum():
            pass


def _named(type_: Type) -> Iterator[str]:
    match type_:
        case Named():
            yield type_.name
        case Vector() | Array():
            yield from _named(type_.element)
        case Map():
            yield from _named(type_.value)
        case _:
            pass
