"""The types of generated Rust: what each value is, and the definitions of enums, records and unions."""

from __future__ import annotations

from collections.abc import Mapping

from hlfuzz.generate.rust.names import Names, field_names, member_names, variant_names
from hlfuzz.generate.rust.text import byte_string, comment, number, string
from hlfuzz.schema.ir import (
    Array,
    Bytes,
    Enum,
    Field,
    Format,
    Map,
    Named,
    Number,
    Presence,
    Record,
    RecordKind,
    Schema,
    String,
    Type,
    Union,
    Vector,
)


class Types:
    """Types of one schema in Rust."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.names = Names(schema)

    def enum(self, type_: Type) -> Enum | None:
        """The enum that a type names."""
        found = self.schema.by_name[type_.name] if isinstance(type_, Named) else None
        return found if isinstance(found, Enum) else None

    def is_union(self, type_: Type) -> bool:
        """Whether a type names a union."""
        return isinstance(type_, Named) and isinstance(self.schema.by_name[type_.name], Union)

    def boxed(self, type_: Type) -> bool:
        """Whether single values are in a box of their own: tables and messages, which may be recursive. All
        of them, so that a new field somewhere in a schema does not change the types of others."""
        found = self.schema.by_name[type_.name] if isinstance(type_, Named) else None
        return isinstance(found, Record) and found.kind is not RecordKind.STRUCT

    def required(self, f: Field) -> bool:
        """Whether a FlatBuffers field is demanded of everyone; a deprecated one is not."""
        return f.presence is Presence.REQUIRED and not f.deprecated and self.schema.format is Format.FBS

    def optional(self, f: Field) -> bool:
        """Whether a field is an `Option`: required fields of Protobuf too, which a part of a message may
        lack."""
        if isinstance(f.type, Vector | Map):
            return False
        return f.presence is not Presence.IMPLICIT and not self.required(f)

    def element(self, type_: Type) -> str:
        """The type of one value."""
        match type_:
            case Number(scalar):
                return scalar.value
            case String(checked=True):
                return "String"
            case String() | Bytes():
                return "Vec<u8>"
            case Named(name):
                return self.names.type(name)
            case Array(element, length):
                return f"[{self.element(element)}; {length}]"
            case Vector(element):
                inner = self.element(element)
                return f"Vec<Option<{inner}>>" if self.is_union(element) else f"Vec<{inner}>"
            case Map(key, value):
                return f"BTreeMap<{self.key(key)}, {self.element(value)}>"
            case _:
                raise AssertionError(type_)

    def key(self, type_: Number | String) -> str:
        """The type of a map's keys: their text is always UTF-8."""
        return "String" if isinstance(type_, String) else self.element(type_)

    def field(self, f: Field) -> str:
        """The type of a table's or message's field."""
        inner = self.element(f.type)
        if self.boxed(f.type):
            inner = f"Box<{inner}>"
        return f"Option<{inner}>" if self.optional(f) else inner

    def default(self, f: Field) -> str:
        """The expression for an absent field that is not required."""
        if isinstance(f.type, Vector):
            return "Vec::new()"
        if isinstance(f.type, Map):
            return "BTreeMap::new()"
        if self.optional(f):
            return "None"
        return self.value(f)

    def value(self, f: Field) -> str:
        """The expression for the default of a number, enum, text or byte vector."""
        enum = self.enum(f.type)
        if enum is not None:
            return f"{self.names.type(enum.name)}({int(f.default or 0)})"
        match f.type:
            case Number(scalar):
                value = f.default if isinstance(f.default, bool | int | float) else 0
                return number(value, scalar)
            case String(checked=True):
                return (
                    f"String::from({string(f.default)})"
                    if isinstance(f.default, str) and f.default
                    else "String::new()"
                )
            case _:
                given = f.default.encode() if isinstance(f.default, str) else f.default
                return (
                    f"{byte_string(given)}.to_vec()" if isinstance(given, bytes) and given else "Vec::new()"
                )


