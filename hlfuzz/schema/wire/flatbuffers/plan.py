"""A schema as tables of numbers: what the FlatBuffers encoder, reader and verifiers need of it, by index.

Definitions of a kind are numbered in schema order. Offsets, sizes and alignments are in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final, NoReturn

from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import (
    Array,
    Definition,
    Element,
    Enum,
    Field,
    Format,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    String,
    Union,
    Vector,
)
from hlfuzz.schema.wire.base import MAX_DEPTH

NONE: Final = 0xFFFF_FFFF
"""An index that names nothing."""
MAX_SLOT: Final = (0xFFFF - 4) // 2 - 1
"""The last vtable slot: a vtable's size, in bytes, is a 16-bit number (the format's `voffset_t`)."""
_WIDE: Final = ("offset64", "vector64")
_ALIGNMENTS: Final = (1, 2, 4, 8, 16, 32)
"""What flatc takes for `force_align` (FLATBUFFERS_MAX_ALIGNMENT is 32)."""


class Op(IntEnum):
    """What a table's slot holds."""

    SCALAR = 1
    STRUCT = 2
    STRING = 3
    TABLE = 4
    UNION = 5
    VECTOR_SCALAR = 6
    VECTOR_STRUCT = 7
    VECTOR_STRING = 8
    VECTOR_TABLE = 9
    VECTOR_UNION = 10
    NESTED = 11


class Kind(IntEnum):
    """What a union's variant, or a part of a struct, is."""

    TABLE = 1
    STRUCT = 2
    STRING = 3
    ENUM = 4
    SCALAR = 5


@dataclass(frozen=True, slots=True)
class EnumPlan:
    """An enum: its values, or for bit flags all declared bits in one number."""

    source: Enum
    index: int

    @property
    def values(self) -> tuple[int, ...]:
        """Sorted values; of bit flags one number, the declared bits."""
        values = {m.value for m in self.source.members}
        if not self.source.bit_flags:
            return tuple(sorted(values))
        mask = 0
        for value in values:
            mask |= value
        return (mask,)


@dataclass(frozen=True, slots=True)
class StructField:
    """A part of a struct: `count` is None for a single value, else an array's length. `target` is the index
    of the enum or struct, else NONE; `scalar` that of numbers and enums."""

    source: Field
    offset: int
    kind: Kind
    size: int
    count: int | None
    scalar: Scalar | None = None
    target: int = NONE


@dataclass(frozen=True, slots=True)
class StructPlan:
    """A struct; `checked` says whether an enum is anywhere in it."""

    source: Record
    index: int
    fields: tuple[StructField, ...]
    checked: bool
    depth: int


@dataclass(frozen=True, slots=True)
class TableField:
    """A field of a table in vtable slot `slot`; unions have their tags in the slot before.

    `size` and `align` are those of the value in the table, for vectors those of an element. `scalar` is that
    of numbers and enums, alone or in vectors; `enum` and `target` are indices, or NONE; `force` is the
    alignment that a vector's attribute `force_align` asks of its elements, or 1.
    """

    source: Field
    slot: int
    op: Op
    size: int
    align: int
    required: bool = False
    scalar: Scalar | None = None
    enum: int = NONE
    target: int = NONE
    force: int = 1

    @property
    def inline(self) -> tuple[int, int]:
        """Size and alignment of what is in the table itself."""
        return (self.size, self.align) if self.op in (Op.SCALAR, Op.STRUCT) else (4, 4)


@dataclass(frozen=True, slots=True)
class TablePlan:
    """A table; fields in slot order. `slots` is one more than the last slot."""

    source: Record
    index: int
    fields: tuple[TableField, ...]
    slots: int
    identifier: bytes | None


@dataclass(frozen=True, slots=True)
class VariantPlan:
    """A union's variant; `target` is the index of the table or struct, or NONE for a string."""

    tag: int
    kind: Kind
    target: int


@dataclass(frozen=True, slots=True)
class UnionPlan:
    """A union; variants by tag, ascending."""

    source: Union
    index: int
    variants: tuple[VariantPlan, ...]


@dataclass(frozen=True)
class Plan:
    """Everything that wire code needs of one schema."""

    enums: tuple[EnumPlan, ...]
    structs: tuple[StructPlan, ...]
    tables: tuple[TablePlan, ...]
    unions: tuple[UnionPlan, ...]
    table_index: Mapping[str, int]


def make_plan(schema: Schema) -> Plan:
    """Lay out the definitions of a FlatBuffers schema.

    Raises `SchemaError` for what this wire does not carry (64-bit offsets) and for a form that no front end
    makes (a struct in itself, sizes that do not add up, two fields in one slot).
    """
    return _Planner(schema).plan()


