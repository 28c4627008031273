"""Protobuf in generated Rust: how each message is read, field by field, and written."""

from __future__ import annotations

from hlfuzz.generate.rust.names import field_names, variant_names
from hlfuzz.generate.rust.text import string
from hlfuzz.generate.rust.types import Types, places
from hlfuzz.schema.ir import (
    Bytes,
    Coding,
    Element,
    Enum,
    Field,
    Map,
    Named,
    Number,
    Presence,
    Record,
    String,
    Union,
    Vector,
)

_CODINGS = {Coding.PLAIN: "Fixed", Coding.FIXED: "Fixed", Coding.VARINT: "Varint", Coding.ZIGZAG: "Zigzag"}


def implementations(types: Types) -> list[str]:
    """All of them, in schema order."""
    demanding = _demanding(types)
    lines: list[str] = []
    for definition in types.schema.definitions:
        match definition:
            case Enum():
                lines += _enum(types, definition)
            case Record():
                lines += _record(types, definition, demanding)
            case Union():
                pass
    return lines


def _enum(types: Types, enum: Enum) -> list[str]:
    return [
        f"impl wire::ProtoEnum for {types.names.type(enum.name)} {{",
        "    fn from_number(number: i32) -> Self {",
        "        Self(number)",
        "    }",
        "    fn number(self) -> i32 {",
        "        self.0",
        "    }",
        "    fn allowed(self) -> bool {",
        f"        {'self.is_known()' if enum.closed else 'true'}",
        "    }",
        "}",
        "",
    ]


def _record(types: Types, record: Record, demanding: frozenset[str]) -> list[str]:
    lines = [
        f"impl wire::ProtoRecord for {types.names.type(record.name)} {{",
        f"    const NAME: &'static str = {string(record.name)};",
        "    fn field(&mut self, r: &mut wire::ProtoReader<'_>, tag: wire::Tag) -> Result<(), wire::Error> {",
        "        match tag.number {",
    ]
    attributes, place = field_names(record), places(record)
    for f in record.fields:
        attribute, where = f"self.{attributes[f.name]}", place[f.name]
        union = _union(types, f)
        if union is None:
            lines.append(f"            {f.id} => {_read(types, f, attribute, where)},")
        else:
            lines += _read_union(types, union, attribute, where)
    lines += [
        "            _ => r.skip(tag, Self::NAME)?,",
        "        }",
        "        Ok(())",
        "    }",
        "    fn write(&self, w: &mut wire::ProtoWriter) -> Result<(), wire::Error> {",
    ]
    for f in record.fields:
        lines += _write(types, f, f"self.{attributes[f.name]}", place[f.name])
    lines += ["        Ok(())", "    }"]
    if record.name in demanding:
        lines += ["    fn complete(&self) -> Result<(), wire::Error> {"]
        for f in record.fields:
            lines += _complete(types, f, f"self.{attributes[f.name]}", place[f.name], demanding)
        lines += ["        Ok(())", "    }"]
    return [*lines, "}", ""]


def _union(types: Types, f: Field) -> Union | None:
    found = types.schema.by_name[f.type.name] if isinstance(f.type, Named) else None
    return found if isinstance(found, Union) else None


def _kind(types: Types, type_: Element, delimited: bool) -> str:
    match type_:
        case Number():
            name = _CODINGS[type_.coding]
        case String(checked=True):
            name = "Text"
        case String() | Bytes():
            name = "Raw"
        case Named():
            enum = types.enum(type_)
            name = "Enums" if enum is not None else "Delimited" if delimited else "Sub"
    return f"wire::{name}"


def _map_kinds(types: Types, type_: Map) -> str:
    key = "wire::Text" if isinstance(type_.key, String) else _kind(types, type_.key, False)
    return f"{key}, {_kind(types, type_.value, False)}, _, _"


def _read(types: Types, f: Field, attribute: str, place: str) -> str:
    match f.type:
        case Map():
            return f"r.insert::<{_map_kinds(types, f.type)}>(&mut {attribute}, tag, {place})?"
        case Vector(element):
            kind = _kind(types, element, f.delimited)
            return f"r.push::<{kind}, _>(&mut {attribute}, tag, {place})?"
        case Number() | String() | Bytes() | Named():
            kind = _kind(types, f.type, f.delimited)
        case _:
            raise AssertionError(f.type)
    if types.boxed(f.type):
        return f"r.merge::<{kind}, _>(&mut **{attribute}.get_or_insert_default(), tag, {place})?"
    return f"r.{'set_some' if types.optional(f) else 'set'}::<{kind}, _>(&mut {attribute}, tag, {place})?"


