"""FlatBuffers in generated Rust: how each table, struct and union is read and written."""

from __future__ import annotations

from hlfuzz.generate.rust.names import field_names, variant_names
from hlfuzz.generate.rust.text import byte_string, string
from hlfuzz.generate.rust.types import Types, places
from hlfuzz.schema.ir import Enum, Number, Scalar
from hlfuzz.schema.wire.flatbuffers.plan import (
    NONE,
    Kind,
    Op,
    Plan,
    StructField,
    StructPlan,
    TableField,
    TablePlan,
    UnionPlan,
)

_NESTED_ALIGN = 8
"""Nested buffers may hold numbers of this alignment."""


def implementations(types: Types, plan: Plan) -> list[str]:
    """All of them, in schema order within a kind."""
    lines: list[str] = []
    for e in plan.enums:
        lines += _enum(types, e.source)
    for s in plan.structs:
        lines += _struct(types, s)
    for u in plan.unions:
        lines += _union(types, u)
    for t in plan.tables:
        lines += _table(types, plan, t)
    return lines


def _enum(types: Types, enum: Enum) -> list[str]:
    return [
        f"impl wire::Inline for {types.names.type(enum.name)} {{",
        f"    const SIZE: usize = {enum.scalar.size};",
        f"    const ALIGN: usize = {enum.scalar.size};",
        "    fn get(bytes: &[u8]) -> Option<Self> {",
        "        wire::Inline::get(bytes).map(Self).filter(|it| it.is_known())",
        "    }",
        "    fn put(&self, bytes: &mut [u8]) {",
        "        self.0.put(bytes);",
        "    }",
        "    fn fits(&self) -> bool {",
        "        self.is_known()",
        "    }",
        "}",
        "",
    ]


def _struct(types: Types, plan: StructPlan) -> list[str]:
    record, attributes = plan.source, field_names(plan.source)

    def part(f: StructField) -> str:
        return f"[{f.offset}..{f.offset + f.size * (1 if f.count is None else f.count)}]"

    checked = [attributes[f.source.name] for f in plan.fields if f.kind in (Kind.ENUM, Kind.STRUCT)]
    return [
        f"impl wire::Inline for {types.names.type(record.name)} {{",
        f"    const SIZE: usize = {record.size};",
        f"    const ALIGN: usize = {record.align};",
        "    fn get(bytes: &[u8]) -> Option<Self> {",
        "        Some(Self {",
        *(
            f"            {attributes[f.source.name]}: wire::Inline::get(&bytes{part(f)})?,"
            for f in plan.fields
        ),
        "        })",
        "    }",
        "    fn put(&self, bytes: &mut [u8]) {",
        *(f"        self.{attributes[f.source.name]}.put(&mut bytes{part(f)});" for f in plan.fields),
        "    }",
        "    fn fits(&self) -> bool {",
        f"        {' && '.join(f'self.{a}.fits()' for a in checked) or 'true'}",
        "    }",
        "}",
        "",
    ]


def _union(types: Types, plan: UnionPlan) -> list[str]:
    name, variants = types.names.type(plan.source.name), variant_names(plan.source)
    readers = {Kind.TABLE: "table_at(at, depth)", Kind.STRING: "string_at(at, place)"}
    writers = {
        Kind.TABLE: "it.write(w, depth + 1)",
        Kind.STRING: "Ok(w.string(it))",
        Kind.STRUCT: f"w.inline(it, {string(plan.source.name)})",
    }
    lines = [
        f"impl wire::FlatUnion for {name} {{",
        "    fn read(",
        "        r: &mut wire::FlatReader<'_>,",
        "        tag: u8,",
        "        at: usize,",
        "        depth: u32,",
        "        place: &'static str,",
        "    ) -> Result<Option<Self>, wire::Error> {",
        "        Ok(match tag {",
    ]
    for v in plan.variants:
        reader = readers.get(v.kind, "inline_at(at, place)")
        lines.append(f"            {v.tag} => Some(Self::{variants[v.tag]}(r.{reader}?)),")
    lines += [
        "            _ => None,",
        "        })",
        "    }",
        "    fn tag(&self) -> u8 {",
        "        match *self {",
    ]
    lines += [f"            Self::{variants[v.tag]}(_) => {v.tag}," for v in plan.variants]
    lines += [
        "        }",
        "    }",
        "    fn write(&self, w: &mut wire::FlatWriter, depth: u32) -> Result<usize, wire::Error> {",
        "        match self {" if plan.variants else "        match *self {",
    ]
    lines += [f"            Self::{variants[v.tag]}(it) => {writers[v.kind]}," for v in plan.variants]
    return [*lines, "        }", "    }", "}", ""]


