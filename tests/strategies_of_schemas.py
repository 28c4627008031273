"""Hypothesis strategies of whole FlatBuffers schemas, as IR and as text, and of values for their tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from hlfuzz.schema.ir import (
    Array,
    Attribute,
    Definition,
    Element,
    Enum,
    Field,
    Format,
    Member,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    String,
    Type,
    Union,
    Variant,
    Vector,
)
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes, is_byte_vector
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec

NAMES = {
    Scalar.BOOL: "bool",
    Scalar.I8: "byte",
    Scalar.U8: "ubyte",
    Scalar.I16: "short",
    Scalar.U16: "ushort",
    Scalar.I32: "int",
    Scalar.U32: "uint",
    Scalar.I64: "long",
    Scalar.U64: "ulong",
    Scalar.F32: "float",
    Scalar.F64: "double",
}
INTEGERS = [s for s in Scalar if not s.is_float and s is not Scalar.BOOL]
UNSIGNED = [s for s in INTEGERS if s.value[0] == "u"]


def numbers(scalar: Scalar, *, finite: bool = False) -> st.SearchStrategy[Any]:
    """Every number of a scalar; floats with infinities and NaN unless `finite`."""
    if scalar is Scalar.BOOL:
        return st.booleans()
    if scalar.is_float:
        return st.floats(width=8 * scalar.size, allow_nan=not finite, allow_infinity=not finite)
    low, high = scalar.range
    return st.sampled_from([0, 1, low, high]) | st.integers(low, high)


@st.composite
def enums(draw: st.DrawFn, name: str) -> Enum:
    """An enum with members in ascending order, or bit flags."""
    flags = draw(st.booleans())
    scalar = draw(st.sampled_from(UNSIGNED if flags else INTEGERS))
    if flags:
        bits = draw(st.sets(st.integers(0, 8 * scalar.size - 1), min_size=1, max_size=4))
        values = [1 << b for b in sorted(bits)]
    else:
        low, high = scalar.range
        values = sorted(draw(st.sets(st.integers(max(low, -300), min(high, 300)), min_size=1, max_size=5)))
    members = tuple(Member(f"m{i}", v) for i, v in enumerate(values))
    return Enum(name, scalar, members, bit_flags=flags, closed=True)


@st.composite
def structs(draw: st.DrawFn, name: str, enum_list: list[Enum], known: list[Record]) -> Record:
    """A struct of numbers, enums, earlier structs and arrays of them; perhaps aligned further."""
    fields: list[Field] = []
    # flatc wants 0, the default of every struct field, to be a value.
    zeroed = [e for e in enum_list if e.bit_flags or any(m.value == 0 for m in e.members)]
    end, align = 0, 1
    for i in range(draw(st.integers(1, 4))):
        kinds: list[Any] = [*Scalar, *zeroed, *known]
        chosen = draw(st.sampled_from(kinds))
        if isinstance(chosen, Scalar):
            element: Number | Named = Number(chosen)
            size = part = chosen.size
        else:
            element = Named(chosen.name)
            size, part = (
                (chosen.scalar.size, chosen.scalar.size)
                if isinstance(chosen, Enum)
                else (chosen.size, chosen.align)
            )
        count = draw(st.none() | st.integers(1, 3))
        type_ = element if count is None else Array(element, count)
        fields.append(Field(f"p{i}", type_, i, Presence.REQUIRED))
        end = -(-end // part) * part + size * (count or 1)
        align = max(align, part)
    force = draw(st.sampled_from([None, None, 8, 16]))
    attributes = (Attribute("force_align", str(force)),) if force is not None and force > align else ()
    align = max(align, force or 1)
    return Record(name, RecordKind.STRUCT, tuple(fields), -(-end // align) * align, align, attributes)


@st.composite
def _default(draw: st.DrawFn, chosen: Scalar | Enum) -> Any:
    if isinstance(chosen, Enum):
        return draw(st.sampled_from([m.value for m in chosen.members]))
    if chosen.is_float:
        # What text says exactly in both precisions.
        return draw(st.sampled_from([0.0, 1.5, -0.25, 1e10, math.inf, -math.inf, math.nan]))
    return draw(numbers(chosen))


@st.composite
def _fields(
    draw: st.DrawFn, tables: list[str], enum_list: list[Enum], others: list[str]
) -> tuple[Field, ...]:
    """Fields of a table. `others` are names of structs, tables and unions."""
    fields: list[Field] = []
    slot = 0
    elements: list[Element | Enum] = [
        *map(Number, Scalar),
        *enum_list,
        String(),
        *map(Named, others),
    ]
    for i in range(draw(st.integers(0, 7))):
        chosen = draw(st.sampled_from(elements))
        single: Type = Named(chosen.name) if isinstance(chosen, Enum) else chosen
        name, required = f"f{i}", draw(st.integers(0, 4)) == 0
        presence = Presence.REQUIRED if required else Presence.OPTIONAL
        paired = isinstance(single, Named) and single.name.startswith("t.U")
        slot += paired
        shape = draw(st.sampled_from(["plain", "plain", "plain", "vector", "vector", "nested"]))
        if shape == "nested" and not paired:
            # Not required: a table that must nest itself has no finite value.
            nested = draw(st.sampled_from(tables))
            attributes = (Attribute("nested_flatbuffer", nested),)
            type_: Type = Vector(Number(Scalar.U8))
            fields.append(Field(name, type_, slot, Presence.IMPLICIT, nested=nested, attributes=attributes))
        elif shape == "vector":
            kept = Presence.REQUIRED if required else Presence.IMPLICIT
            force = (Attribute("force_align", "16"),) if draw(st.integers(0, 5)) == 0 else ()
            forced = force if isinstance(chosen, Number) else ()
            type_ = Vector(single)  # type: ignore[arg-type]
            fields.append(Field(name, type_, slot, kept, attributes=forced))
        elif isinstance(chosen, Enum | Number):
            scalar = chosen.scalar
            if draw(st.integers(0, 3)) == 0:
                fields.append(Field(name, single, slot, Presence.OPTIONAL))
            else:
                default = draw(_default(chosen if isinstance(chosen, Enum) else scalar))
                fields.append(Field(name, single, slot, Presence.IMPLICIT, default))
        else:
            fields.append(Field(name, single, slot, presence))
        slot += 1
    return tuple(fields)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A schema with enums, structs, tables and unions that refer to each other in every way.
    Its root is its first table. Required references never make a type that has no finite value."""
    enum_list = [draw(enums(f"t.E{i}")) for i in range(draw(st.integers(0, 2)))]
    struct_list: list[Record] = []
    for i in range(draw(st.integers(0, 3))):
        struct_list.append(draw(structs(f"t.S{i}", enum_list, list(struct_list))))
    tables = [f"t.T{i}" for i in range(draw(st.integers(1, 4)))]
    unions: list[Union] = []
    for i in range(draw(st.integers(0, 2))):
        kinds: list[Element] = [String(), *(Named(s.name) for s in struct_list), *map(Named, tables)]
        chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=4))
        variants = tuple(Variant(f"v{k}", k + 1, kind) for k, kind in enumerate(chosen))
        unions.append(Union(f"t.U{i}", variants))
    others = [s.name for s in struct_list] + tables + [u.name for u in unions]
    records = [Record(t, RecordKind.TABLE, draw(_fields(tables, enum_list, others))) for t in tables]
    made: list[Definition] = [*enum_list, *struct_list, *unions, *_finite(records, unions)]
    identifier = draw(st.none() | st.just("FUZZ"))
    return Schema("schema", Format.FBS, tuple(made), root=tables[0], identifier=identifier)