def enum(types: Types, enum: Enum) -> list[str]:
    """An enum: a number with names, so that values without one, flags and aliases are possible."""
    name, constants = types.names.type(enum.name), member_names(enum)
    derived = "Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash"
    lines = [*comment(enum.doc), f"#[derive({derived})]", f"pub struct {name}(pub {enum.scalar});", ""]
    lines.append(f"impl {name} {{")
    for member in enum.members:
        lines += comment(member.doc, "    ")
        lines.append(f"    pub const {constants[member.name]}: Self = Self({member.value});")
    lines += [
        "",
        "    /// Whether this is a member, or of flags a combination of members.",
        "    pub fn is_known(self) -> bool {",
        f"        {_is_known(enum)}",
        "    }",
        "}",
        "",
        f"impl Default for {name} {{",
        "    fn default() -> Self {",
        f"        Self({_first(enum, types.schema.format)})",
        "    }",
        "}",
        "",
    ]
    if enum.bit_flags:
        lines += [
            f"impl core::ops::BitOr for {name} {{",
            "    type Output = Self;",
            "    fn bitor(self, other: Self) -> Self {",
            "        Self(self.0 | other.0)",
            "    }",
            "}",
            "",
        ]
    return lines


def _first(enum: Enum, format_: Format) -> int:
    values = [m.value for m in enum.members]
    return 0 if not values or (format_ is Format.FBS and (0 in values or enum.bit_flags)) else values[0]


def _is_known(enum: Enum) -> str:
    values = sorted({m.value for m in enum.members})
    if enum.bit_flags:
        bits = 0
        for value in values:
            bits |= value
        return f"self.0 & !{bits} == 0"
    if not values:
        return "false"
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][1] == value - 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return f"matches!(self.0, {' | '.join(str(a) if a == b else f'{a}..={b}' for a, b in runs)})"


def record(types: Types, record: Record) -> list[str]:
    """A table, struct or message, with its default, or with `new` where something is required."""
    name, attributes = types.names.type(record.name), field_names(record)
    struct = record.kind is RecordKind.STRUCT
    derived = "Clone, Copy, Debug, PartialEq" if struct else "Clone, Debug, PartialEq"
    lines = [*comment(record.doc), f"#[derive({derived})]", f"pub struct {name} {{"]
    for f in record.fields:
        lines += comment(f"{f.doc}\n\nDeprecated." if f.deprecated else f.doc, "    ")
        lines.append(f"    pub {attributes[f.name]}: {types.element(f.type) if struct else types.field(f)},")
    lines += ["}", ""]
    if struct:
        return lines
    demanded = [f for f in record.fields if types.required(f)]
    parameters = ", ".join(f"{attributes[f.name]}: {types.field(f)}" for f in demanded)
    head = ["    pub fn new(" + parameters + ") -> Self {"] if demanded else ["    fn default() -> Self {"]
    lines += [f"impl {name} {{" if demanded else f"impl Default for {name} {{", *head, "        Self {"]
    for f in record.fields:
        value = "" if types.required(f) else f": {types.default(f)}"
        lines.append(f"            {attributes[f.name]}{value},")
    lines += ["        }", "    }", "}", "", f"impl {name} {{"]
    lines += [
        "    pub fn encode(&self) -> Result<Vec<u8>, wire::Error> {",
        "        wire::Message::encode(self)",
        "    }",
        "",
        "    /// Verifies while it reads: bytes may come from anyone.",
        "    pub fn decode(bytes: &[u8]) -> Result<Self, wire::Error> {",
        "        wire::Message::decode(bytes)",
        "    }",
        "}",
        "",
    ]
    return lines


def union(types: Types, union: Union) -> list[str]:
    """A union or oneof; no value is the `None` of the field."""
    variants = variant_names(union)
    lines = [
        *comment(union.doc),
        "#[derive(Clone, Debug, PartialEq)]",
        f"pub enum {types.names.type(union.name)} {{",
    ]
    for v in union.variants:
        inner = types.element(v.type)
        lines += comment(v.doc, "    ")
        lines.append(f"    {variants[v.tag]}({f'Box<{inner}>' if types.boxed(v.type) else inner}),")
    return [*lines, "}", ""]


def places(record: Record) -> Mapping[str, str]:
    """What errors call each field: "net.Request.name", as a literal."""
    return {f.name: string(f"{record.name}.{f.name}") for f in record.fields}