def _table(types: Types, plan: Plan, table: TablePlan) -> list[str]:
    record, attributes = table.source, field_names(table.source)
    place = places(record)
    identifier = f"Some(*{byte_string(table.identifier)})" if table.identifier else "None"
    lines = [
        f"impl wire::FlatRecord for {types.names.type(record.name)} {{",
        f"    const NAME: &'static str = {string(record.name)};",
        f"    const IDENTIFIER: Option<[u8; 4]> = {identifier};",
        "    fn read(r: &mut wire::FlatReader<'_>, t: &wire::FlatTable) -> Result<Self, wire::Error> {",
        "        Ok(Self {",
    ]
    for f in table.fields:
        name = f.source.name
        lines.append(f"            {attributes[name]}: {_read(types, plan, f, place[name])},")
    lines += [
        "        })",
        "    }",
        "    fn write(&self, w: &mut wire::FlatWriter, depth: u32) -> Result<usize, wire::Error> {",
        "        let mut l = wire::Layout::new();",
    ]
    # Largest first: then there is no room between them.
    rooms = [(*f.inline, f.slot, _present(types, f, attributes[f.source.name])) for f in table.fields]
    for f in table.fields:
        if f.op in (Op.UNION, Op.VECTOR_UNION):
            size = 1 if f.op is Op.UNION else 4
            rooms.append((size, size, f.slot - 1, _present(types, f, attributes[f.source.name])))
    for size, align, slot, present in sorted(rooms, key=lambda room: (-room[1], room[2])):
        lines.append(f"        l.add({present}, {slot}, {size}, {align});")
    lines.append(f"        let t = w.begin(l, depth, {string(record.name)})?;")
    for f in table.fields:
        lines += _write(types, f, attributes[f.source.name], place[f.source.name])
    return [*lines, "        Ok(t.place())", "    }", "}", ""]


def _read(types: Types, plan: Plan, f: TableField, place: str) -> str:
    calls = {
        Op.SCALAR: "inline",
        Op.STRUCT: "inline",
        Op.STRING: "string",
        Op.TABLE: "table",
        Op.UNION: "union",
        Op.VECTOR_SCALAR: "inlines",
        Op.VECTOR_STRUCT: "inlines",
        Op.VECTOR_STRING: "strings",
        Op.VECTOR_TABLE: "tables",
        Op.VECTOR_UNION: "unions",
        Op.NESTED: "nested",
    }
    call = "bytes" if _is_bytes(f) else calls[f.op]
    if f.op is Op.NESTED:
        call += f"::<{types.names.type(plan.tables[f.target].source.name)}>"
    found = f"r.{call}(t, {f.slot}, {place})?"
    if types.required(f.source):
        return f"wire::required({found}, {place})?"
    if types.optional(f.source):
        return found
    if f.op >= Op.VECTOR_SCALAR:
        return f"{found}.unwrap_or_default()"
    if f.op is Op.STRING:
        return f"{found}.unwrap_or_else(|| {types.value(f.source)})"
    return f"{found}.unwrap_or({types.value(f.source)})"


def _is_bytes(f: TableField) -> bool:
    return f.op is Op.VECTOR_SCALAR and f.scalar is Scalar.U8 and f.size == 1 and f.enum == NONE


def _present(types: Types, f: TableField, attribute: str) -> str:
    """When a field is written."""
    value = f"self.{attribute}"
    if types.required(f.source):
        return "true"
    if types.optional(f.source):
        return f"{value}.is_some()"
    if f.op >= Op.VECTOR_SCALAR:
        return f"!{value}.is_empty()"
    default = types.value(f.source)
    if isinstance(f.source.type, Number) and f.source.type.scalar.is_float:
        # By their bits: 0.0 equals -0.0 and is another number.
        return f"{value}.to_bits() != ({default} as {f.source.type.scalar}).to_bits()"
    return f"{value} != {default}"


def _write(types: Types, f: TableField, attribute: str, place: str) -> list[str]:
    optional = types.optional(f.source)
    if f.op in (Op.SCALAR, Op.STRUCT):
        value = "it" if optional else f"&self.{attribute}"
        step = f"w.put(&t, {f.slot}, {value}, {place})?;"
        if optional:
            return [f"        if let Some(it) = &self.{attribute} {{", f"            {step}", "        }"]
        return [f"        {step}"]
    force = max(f.force, 1)
    value = "it" if optional else f"(&self.{attribute})"
    match f.op:
        case Op.STRING:
            made = f"w.string({value})"
        case Op.TABLE | Op.UNION:
            made = f"{value}.write(w, {'depth + 1' if f.op is Op.TABLE else 'depth'})?"
        case Op.NESTED:
            made = f"w.bytes({value}, {max(force, _NESTED_ALIGN)})"
        case Op.VECTOR_STRING:
            made = f"w.strings({value}, {force}, {place})?"
        case Op.VECTOR_TABLE:
            made = f"w.tables({value}, {force}, depth, {place})?"
        case Op.VECTOR_UNION:
            made = f"w.unions({value}, {force}, depth, {place})?"
        case _:
            made = f"w.bytes({value}, {force})" if _is_bytes(f) else f"w.inlines({value}, {force}, {place})?"
    head = f"if let Some(it) = &self.{attribute}" if optional else f"if t.has({f.slot})"
    lines = [f"        {head} {{"]
    if f.op is Op.UNION:
        lines.append(f"            w.put(&t, {f.slot - 1}, &wire::FlatUnion::tag({value}), {place})?;")
    if f.op is Op.VECTOR_UNION:
        lines.append(f"            let at = w.tags({value});")
        lines.append(f"            w.link(&t, {f.slot - 1}, at, {place})?;")
    lines += [
        f"            let at = {made};",
        f"            w.link(&t, {f.slot}, at, {place})?;",
        "        }",
    ]
    return lines