def _finite(records: list[Record], unions: list[Union]) -> list[Record]:
    """The tables, with references that are required of tables with no finite value made optional."""
    tables = {r.name for r in records}
    easy = {u.name for u in unions if any(_is_leaf(v.type, tables) for v in u.variants)}

    def relax(f: Field) -> Field:
        hard = isinstance(f.type, Named) and (f.type.name in tables or f.type.name.startswith("t.U"))
        if f.presence is Presence.REQUIRED and hard and f.type.name not in easy:  # type: ignore[union-attr]
            return dataclasses.replace(f, presence=Presence.OPTIONAL)
        return f

    return [dataclasses.replace(r, fields=tuple(map(relax, r.fields))) for r in records]


def _is_leaf(type_: Element, tables: set[str]) -> bool:
    return not (isinstance(type_, Named) and type_.name in tables)


def fbs_text(schema: Schema) -> str:
    """The schema as flatc reads it."""
    lines = ["namespace t;"]
    for d in schema.definitions:
        name = _short(d.name)
        if isinstance(d, Enum):
            flags = " (bit_flags)" if d.bit_flags else ""
            values = [m.value.bit_length() - 1 if d.bit_flags else m.value for m in d.members]
            members = ", ".join(f"{m.name} = {v}" for m, v in zip(d.members, values, strict=True))
            lines.append(f"enum {name} : {NAMES[d.scalar]}{flags} {{ {members} }}")
        elif isinstance(d, Union):
            variants = ", ".join(f"{v.name}: {_type_text(v.type)}" for v in d.variants)
            lines.append(f"union {name} {{ {variants} }}")
        else:
            attributes = "".join(f" ({a.name}: {a.value})" for a in d.attributes)
            fields = " ".join(_field_text(schema, d, f) for f in d.fields)
            lines.append(f"{d.kind} {name}{attributes} {{ {fields} }}")
    lines.append(f"root_type {_short(schema.root or '')};")
    if schema.identifier:
        lines.append(f'file_identifier "{schema.identifier}";')
    return "\n".join(lines) + "\n"


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _type_text(type_: Type) -> str:
    match type_:
        case Number():
            return NAMES[type_.scalar]
        case String():
            return "string"
        case Named():
            return _short(type_.name)
        case Vector():
            return f"[{_type_text(type_.element)}]"
        case Array():
            return f"[{_type_text(type_.element)}:{type_.length}]"
        case _:
            raise AssertionError(type_)


