"""Makes the C model of a schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hlfuzz.generate.c.layout import plain_structs
from hlfuzz.generate.c.model import C_TYPES, CEnum, CField, CMethod, CRecord, CUnion, CVariant, Model, Shape
from hlfuzz.generate.c.names import GlobalScope, identifier, members
from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import (
    Array,
    Bytes,
    Coding,
    Direction,
    Element,
    Enum,
    Field,
    Format,
    Map,
    Method,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    String,
    Union,
    Variant,
    Vector,
)
from hlfuzz.schema.wire.flatbuffers.plan import make_plan


def make_model(schema: Schema) -> Model:
    """Raises `SchemaError` for what the wire does not carry."""
    return _Maker(schema).model


class _Maker:
    def __init__(self, schema: Schema) -> None:
        self.model = Model(schema)
        self._schema = schema
        self._entries: dict[tuple[str, str], Record] = {}
        self._records = list(self._all_records())
        self._names = _type_names(schema, self._records, self.model.scope)
        self._plan = make_plan(schema) if schema.format is Format.FBS else None
        self._offsets: dict[tuple[str, str], int] = {}
        self._force: dict[tuple[str, str], int] = {}
        self._required: set[tuple[str, str]] = set()
        self._plain: set[str] = set()
        self._read_plan()
        self._find_elements()
        for name, definition in schema.by_name.items():
            if isinstance(definition, Enum):
                self.model.enums[name] = self._enum(definition)
        for name, definition in schema.by_name.items():
            if isinstance(definition, Union):
                self.model.unions[name] = self._union(definition)
        demanding = _demanding(schema, self._records, self._required)
        for index, record in enumerate(self._records):
            self.model.records[record.name] = self._record(record, index, record.name in demanding)
        self.model.methods = _methods(self.model)

    def _all_records(self) -> Iterator[Record]:
        for definition in self._schema.definitions:
            if not isinstance(definition, Record):
                continue
            yield definition
            for f in definition.fields:
                if isinstance(f.type, Map):
                    key = String() if isinstance(f.type.key, String) else f.type.key
                    entry = Record(
                        # No full name of a definition has a colon.
                        f"{definition.name}.{f.name}:entry",
                        RecordKind.MESSAGE,
                        (
                            Field("key", key, 1, Presence.IMPLICIT),
                            Field("value", f.type.value, 2, Presence.IMPLICIT, self._first(f.type.value)),
                        ),
                    )
                    self._entries[definition.name, f.name] = entry
                    yield entry

    def _first(self, type_: Element) -> int | None:
        """The default of a map's value if that is an enum, whose first member need not be 0."""
        definition = self._schema.by_name[type_.name] if isinstance(type_, Named) else None
        return definition.members[0].value if isinstance(definition, Enum) and definition.members else None

    def _read_plan(self) -> None:
        if self._plan is None:
            for record in self._records:
                for f in record.fields:
                    if f.presence is Presence.REQUIRED:
                        self._required.add((record.name, f.name))
            return
        for s in self._plan.structs:
            for part in s.fields:
                self._offsets[s.source.name, part.source.name] = part.offset
        for table in self._plan.tables:
            for p in table.fields:
                self._force[table.source.name, p.source.name] = p.force
                if p.required:
                    self._required.add((table.source.name, p.source.name))
        self._plain = {self._plan.structs[i].source.name for i in plain_structs(self._plan)}

    def _find_elements(self) -> None:
        for record in self._records:
            for f in record.fields:
                if isinstance(f.type, Vector) and isinstance(f.type.element, Named):
                    self.model.in_vectors.add(f.type.element.name)
                elif isinstance(f.type, Map):
                    self.model.in_vectors.add(self._entries[record.name, f.name].name)

    def _vec(self, name: str) -> str:
        return self.model.scope.claim(f"{self._names[name]}_vec") if name in self.model.in_vectors else ""

    def _enum(self, enum: Enum) -> CEnum:
        name = self._names[enum.name]
        constants = tuple(self.model.scope.claim(f"{name}_{m.name}") for m in enum.members)
        closed = sum(e.index is not None for e in self.model.enums.values())
        return CEnum(enum, name, self._vec(enum.name), constants, closed if enum.closed else None)

    def _union(self, union: Union) -> CUnion:
        claim, name = self.model.scope.claim, self._names[union.name]
        tag, none = claim(f"{name}_tag"), claim(f"{name}_NONE")
        short = [_short_variant(v) for v in union.variants]
        inner, _ = members(short, self.model.scope)
        variants = tuple(
            CVariant(v, claim(f"{name}_{s}"), n, self._shape(v.type, delimited=v.delimited, pointer=True))
            for v, s, n in zip(union.variants, short, inner, strict=True)
        )
        variants = tuple(sorted(variants, key=lambda v: v.source.tag))
        index = len(self.model.unions)
        return CUnion(union, name, self._vec(union.name), tag, none, index, variants)

    def _record(self, record: Record, index: int, demands: bool) -> CRecord:
        name, claim = self._names[record.name], self.model.scope.claim
        entry = ":" in record.name
        vec = self._vec(record.name)
        functions = ("", "", "")
        if record.kind is not RecordKind.STRUCT and not entry:
            functions = (claim(f"{name}_init"), claim(f"{name}_decode"), claim(f"{name}_encode"))
        names, scope = members([f.name for f in record.fields], self.model.scope)
        fields: list[CField] = []
        bits = 0
        for f, member in zip(record.fields, names, strict=True):
            made = self._field(record, f, member, entry)
            if made.presence == "OPTIONAL" and (made.shape.is_number or made.shape.kind == "STRUCT"):
                made = replace(made, has=scope.claim(f"has_{member}"))
            if (
                made.presence == "REQUIRED"
                and made.shape.is_number
                and self._plan is None
                and made.form == "SINGLE"
            ):
                made = replace(made, seen=bits)
                bits += 1
            fields.append(made)
        plain = record.name in self._plain
        return CRecord(record, name, vec, index, tuple(fields), plain, functions, entry, demands)

    def _field(self, record: Record, f: Field, name: str, entry: bool) -> CField:
        key = (record.name, f.name)
        presence = "ALWAYS" if entry else "REQUIRED" if key in self._required else f.presence.name
        if presence == "REQUIRED" and record.kind is RecordKind.TABLE and key not in self._required:
            # It is deprecated, and so required of nobody.
            presence = "OPTIONAL"
        match f.type:
            case Vector():
                shape = self._shape(f.type.element, delimited=f.delimited)
                flags = (*shape.flags, *(("PACKED",) if f.type.packed else ()))
                if f.nested is not None:
                    flags += ("NESTED",)
                ctype = self._vector_type(f.type.element)
                shape = replace(shape, ctype=ctype, flags=flags)
                return CField(f, name, shape, "VECTOR", presence, force=self._force.get(key, 0))
            case Map():
                made = self._entries[key]
                shape = Shape("RECORD", f"{self._names[made.name]}_vec", made.name)
                return CField(f, name, shape, "VECTOR", presence)
            case Array():
                shape = self._shape(f.type.element)
                return CField(
                    f, name, shape, "ARRAY", presence, offset=self._offsets[key], count=f.type.length
                )
            case Number() | String() | Bytes() | Named():
                shape = self._shape(f.type, delimited=f.delimited, pointer=True)
                if shape.kind == "STRUCT":
                    # Inline in structs and tables; behind a pointer only in unions.
                    shape = self._shape(f.type)
                return CField(f, name, shape, "SINGLE", presence, offset=self._offsets.get(key, 0))
            case _:
                raise TypeError(f"{f.name!r} is no field of {self._schema.format}")

    def _vector_type(self, element: Element) -> str:
        if isinstance(element, Number):
            fbs_bytes = element.scalar is Scalar.U8 and self._plan is not None
            return "hl_bytes" if fbs_bytes else f"hl_{element.scalar}_vec"
        if isinstance(element, Named):
            return f"{self._names[element.name]}_vec"
        return "hl_string_vec" if isinstance(element, String) else "hl_bytes_vec"

    def _shape(self, type_: Element, *, delimited: bool = False, pointer: bool = False) -> Shape:
        match type_:
            case Number():
                return Shape(type_.scalar.name, C_TYPES[type_.scalar], coding=type_.coding.name)
            case String():
                return Shape("STRING", "hl_string", flags=("CHECKED",) if type_.checked else ())
            case Bytes():
                return Shape("BYTES", "hl_bytes")
            case Named():
                definition = self._schema.by_name[type_.name]
        name = self._names[definition.name]
        if isinstance(definition, Enum):
            coding = Coding.PLAIN if self._plan is not None else Coding.VARINT
            ref = definition.name if definition.closed else None
            return Shape(definition.scalar.name, name, ref, coding.name, enum=definition.name)
        if isinstance(definition, Union):
            return Shape("UNION", name, definition.name)
        kind = "STRUCT" if definition.kind is RecordKind.STRUCT else "RECORD"
        flags = ("DELIMITED",) if delimited else ()
        return Shape(kind, f"const {name} *" if pointer else name, definition.name, flags=flags)


