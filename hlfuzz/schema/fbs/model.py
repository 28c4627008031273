"""Definitions while a schema is being resolved: mutable, because a name may be used before it is defined."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum as PyEnum
from enum import auto
from typing import TypeAlias

from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.syntax import AttributeUse
from hlfuzz.schema.ir import Position, Scalar


class Base(PyEnum):
    """What a type is, apart from being in a vector or array."""

    SCALAR = auto()
    STRING = auto()
    RECORD = auto()
    UNION = auto()


class Container(PyEnum):
    NONE = auto()
    VECTOR = auto()
    ARRAY = auto()


@dataclass(frozen=True, slots=True)
class FieldType:
    """A resolved type. `scalar` is given for numbers and enums, `record` for tables and structs, `enum` for
    enums and unions."""

    base: Base
    scalar: Scalar | None = None
    record: RecordDef | None = None
    enum: EnumDef | None = None
    container: Container = Container.NONE
    length: int = 0

    @property
    def plain(self) -> bool:
        """Neither vector nor array."""
        return self.container is Container.NONE

    @property
    def is_vector(self) -> bool:
        return self.container is Container.VECTOR

    @property
    def is_scalar(self) -> bool:
        """A number or enum itself."""
        return self.plain and self.base is Base.SCALAR

    @property
    def is_string(self) -> bool:
        """A string itself."""
        return self.plain and self.base is Base.STRING

    @property
    def is_union(self) -> bool:
        """A union itself."""
        return self.plain and self.base is Base.UNION

    @property
    def of_struct(self) -> bool:
        """Of a struct that is defined: itself, in a vector or in an array."""
        return self.record is not None and self.record.fixed

    @property
    def is_struct(self) -> bool:
        """A struct itself, defined before."""
        return self.plain and self.of_struct

    def layout(self) -> tuple[int, int]:
        """Size and alignment in bytes inside a struct; only of numbers, structs and arrays of them."""
        if self.record is not None:
            size, align = self.record.size, self.record.align
        else:
            assert self.scalar is not None
            size = align = self.scalar.size
        return (size * self.length if self.container is Container.ARRAY else size), align


@dataclass(frozen=True, slots=True)
class Constant:
    """A default value. `number` of a scalar, `text` of a string; `null`, or `empty` (a vector).

    `zero`: flatc's text of it is "0", which means the same as no default.
    """

    number: int | float | None = None
    text: str | None = None
    null: bool = False
    empty: bool = False
    zero: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """An attribute with the value that it has as text ("" for a flag); `quoted`: it was a string."""

    node: AttributeUse
    value: str
    quoted: bool


Attributes: TypeAlias = dict[str, Use]


@dataclass(slots=True)
class FieldDef:
    name: str
    offset: int
    """Of its name in the file."""
    type: FieldType
    default: Constant | None
    attributes: Attributes
    doc: tuple[str, ...]
    required: bool = False
    optional: bool = False
    nested: RecordDef | None = None
    slot: int = 0
    """In a table: the vtable slot, of the value for unions. In a struct: the index."""

    @property
    def slots(self) -> int:
        """Vtable slots: unions and vectors of unions have one more, before, for their tags."""
        return 2 if self.type.base is Base.UNION else 1


@dataclass(slots=True)
class RecordDef:
    """A table or struct. `defined` is False while only its uses were seen; `used` says where first."""

    name: str
    used: tuple[Source, int]
    defined: bool = False
    fixed: bool = False
    size: int = 0
    align: int = 1
    fields: list[FieldDef] = field(default_factory=list[FieldDef])
    attributes: Attributes = field(default_factory=dict[str, Use])
    doc: tuple[str, ...] = ()
    place: tuple[Source, int] | None = None


@dataclass(slots=True)
class MemberDef:
    name: str
    value: int
    type: FieldType | None
    attributes: Attributes
    doc: tuple[str, ...]
    position: Position | None


@dataclass(slots=True)
class EnumDef:
    """An enum, or a union; `members` in order of definition, by name; of a union without NONE."""

    name: str
    union: bool
    scalar: Scalar
    members: dict[str, MemberDef] = field(default_factory=dict[str, MemberDef])
    values: set[int] = field(default_factory=set[int])
    attributes: Attributes = field(default_factory=dict[str, Use])
    doc: tuple[str, ...] = ()
    position: Position | None = None
    underlying: str = ""
    """Of a union: the type behind the colon."""

    @property
    def bit_flags(self) -> bool:
        return "bit_flags" in self.attributes


@dataclass(slots=True)
class MethodDef:
    name: str
    request: RecordDef
    response: RecordDef
    attributes: Attributes
    doc: tuple[str, ...]
    place: tuple[Source, int]


@dataclass(slots=True)
class ServiceDef:
    name: str
    attributes: Attributes
    methods: list[MethodDef]
    doc: tuple[str, ...]
    place: tuple[Source, int]
