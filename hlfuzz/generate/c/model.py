"""A schema as C sees it: every definition with its names, its index in the runtime's tables, its members."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlfuzz.generate.c.names import GlobalScope
from hlfuzz.schema.ir import Direction, Enum, Field, Member, Method, Record, Scalar, Schema, Union, Variant

C_TYPES: Final = {
    Scalar.BOOL: "bool",
    Scalar.I8: "int8_t",
    Scalar.U8: "uint8_t",
    Scalar.I16: "int16_t",
    Scalar.U16: "uint16_t",
    Scalar.I32: "int32_t",
    Scalar.U32: "uint32_t",
    Scalar.I64: "int64_t",
    Scalar.U64: "uint64_t",
    Scalar.F32: "float",
    Scalar.F64: "double",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One value: its kind for the runtime ("U32", "STRING", "RECORD", …), its C type, the full name that it
    refers to (of closed enums only), Protobuf's coding, and the runtime's flags."""

    kind: str
    ctype: str
    ref: str | None = None
    coding: str = "PLAIN"
    flags: tuple[str, ...] = ()
    enum: str | None = None

    @property
    def is_number(self) -> bool:
        return self.kind in _NUMBERS


_NUMBERS: Final = frozenset(s.name for s in Scalar)


@dataclass(frozen=True, slots=True)
class CField:
    """A member of a struct. `has` is the flag of an optional number or struct; `seen` the bit of a required
    Protobuf number; `offset` the place in a FlatBuffers struct; `force` the alignment of a vector."""

    source: Field
    name: str
    shape: Shape
    form: str
    presence: str
    has: str | None = None
    seen: int | None = None
    offset: int = 0
    force: int = 0
    count: int = 0


@dataclass(frozen=True, slots=True)
class CRecord:
    """A C struct, with its index in the runtime's table."""

    source: Record
    name: str
    vec: str
    index: int
    fields: tuple[CField, ...]
    plain: bool = False
    functions: tuple[str, str, str] = ("", "", "")
    entry: bool = False
    demands: bool = False

    @property
    def seen_bits(self) -> int:
        """Required numbers, whose presence is noted beside them."""
        return sum(f.seen is not None for f in self.fields)


@dataclass(frozen=True, slots=True)
class CEnum:
    """An enum; `constants` in order of its members. `index` is that among closed enums, or None."""

    source: Enum
    name: str
    vec: str
    constants: tuple[str, ...]
    index: int | None


@dataclass(frozen=True, slots=True)
class CVariant:
    """A case of a union, with its constant and its member of the C union."""

    source: Variant
    constant: str
    name: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class CUnion:
    """A union: a tag and a C union."""

    source: Union
    name: str
    vec: str
    tag: str
    none: str
    index: int
    variants: tuple[CVariant, ...]


@dataclass(frozen=True, slots=True)
class CMethod:
    """A method with its C names: `function` is implemented by the guest, or called by it; `wire` is the
    export or import behind it."""

    source: Method
    function: str
    wire: str
    request: CRecord
    response: CRecord

    @property
    def is_guest(self) -> bool:
        return self.source.direction is Direction.GUEST

    def signature(self) -> str:
        """What the guest's author sees."""
        response = (
            f"{self.response.name} *response" if self.is_guest else f"const {self.response.name} **response"
        )
        return f"hl_status {self.function}(hl_call *call, const {self.request.name} *request, {response})"


@dataclass
class Model:
    """All of a schema, by full name; in schema order, entries of maps after their message."""

    schema: Schema
    scope: GlobalScope = field(default_factory=GlobalScope)
    records: dict[str, CRecord] = field(default_factory=dict[str, CRecord])
    enums: dict[str, CEnum] = field(default_factory=dict[str, CEnum])
    unions: dict[str, CUnion] = field(default_factory=dict[str, CUnion])
    methods: list[CMethod] = field(default_factory=list["CMethod"])
    in_vectors: set[str] = field(default_factory=set[str])
    """Full names of what is in vectors (and maps)."""


def member_value(member: Member, scalar: Scalar) -> str:
    """A member's value as a C expression."""
    value = member.value
    if -(1 << 31) < value < 1 << 31:
        return str(value)
    if value < 0:
        return f"(-INT64_C({-value - 1}) - 1)"
    return f"UINT64_C({value})" if scalar is Scalar.U64 else f"INT64_C({value})"
