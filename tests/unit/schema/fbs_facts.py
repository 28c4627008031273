"""A schema as plain facts, from our IR and from flatc's binary schema, to be compared."""

from __future__ import annotations

import math
import struct
from typing import Any

from flatbuffers import number_types as n
from flatc import Row

from hlfuzz.schema.ir import (
    Array,
    Attribute,
    Enum,
    Field,
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
    Vector,
)

Facts = dict[str, Any]

_BASES = (
    *("none", "utype", "bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f32", "f64"),
    *("string", "vector", "record", "union", "array", "vector"),
)
_ELSEWHERE = {"deprecated", "id", "key", "nested_flatbuffer", "required", "bit_flags"}
"""Attributes that the IR has fields for."""


def facts_of_binary(schema: Row) -> Facts:
    """What a .bfbs file says."""
    records = [(r.text(0), r) for r in schema.rows(0)]
    enums = [(e.text(0), e) for e in schema.rows(1)]
    facts: Facts = {"identifier": schema.text(2), "extension": schema.text(3)}
    root = schema.row(4)
    facts["root"] = root.text(0) if root is not None else None

    def type_of(row: Row | None) -> str:
        assert row is not None
        base = _BASES[row.number(0, n.Int8Flags)]
        element = _BASES[row.number(1, n.Int8Flags)]
        index = row.number(2, n.Int32Flags, -1)
        kind = element if base in ("vector", "array") else base
        name = kind
        if index >= 0:
            name = f"{kind} {(records if kind == 'record' else enums)[index][0]}"
        if base == "array":
            return f"[{name}:{row.number(3, n.Uint16Flags)}]"
        return f"[{name}]" if base == "vector" else name

    def attributes_of(row: Row, field: int) -> dict[str, str]:
        return {kv.text(0): kv.text(1) for kv in row.rows(field)}

    for name, record in records:
        fixed = bool(record.number(2, n.BoolFlags))
        facts[name] = {
            "struct": fixed,
            "layout": (record.number(4, n.Int32Flags), record.number(3, n.Int32Flags)) if fixed else None,
            "attributes": _attributes(attributes_of(record, 5)),
            "doc": _doc(record.texts(6)),
        }
        for f in record.rows(1):
            type_ = type_of(f.row(1))
            scalar = type_.split(" ")[0]
            real = f.number(5, n.Float64Flags, 0.0)
            attributes = attributes_of(f, 9)
            optional, required = bool(f.number(11, n.BoolFlags)), bool(f.number(7, n.BoolFlags))
            facts[f"{name}.{f.text(0)}"] = {
                "id": f.number(2, n.Uint16Flags),
                "offset": f.number(3, n.Uint16Flags),
                "type": type_,
                "default": _float(real, scalar) if scalar in ("f32", "f64") else _integer(f, scalar),
                "deprecated": bool(f.number(6, n.BoolFlags)),
                "required": required,
                "key": bool(f.number(8, n.BoolFlags)),
                "optional": optional if not type_.startswith("[") else None,
                "nested": _last(attributes.get("nested_flatbuffer")),
                "attributes": _attributes(attributes),
                "doc": _doc(f.texts(10)),
            }
    for name, enum in enums:
        attributes = attributes_of(enum, 4)
        union = bool(enum.number(2, n.BoolFlags))
        facts[name] = {
            "union": union,
            "scalar": type_of(enum.row(3)).split(" ")[0],
            "bit_flags": "bit_flags" in attributes,
            "attributes": _attributes(attributes),
            "doc": _doc(enum.texts(5)),
            "members": [
                (
                    m.text(0),
                    m.number(1, n.Int64Flags),
                    type_of(m.row(3)) if union else "none",
                    _doc(m.texts(4)),
                )
                for m in enum.rows(1)
            ],
        }
    for service in schema.rows(5):
        facts[f"service {service.text(0)}"] = {
            "doc": _doc(service.texts(3)),
            "methods": [
                (m.text(0), _name(m.row(1)), _name(m.row(2)), _doc(m.texts(4)))
                for m in service.rows(1)
                if attributes_of(m, 3).get("streaming", "none") == "none"
            ],
        }
    return facts


def facts_of_schema(schema: Schema) -> Facts:
    """What our IR says, in the words of `facts_of_binary`."""
    facts: Facts = {
        "identifier": schema.identifier or "",
        "extension": schema.extension or "",
        "root": schema.root,
    }
    for definition in schema.definitions:
        match definition:
            case Record():
                _record(schema, definition, facts)
            case Enum():
                facts[definition.name] = {
                    "union": False,
                    "scalar": definition.scalar,
                    "bit_flags": definition.bit_flags,
                    "attributes": _written(definition.attributes),
                    "doc": definition.doc,
                    "members": [(m.name, _signed(m.value), "none", m.doc) for m in definition.members],
                }
            case Union():
                attributes = _written(definition.attributes)
                facts[definition.name] = {
                    "union": True,
                    "scalar": attributes.pop("underlying_type", "utype"),
                    "bit_flags": False,
                    "attributes": attributes,
                    "doc": definition.doc,
                    "members": [
                        ("NONE", 0, "none", ""),
                        *((v.name, v.tag, _type(schema, v.type), v.doc) for v in definition.variants),
                    ],
                }
    for service in schema.services:
        facts[f"service {service.name}"] = {
            "doc": service.doc,
            "methods": [(m.name, m.request, m.response, m.doc) for m in service.methods],
        }
    return facts


