"""What every schema promises, whichever front end or file it came from: names, references, ranges, layout.

Front ends say what is wrong with a file in the words of its language; this is the last check before code is
generated from a schema or bytes are read by one, so that neither has to doubt it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from hlfuzz.schema.diagnostics import Collector
from hlfuzz.schema.ir import (
    Array,
    Bytes,
    CString,
    Definition,
    Enum,
    Field,
    Format,
    Map,
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
    Vector,
)

IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,511}")
"""A name of one part; no language of a generator needs more than ASCII, and nobody 512 letters."""
MAX_FIELD_ID: Final = (1 << 29) - 1
"""Largest Protobuf field number; FlatBuffers tables end at 32 764."""
MAX_STRUCT_BYTES: Final = 0x7FFF_FFFF
MAX_ALIGN: Final = 256
"""Largest `force_align` that flatc takes."""

_CONTAINER: Final = {Format.FBS: RecordKind.TABLE, Format.PROTO: RecordKind.MESSAGE}


def check(schema: Schema) -> None:
    """Raises `SchemaError` with all that a schema breaks, at most `MAX_DIAGNOSTICS` of it."""
    _Checker(schema).run()


class _Checker:
    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._found = Collector()

    def run(self) -> None:
        schema = self._schema
        self._unique("definition", ((d.name, d.position) for d in schema.definitions), dotted=True)
        self._unique("service", ((s.name, s.position) for s in schema.services), dotted=True)
        self._found.finish()
        for definition in schema.definitions:
            match definition:
                case Record():
                    self._record(definition)
                case Enum():
                    self._enum(definition)
                case Union():
                    self._union(definition)
        for service in schema.services:
            self._service(service)
        if schema.root is not None:
            self._container(schema.root, "the root type", None)
        if schema.identifier is not None and len(schema.identifier.encode("utf-8", "replace")) != 4:
            self._found.add(f"the file identifier {schema.identifier!r} does not have 4 bytes")
        self._found.finish()
        self._layouts()
        self._found.finish()

    def _unique(
        self, what: str, names: Iterable[tuple[str, Position | None]], *, dotted: bool = False
    ) -> None:
        seen: set[str] = set()
        for name, position in names:
            parts = name.split(".") if dotted else [name]
            if not all(IDENTIFIER.fullmatch(p) for p in parts):
                self._found.add(
                    f"{what} {name[:80]!r} is no name of letters, digits and underscores", position
                )
            if name in seen:
                self._found.add(f"{what} {name!r} is there twice", position)
            seen.add(name)

    def _distinct(self, what: str, numbers: Iterable[int], position: Position | None) -> None:
        seen: set[int] = set()
        for number in numbers:
            if number in seen:
                self._found.add(f"{what} {number} is there twice", position)
            seen.add(number)

    def _record(self, record: Record) -> None:
        where = record.name
        self._unique(f"{where}: field", ((f.name, f.position) for f in record.fields))
        self._distinct(f"{where}: field number", (f.id for f in record.fields), record.position)
        if record.kind is not RecordKind.STRUCT and _CONTAINER.get(self._schema.format) is not record.kind:
            self._found.add(f"{where} is a {record.kind} in a {self._schema.format} schema", record.position)
        for field in record.fields:
            self._field(record, field)

    def _field(self, record: Record, field: Field) -> None:
        where = f"{record.name}.{field.name}"
        if not 0 <= field.id <= MAX_FIELD_ID:
            self._found.add(f"{where}: field number {field.id} is out of range", field.position)
        in_struct = record.kind is RecordKind.STRUCT
        if in_struct and field.presence is not Presence.REQUIRED:
            self._found.add(f"{where}: a field of a struct cannot be absent", field.position)
        self._type(field.type, where, field.position, in_struct=in_struct)
        self._default(field, where)
        if field.nested is not None:
            self._container(field.nested, f"{where}: nested", field.position)

    def _type(self, type_: Type, where: str, position: Position | None, *, in_struct: bool = False) -> None:
        match type_:
            case Named(name):
                found = self._schema.by_name.get(name)
                if found is None:
                    self._found.add(f"{where}: unknown type {name[:80]!r}", position)
                elif in_struct and not _fits_struct(found):
                    self._found.add(f"{where}: a struct cannot hold {name!r}", position)
            case Array(element, length):
                if not in_struct or not 1 <= length <= 0xFFFF:
                    self._found.add(
                        f"{where}: arrays have 1 to 65535 elements, and only structs have them", position
                    )
                self._type(element, where, position, in_struct=True)
            case Vector(element):
                self._type(element, where, position)
            case Map(key, value):
                if isinstance(key, Number) and key.scalar.is_float:
                    self._found.add(f"{where}: a floating-point number cannot be the key of a map", position)
                self._type(value, where, position)
                if self._is_union(value):
                    self._found.add(f"{where}: a map cannot hold a union", position)
            case CString():
                self._found.add(f"{where}: only functions of raw interfaces take C strings", position)
            case Number() | String() | Bytes():
                pass
        if in_struct and not isinstance(type_, Number | Named | Array):
            self._found.add(f"{where}: a struct holds numbers, enums, structs and arrays only", position)

    def _default(self, field: Field, where: str) -> None:
        value, type_ = field.default, field.type
        enum = self._schema.by_name.get(type_.name) if isinstance(type_, Named) else None
        scalar = (
            type_.scalar if isinstance(type_, Number) else enum.scalar if isinstance(enum, Enum) else None
        )
        fits = value is None or field.presence is Presence.IMPLICIT
        match value:
            case None:
                fits = scalar is None or field.presence is not Presence.IMPLICIT
            case bool():
                fits = fits and scalar is Scalar.BOOL
            case int():
                fits = fits and scalar is not None and _holds(scalar, value)
            case float():
                fits = fits and scalar is not None and scalar.is_float
            case str():
                fits = fits and isinstance(type_, String)
            case bytes():
                fits = fits and isinstance(type_, Bytes)
        if not fits:
            self._found.add(f"{where}: {str(value)[:40]} is no default of its type", field.position)

    def _enum(self, enum: Enum) -> None:
        self._unique(f"{enum.name}: member", ((m.name, m.position) for m in enum.members))
        if enum.scalar.is_float or enum.scalar is Scalar.BOOL:
            self._found.add(f"{enum.name}: an enum is no {enum.scalar}", enum.position)
            return
        for member in enum.members:
            if not _holds(enum.scalar, member.value):
                self._found.add(f"{enum.name}.{member.name}: {member.value} is out of range", member.position)

    def _union(self, union: Union) -> None:
        self._unique(
            f"{union.name}: variant", ((v.name, v.position) for v in union.variants), dotted=not union.oneof
        )
        self._distinct(f"{union.name}: tag", (v.tag for v in union.variants), union.position)
        largest = MAX_FIELD_ID if union.oneof else 255
        for variant in union.variants:
            where = f"{union.name}.{variant.name}"
            if not 1 <= variant.tag <= largest:
                self._found.add(f"{where}: tag {variant.tag} is out of range", variant.position)
            self._type(variant.type, where, variant.position)
            if self._is_union(variant.type):
                self._found.add(f"{where}: a union cannot hold a union", variant.position)

    def _is_union(self, type_: Type) -> bool:
        return isinstance(type_, Named) and isinstance(self._schema.by_name.get(type_.name), Union)

    def _service(self, service: Service) -> None:
        self._unique(f"{service.name}: method", ((m.name, m.position) for m in service.methods))
        for method in service.methods:
            where = f"{service.name}.{method.name}"
            if method.direction is not service.direction:
                self._found.add(f"{where}: its direction is not that of its service", method.position)
            self._method(method, where)

    def _method(self, method: Method, where: str) -> None:
        if self._schema.format is not Format.RAW:
            for what, name in (("request", method.request), ("response", method.response)):
                self._container(name, f"{where}: the {what}", method.position)
            if method.parameters or method.results:
                self._found.add(f"{where}: only functions of raw interfaces have parameters", method.position)
            return
        self._unique(f"{where}: parameter", ((p.name, p.position) for p in method.parameters))
        for parameter in method.parameters:
            if parameter.out and not (isinstance(parameter.type, Bytes) and parameter.capacity >= 0):
                self._found.add(
                    f"{where}: {parameter.name!r} is out, but has no bytes and room for them",
                    parameter.position,
                )

    def _container(self, name: str | None, what: str, position: Position | None) -> None:
        found = None if name is None else self._schema.by_name.get(name)
        kind = _CONTAINER.get(self._schema.format)
        if not isinstance(found, Record) or found.kind is not kind:
            self._found.add(f"{what} must be a {kind}, not {str(name)[:80]!r}", position)

    def _layouts(self) -> None:
        """Sizes of structs, innermost first; what is left at the end contains itself."""
        structs = {
            r.name: r
            for r in self._schema.definitions
            if isinstance(r, Record) and r.kind is RecordKind.STRUCT
        }
        users: dict[str, list[str]] = {name: [] for name in structs}
        waiting: dict[str, int] = {}
        for name, record in structs.items():
            inner = {n for f in record.fields for n in _names(f.type) if n in structs}
            waiting[name] = len(inner)
            for other in inner:
                users[other].append(name)
        ready = [name for name, count in waiting.items() if not count]
        while ready:
            name = ready.pop()
            del waiting[name]
            self._layout(structs[name])
            for user in users[name]:
                waiting[user] -= 1
                if not waiting[user]:
                    ready.append(user)
        for name in waiting:
            self._found.add(f"struct {name} contains itself", structs[name].position)

    def _layout(self, record: Record) -> None:
        offset, natural = 0, 1
        for field in record.fields:
            size, align = self._extent(field.type)
            offset = -(-offset // align) * align + size
            natural = max(natural, align)
        align = record.align
        good = natural <= align <= MAX_ALIGN and align & (align - 1) == 0
        if not good or record.size != -(-offset // align) * align or record.size > MAX_STRUCT_BYTES:
            self._found.add(
                f"struct {record.name}: size {record.size} and alignment {align} do not fit its fields",
                record.position,
            )

    def _extent(self, type_: Type) -> tuple[int, int]:
        match type_:
            case Number(scalar):
                return scalar.size, scalar.size
            case Array(element, length):
                size, align = self._extent(element)
                return size * length, align
            case Named(name):
                found = self._schema.by_name[name]
                if isinstance(found, Enum):
                    return found.scalar.size, found.scalar.size
                assert isinstance(found, Record)
                # An alignment that is wrong was reported with its struct.
                return found.size, max(1, found.align)
            case _:
                raise AssertionError(type_)


def _fits_struct(found: Definition) -> bool:
    return isinstance(found, Enum) or (isinstance(found, Record) and found.kind is RecordKind.STRUCT)


def _holds(scalar: Scalar, value: int) -> bool:
    if scalar.is_float or scalar is Scalar.BOOL:
        return False
    low, high = scalar.range
    return low <= value <= high


def _names(type_: Type) -> Iterator[str]:
    if isinstance(type_, Array):
        type_ = type_.element
    if isinstance(type_, Named):
        yield type_.name