def _field_text(schema: Schema, record: Record, f: Field) -> str:
    text = f"{f.name}: {_type_text(f.type)}"
    if record.kind is RecordKind.STRUCT:
        return f"{text};"
    definition = schema.by_name.get(f.type.name) if isinstance(f.type, Named) else None
    if isinstance(f.type, Number) or isinstance(definition, Enum):
        text += f" = {_default_text(f, definition if isinstance(definition, Enum) else None)}"
    attributes = [
        f"{a.name}: {a.value if a.value.isdecimal() else repr(_short(a.value))}" for a in f.attributes
    ]
    attributes += ["required"] if f.presence is Presence.REQUIRED else []
    return text + (f" ({', '.join(attributes)});" if attributes else ";")


def _default_text(f: Field, enum: Enum | None) -> str:
    if f.presence is Presence.OPTIONAL:
        return "null"
    if enum is not None:
        return next(m.name for m in enum.members if m.value == f.default)
    if isinstance(f.default, bool):
        return str(f.default).lower()
    return repr(f.default)


def values(
    codec: FlatBuffersCodec, type_name: str, depth: int = 3, *, finite: bool = False
) -> st.SearchStrategy[Any]:
    """Values of a table that nest at most `depth` tables deep (deeper where something is required). `finite`:
    without infinities and NaN."""
    return _Values(codec, finite).table(type_name, depth)