def _record(schema: Schema, record: Record, facts: Facts) -> None:
    fixed = record.kind is RecordKind.STRUCT
    facts[record.name] = {
        "struct": fixed,
        "layout": (record.size, record.align) if fixed else None,
        "attributes": _written(record.attributes),
        "doc": record.doc,
    }
    end = 0
    for field in record.fields:
        offset = 4 + 2 * field.id
        if fixed:
            size, align = _layout(schema, field.type)
            offset = -(-end // align) * align
            end = offset + size
        type_ = _type(schema, field.type)
        vector = type_.startswith("[")
        entry: Facts = {
            "id": field.id,
            "offset": offset & 0xFFFF,
            "type": type_,
            "default": _default(field, type_),
            "deprecated": field.deprecated,
            "required": field.presence is Presence.REQUIRED and not fixed,
            "key": field.key,
            "optional": None if vector else field.presence is Presence.OPTIONAL,
            "nested": _last(field.nested),
            "attributes": _written(field.attributes),
            "doc": field.doc,
        }
        facts[f"{record.name}.{field.name}"] = entry
        if "union " in type_:
            facts[f"{record.name}.{field.name}_type"] = entry | {
                "id": field.id - 1,
                "offset": offset - 2,
                "type": type_.replace("union ", "utype "),
                "required": entry["required"] if vector else False,
                "optional": None if vector else False,
                "attributes": {},
                "doc": "",
            }


def _default(field: Field, type_: str) -> Any:
    if type_ in (Scalar.F32, Scalar.F64):
        return repr(field.default or 0.0)
    value = int(field.default) if isinstance(field.default, bool | int) else 0
    # flatc writes 0 into a binary schema for what does not fit its signed 64 bits.
    return value if value < 1 << 63 else 0


def _type(schema: Schema, type_: Type) -> str:
    match type_:
        case Vector(element):
            return f"[{_type(schema, element)}]"
        case Array(element, length):
            return f"[{_type(schema, element)}:{length}]"
        case Named(name):
            found = schema.by_name[name]
            kind = {Record: "record", Union: "union"}.get(type(found)) or found.scalar
            return f"{kind} {name}"
        case Number(scalar):
            return scalar
        case String():
            return "string"
        case _:
            raise AssertionError(type_)


def _layout(schema: Schema, type_: Type) -> tuple[int, int]:
    match type_:
        case Number(scalar):
            return scalar.size, scalar.size
        case Array(element, length):
            size, align = _layout(schema, element)
            return size * length, align
        case Named(name):
            found = schema.by_name[name]
            return (found.size, found.align) if isinstance(found, Record) else (found.scalar.size,) * 2
        case _:
            raise AssertionError(type_)


def _integer(field: Row, scalar: str) -> int:
    value = field.number(4, n.Int64Flags)
    return int(bool(value)) if scalar == Scalar.BOOL else value


def _float(value: float, scalar: str) -> str:
    """Text, because NaN equals nothing; rounded to what the type can hold."""
    if scalar == Scalar.F32 and math.isfinite(value):
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            value = math.copysign(math.inf, value)
    return repr(value or 0.0)


def _signed(value: Any) -> Any:
    """The 64 bits of an integer as the signed number that a binary schema has."""
    return value - (1 << 64) if isinstance(value, int) and value >> 63 > 0 else value


def _last(name: str | None) -> str | None:
    """A binary schema has the name as it was written."""
    return name and name.rpartition(".")[2]


def _name(row: Row | None) -> str:
    assert row is not None
    return row.text(0)


def _doc(lines: tuple[str, ...]) -> str:
    return "\n".join(line.removeprefix(" ").rstrip() for line in lines)


def _attributes(attributes: dict[str, str]) -> dict[str, str]:
    kept = {
        # A flag has the text "0" in a binary schema.
        name: "" if value == "0" else value
        for name, value in attributes.items()
        if name not in _ELSEWHERE and not name.startswith("hl_")
    }
    # flatc adds this one where cpp_type is.
    if kept.get("cpp_ptr_type") == "naked":
        del kept["cpp_ptr_type"]
    return kept


def _written(attributes: tuple[Attribute, ...]) -> dict[str, str]:
    return _attributes({a.name: a.value for a in attributes})