class _Planner:
    def __init__(self, schema: Schema) -> None:
        if schema.format is not Format.FBS:
            _refuse(f"schema {schema.name!r} is {schema.format}, not FlatBuffers")
        self._schema = schema
        self._enums = [d for d in schema.definitions if isinstance(d, Enum)]
        self._unions = [d for d in schema.definitions if isinstance(d, Union)]
        records = [d for d in schema.definitions if isinstance(d, Record)]
        self._records = [d for d in records if d.kind is RecordKind.STRUCT]
        self._tables = [d for d in records if d.kind is RecordKind.TABLE]
        self._index: dict[str, int] = {}
        for group in (self._enums, self._unions, self._records, self._tables):
            self._index |= {d.name: index for index, d in enumerate(group)}
        self._structs: dict[str, StructPlan] = {}

    def plan(self) -> Plan:
        return Plan(
            tuple(EnumPlan(e, i) for i, e in enumerate(self._enums)),
            tuple(self._struct(r.name, 1) for r in self._records),
            tuple(self._table(r) for r in self._tables),
            tuple(self._union(u) for u in self._unions),
            {r.name: i for i, r in enumerate(self._tables)},
        )

    def _struct(self, name: str, depth: int) -> StructPlan:
        found = self._structs.get(name)
        if found is not None:
            return found
        record = self._schema.record(name)
        if depth > MAX_DEPTH:
            _refuse(f"struct {name!r} is nested more than {MAX_DEPTH} deep", record)
        end = 0
        checked = False
        deepest = 1
        fields: list[StructField] = []
        for f in record.fields:
            part = self._part(f, depth)
            size, align = part.size, self._align(f)
            offset = -(-end // align) * align
            end = offset + size * (1 if part.count is None else part.count)
            fields.append(replace(part, offset=offset))
            if part.kind is Kind.STRUCT:
                inner = self._structs[_element_name(f)]
                checked |= inner.checked
                deepest = max(deepest, inner.depth + 1)
            checked |= part.kind is Kind.ENUM
        if deepest > MAX_DEPTH:
            _refuse(f"struct {name!r} is nested more than {MAX_DEPTH} deep", record)
        if (
            record.align < 1
            or record.align.bit_count() != 1
            or -(-end // record.align) * record.align != record.size
            or not fields
        ):
            _refuse(f"struct {name!r} has {record.size} bytes, its fields {end}", record)
        plan = StructPlan(record, self._index[name], tuple(fields), checked, deepest)
        self._structs[name] = plan
        return plan

    def _part(self, f: Field, depth: int) -> StructField:
        element = f.type.element if isinstance(f.type, Array) else f.type
        count = f.type.length if isinstance(f.type, Array) else None
        if count is not None and count < 1:
            _refuse(f"array {f.name!r} has no elements", f)
        if isinstance(element, Number):
            return StructField(f, 0, Kind.SCALAR, element.scalar.size, count, element.scalar)
        target = self._definition(element, f)
        if isinstance(target, Enum):
            size = target.scalar.size
            return StructField(f, 0, Kind.ENUM, size, count, target.scalar, self._index[target.name])
        if isinstance(target, Union) or target.kind is not RecordKind.STRUCT:
            _refuse(f"struct field {f.name!r} has a type that no struct holds", f)
        inner = self._struct(target.name, depth + 1)
        return StructField(f, 0, Kind.STRUCT, target.size, count, None, inner.index)

    def _align(self, f: Field) -> int:
        element = f.type.element if isinstance(f.type, Array) else f.type
        if isinstance(element, Number):
            return element.scalar.size
        target = self._definition(element, f)
        return target.scalar.size if isinstance(target, Enum) else self._schema.record(target.name).align

    def _definition(self, type_: object, f: Field) -> Definition:
        found = self._schema.by_name.get(type_.name) if isinstance(type_, Named) else None
        if found is None:
            _refuse(f"field {f.name!r} has a type that the schema does not define", f)
        return found

    def _table(self, record: Record) -> TablePlan:
        fields = sorted((self._field(f) for f in record.fields), key=lambda p: p.slot)
        taken: set[int] = set()
        for p in fields:
            slots = {p.slot, p.slot - 1} if p.op in (Op.UNION, Op.VECTOR_UNION) else {p.slot}
            if slots & taken or min(slots) < 0 or max(slots) > MAX_SLOT:
                _refuse(
                    f"{record.name}.{p.source.name} has id {p.slot}, which is taken or no vtable slot", record
                )
            taken |= slots
        identifier = self._schema.identifier if self._schema.root == record.name else None
        data = identifier.encode() if identifier else None
        if data is not None and len(data) != 4:
            _refuse(f"file_identifier {identifier!r} has {len(data)} bytes; it must have 4")
        return TablePlan(record, self._index[record.name], tuple(fields), max(taken, default=-1) + 1, data)

    def _field(self, f: Field) -> TableField:
        wide = [a.name for a in f.attributes if a.name in _WIDE and a.value not in ("false", "0")]
        if wide:
            _refuse(f"field {f.name!r} has the attribute {wide[0]}: 64-bit offsets are not supported", f)
        # A deprecated field is one that writers of today cannot set: it is required of nobody.
        required = f.presence is Presence.REQUIRED and not f.deprecated
        if isinstance(f.type, Vector):
            return self._vector(f, f.type.element, required)
        if isinstance(f.type, Number):
            size = f.type.scalar.size
            return TableField(f, f.id, Op.SCALAR, size, size, required, f.type.scalar)
        if isinstance(f.type, String):
            return TableField(f, f.id, Op.STRING, 1, 1, required)
        target = self._definition(f.type, f)
        index = self._index[target.name]
        if isinstance(target, Enum):
            size = target.scalar.size
            return TableField(f, f.id, Op.SCALAR, size, size, required, target.scalar, index)
        if isinstance(target, Union):
            return TableField(f, f.id, Op.UNION, 4, 4, required, target=index)
        if target.kind is RecordKind.STRUCT:
            return TableField(f, f.id, Op.STRUCT, target.size, target.align, required, target=index)
        return TableField(f, f.id, Op.TABLE, 4, 4, required, target=index)

    def _vector(self, f: Field, element: Element, required: bool) -> TableField:
        force = _force_align(f)
        if isinstance(element, Number):
            size = element.scalar.size
            if f.nested is not None:
                if element.scalar is not Scalar.U8 or f.nested not in self._table_names():
                    _refuse(f"nested_flatbuffer {f.name!r} must be a [ubyte] that names a table", f)
                return TableField(
                    f, f.id, Op.NESTED, 1, 1, required, Scalar.U8, target=self._index[f.nested], force=force
                )
            return TableField(f, f.id, Op.VECTOR_SCALAR, size, size, required, element.scalar, force=force)
        if isinstance(element, String):
            return TableField(f, f.id, Op.VECTOR_STRING, 4, 4, required, force=force)
        target = self._definition(element, f)
        index = self._index[target.name]
        if isinstance(target, Enum):
            size = target.scalar.size
            return TableField(
                f, f.id, Op.VECTOR_SCALAR, size, size, required, target.scalar, index, force=force
            )
        if isinstance(target, Union):
            return TableField(f, f.id, Op.VECTOR_UNION, 4, 4, required, target=index, force=force)
        if target.kind is RecordKind.STRUCT:
            return TableField(
                f, f.id, Op.VECTOR_STRUCT, target.size, target.align, required, target=index, force=force
            )
        return TableField(f, f.id, Op.VECTOR_TABLE, 4, 4, required, target=index, force=force)

    def _table_names(self) -> frozenset[str]:
        return frozenset(r.name for r in self._tables)

    def _union(self, union: Union) -> UnionPlan:
        variants: list[VariantPlan] = []
        for v in sorted(union.variants, key=lambda v: v.tag):
            if not 1 <= v.tag <= 255 or (variants and variants[-1].tag == v.tag):
                _refuse(f"union {union.name!r}: tag {v.tag} of {v.name!r} is taken or not in 1…255", union)
            target = self._schema.by_name.get(v.type.name) if isinstance(v.type, Named) else None
            if isinstance(v.type, String):
                variants.append(VariantPlan(v.tag, Kind.STRING, NONE))
            elif isinstance(target, Record):
                kind = Kind.STRUCT if target.kind is RecordKind.STRUCT else Kind.TABLE
                variants.append(VariantPlan(v.tag, kind, self._index[target.name]))
            else:
                _refuse(f"union {union.name!r}: {v.name!r} is no table, struct or string", union)
        return UnionPlan(union, self._index[union.name], tuple(variants))


def _element_name(f: Field) -> str:
    element = f.type.element if isinstance(f.type, Array) else f.type
    return element.name if isinstance(element, Named) else ""


def _force_align(f: Field) -> int:
    for a in f.attributes:
        if a.name == "force_align" and a.value.isdecimal() and int(a.value) in _ALIGNMENTS:
            return int(a.value)
    return 1


def _refuse(message: str, where: Definition | Field | None = None) -> NoReturn:
    position = where.position if where is not None else None
    raise SchemaError([Diagnostic(message, position)])