class _Values:
    def __init__(self, codec: FlatBuffersCodec, finite: bool) -> None:
        self._codec = codec
        self._finite = finite
        self._schema = codec.schema
        self._classes: Classes = codec.classes
        self._known: dict[tuple[str, int], st.SearchStrategy[Any]] = {}

    def table(self, name: str, depth: int) -> st.SearchStrategy[Any]:
        return self._cached(name, depth, lambda: self._table(name, depth))

    def _cached(
        self, name: str, depth: int, make: Callable[[], st.SearchStrategy[Any]]
    ) -> st.SearchStrategy[Any]:
        key = (name, depth)
        if key not in self._known:
            self._known[key] = st.deferred(make)
        return self._known[key]

    def _table(self, name: str, depth: int) -> st.SearchStrategy[Any]:
        record = self._schema.record(name)
        names = field_names(record)
        required: dict[str, st.SearchStrategy[Any]] = {}
        optional: dict[str, st.SearchStrategy[Any]] = {}
        for f in record.fields:
            needed = f.presence is Presence.REQUIRED
            if self._leads_to_tables(f) and depth <= 0 and not needed:
                continue
            (required if needed else optional)[names[f.name]] = self._field(f, depth - 1)
        build = self._classes.definitions[name]
        return st.fixed_dictionaries(required, optional=optional).map(lambda d: build(**d))

    def _leads_to_tables(self, f: Field) -> bool:
        element = f.type.element if isinstance(f.type, Vector) else f.type
        found = self._schema.by_name.get(element.name) if isinstance(element, Named) else None
        return (
            f.nested is not None
            or isinstance(found, Union)
            or (isinstance(found, Record) and found.kind is RecordKind.TABLE)
        )

    def _field(self, f: Field, depth: int) -> st.SearchStrategy[Any]:
        if f.nested is not None:
            nested = f.nested
            codec = self._codec
            some = self.table(nested, min(depth, 0)).map(lambda v: codec.encode(nested, v))
            return some | st.just(b"")
        if is_byte_vector(f.type):
            return st.binary(max_size=20)
        if isinstance(f.type, Vector):
            if self._leads_to_tables(f) and depth < 0:
                return st.just([])
            element = self._element(f.type.element, depth)
            return st.lists(element, max_size=4)
        return self._element(f.type, depth)

    def _element(self, type_: Type, depth: int) -> st.SearchStrategy[Any]:
        if isinstance(type_, Number):
            return numbers(type_.scalar, finite=self._finite)
        if isinstance(type_, String):
            return st.text(max_size=12)
        if isinstance(type_, Array):
            inner = self._element(type_.element, depth)
            return st.lists(inner, min_size=type_.length, max_size=type_.length)
        assert isinstance(type_, Named)
        found = self._schema.by_name[type_.name]
        if isinstance(found, Enum):
            return self._enum(found)
        if isinstance(found, Union):
            return self._union(found, depth)
        return self.table(found.name, depth) if found.kind is RecordKind.TABLE else self._struct(found)

    def _enum(self, enum: Enum) -> st.SearchStrategy[Any]:
        cls = self._classes.definitions[enum.name]
        members = st.sampled_from([cls(m.value) for m in enum.members])
        if not enum.bit_flags:
            return members
        return st.sets(members).map(lambda s: cls(sum(int(m) for m in s)))

    def _union(self, union: Union, depth: int) -> st.SearchStrategy[Any]:
        leaves = [
            v
            for v in union.variants
            if depth >= 0 or not (isinstance(v.type, Named) and v.type.name.startswith("t.T"))
        ]
        return st.one_of(
            [
                self._element(v.type, depth).map(self._classes.variants[union.name, v.tag])
                for v in leaves or union.variants
            ]
        )

    def _struct(self, record: Record) -> st.SearchStrategy[Any]:
        cls = self._classes.definitions[record.name]
        return st.tuples(*(self._element(f.type, 0) for f in record.fields)).map(lambda parts: cls(*parts))


def same(one: Any, other: Any) -> bool:
    """Equality of values in which NaN equals itself."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (one != one and other != other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one) and type(one) is type(other):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))
    return one == other and type(one) is type(other)