def _read_union(types: Types, union: Union, attribute: str, place: str) -> list[str]:
    name, variants = types.names.type(union.name), variant_names(union)
    lines: list[str] = []
    for v in union.variants:
        made, kind = f"{name}::{variants[v.tag]}", _kind(types, v.type, v.delimited)
        lines.append(f"            {v.tag} => {{")
        if types.boxed(v.type):
            lines += [
                f"                let mut it = match {attribute}.take() {{",
                f"                    Some({made}(it)) => it,",
                "                    _ => Default::default(),",
                "                };",
                f"                r.merge::<{kind}, _>(&mut *it, tag, {place})?;",
                f"                {attribute} = Some({made}(it));",
            ]
        else:
            lines += [
                f"                if let Some(it) = r.one::<{kind}, _>(tag, {place})? {{",
                f"                    {attribute} = Some({made}(it));",
                "                }",
            ]
        lines.append("            }")
    return lines


def _write(types: Types, f: Field, attribute: str, place: str) -> list[str]:
    union = _union(types, f)
    if union is not None:
        name, variants = types.names.type(union.name), variant_names(union)
        lines = [f"        match &{attribute} {{", "            None => {}"]
        for v in union.variants:
            kind, value = _kind(types, v.type, v.delimited), "&**it" if types.boxed(v.type) else "it"
            step = f"w.field::<{kind}, _>({v.tag}, {value}, {place})?"
            lines.append(f"            Some({name}::{variants[v.tag]}(it)) => {step},")
        return [*lines, "        }"]
    match f.type:
        case Map():
            return [f"        w.map::<{_map_kinds(types, f.type)}>({f.id}, &{attribute}, {place})?;"]
        case Vector(element, packed):
            kind = _kind(types, element, f.delimited)
            if packed:
                return [f"        w.packed::<{kind}, _>({f.id}, &{attribute}, {place})?;"]
            step = f"w.field::<{kind}, _>({f.id}, it, {place})?;"
            return [f"        for it in &{attribute} {{", f"            {step}", "        }"]
        case Number() | String() | Bytes() | Named():
            kind = _kind(types, f.type, f.delimited)
        case _:
            raise AssertionError(f.type)
    value = "&**it" if types.boxed(f.type) else "it"
    step = f"w.field::<{kind}, _>({f.id}, {value}, {place})?;"
    if f.presence is Presence.REQUIRED:
        return [f"        let it = wire::need(&{attribute}, {place})?;", f"        {step}"]
    if types.optional(f):
        return [f"        if let Some(it) = &{attribute} {{", f"            {step}", "        }"]
    return [
        f"        if {_differs(types, f, attribute)} {{",
        f"            w.field::<{kind}, _>({f.id}, &{attribute}, {place})?;",
        "        }",
    ]


def _differs(types: Types, f: Field, attribute: str) -> str:
    """Whether a field is to be written: it is not what absence means."""
    if isinstance(f.type, Number) and f.type.scalar.is_float:
        # By their bits: 0.0 equals -0.0 and is another number.
        return f"{attribute}.to_bits() != ({types.value(f)} as {f.type.scalar}).to_bits()"
    if isinstance(f.type, String | Bytes) and not f.default:
        return f"!{attribute}.is_empty()"
    return f"{attribute} != {types.value(f)}"


def _demanding(types: Types) -> frozenset[str]:
    """Full names of the messages that have required fields, or contain messages that have."""
    users: dict[str, list[str]] = {}
    waiting: list[str] = []
    for record in types.schema.definitions:
        if not isinstance(record, Record):
            continue
        for f in record.fields:
            for name in _inside(types, f):
                users.setdefault(name, []).append(record.name)
        if any(f.presence is Presence.REQUIRED for f in record.fields):
            waiting.append(record.name)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += users.get(name, [])
    return frozenset(found)


def _inside(types: Types, f: Field) -> list[str]:
    """Full names of the messages in a field."""
    union = _union(types, f)
    inner: list[object] = [v.type for v in union.variants] if union is not None else [f.type]
    if isinstance(f.type, Vector):
        inner = [f.type.element]
    if isinstance(f.type, Map):
        inner = [f.type.value]
    return [t.name for t in inner if isinstance(t, Named) and types.boxed(t)]


def _complete(types: Types, f: Field, attribute: str, place: str, demanding: frozenset[str]) -> list[str]:
    lines: list[str] = []
    if f.presence is Presence.REQUIRED:
        lines.append(f"        wire::present({attribute}.is_some(), {place})?;")
    if not any(name in demanding for name in _inside(types, f)):
        return lines
    union = _union(types, f)
    if union is not None:
        name, variants = types.names.type(union.name), variant_names(union)
        lines.append(f"        match &{attribute} {{")
        for v in union.variants:
            if isinstance(v.type, Named) and v.type.name in demanding:
                lines.append(f"            Some({name}::{variants[v.tag]}(it)) => it.complete()?,")
        return [*lines, "            _ => {}", "        }"]
    head = f"if let Some(it) = &{attribute}"
    if isinstance(f.type, Vector | Map):
        head = f"for it in {f'{attribute}.values()' if isinstance(f.type, Map) else f'&{attribute}'}"
    return [*lines, f"        {head} {{", "            it.complete()?;", "        }"]