def _short_variant(variant: Variant) -> str:
    """The last part of a FlatBuffers variant's name, which is its type's; a Protobuf one has no dots."""
    return variant.name.rpartition(".")[2]


def _type_names(schema: Schema, records: list[Record], scope: GlobalScope) -> dict[str, str]:
    """C types by full name. First those that need no change, so that they keep their names whatever comes."""
    wanted = [d.name for d in schema.definitions] + [r.name for r in records if ":" in r.name]
    found: dict[str, str] = {}
    for name in sorted(wanted, key=lambda n: (":" in n, "_" in n)):
        found[name] = scope.claim(identifier(name))
    return found


def _demanding(schema: Schema, records: list[Record], required: set[tuple[str, str]]) -> set[str]:
    """Full names of the records that have required fields, in themselves or further down."""
    users: dict[str, list[str]] = {}
    for definition in [*records, *(d for d in schema.definitions if isinstance(d, Union))]:
        for name in _references(definition):
            users.setdefault(name, []).append(definition.name)
    for record in records:
        for f in record.fields:
            if isinstance(f.type, Map):
                users.setdefault(f"{record.name}.{f.name}:entry", []).append(record.name)
    waiting = [name for name, _ in required]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += users.get(name, [])
    return found


def _references(definition: Record | Union) -> Iterator[str]:
    types = (
        [f.type.element if isinstance(f.type, Vector) else f.type for f in definition.fields]
        if isinstance(definition, Record)
        else [v.type for v in definition.variants]
    )
    for type_ in types:
        if isinstance(type_, Named):
            yield type_.name


def _methods(model: Model) -> list[CMethod]:
    """The methods in schema order. Raises `SchemaError` when two have one symbol."""
    found: list[CMethod] = []
    symbols: dict[str, Method] = {}
    for service, method in model.schema.methods():
        if method.symbol in symbols or method.symbol == "hlfuzz_alloc":
            other = symbols.get(method.symbol)
            where = "the allocator" if other is None else f"the method {other.name!r}"
            raise SchemaError(
                [
                    Diagnostic(
                        f"method {service.name}.{method.name} has the symbol of {where} ({method.symbol!r})",
                        method.position,
                        "give it another name",
                    )
                ]
            )
        symbols[method.symbol] = method
        assert method.request is not None
        assert method.response is not None
        function = model.scope.claim(f"{service.name}.{method.name}")
        wire = model.scope.claim(
            f"{function}_{'export' if method.direction is Direction.GUEST else 'import'}"
        )
        request, response = model.records[method.request], model.records[method.response]
        found.append(CMethod(method, function, wire, request, response))
    return found
