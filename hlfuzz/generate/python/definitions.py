"""Python classes for the types of a schema: enums, dataclasses, union variants with their alias.

The classes have the shape of those that `hlfuzz.schema.values.make_classes` builds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from hlfuzz.generate.python.scope import Names, Scope
from hlfuzz.generate.python.text import INDENT, alternatives, assignment, docstring, number, plain
from hlfuzz.schema.ir import (
    Default,
    Enum,
    Field,
    Map,
    Named,
    Presence,
    Record,
    RecordKind,
    Union,
    Vector,
)
from hlfuzz.schema.names import field_names, member_names
from hlfuzz.schema.values import default_value, is_byte_vector

Block = list[str]
"""The lines of one class or statement of a module."""


def enums(names: Names) -> Iterator[Block]:
    """A class for each enum."""
    for definition in names.schema.definitions:
        if isinstance(definition, Enum):
            yield _enum(names, definition)


def unions(names: Names) -> Iterator[Block]:
    """For each union a class for each variant, and the alias of all of them."""
    for definition in names.schema.definitions:
        if isinstance(definition, Union):
            yield from _union(names, definition)


def records(names: Names) -> Iterator[Block]:
    """A dataclass for each table, struct and message."""
    for definition in names.schema.definitions:
        if isinstance(definition, Record):
            yield _record(names, definition)


def _enum(names: Names, definition: Enum) -> Block:
    names.need("enum")
    base = "enum.IntFlag, boundary=enum.KEEP" if definition.bit_flags else "enum.IntEnum"
    lines = [plain(f"class {names.classes[definition.name]}({base}):")]
    lines += docstring(INDENT, definition.doc, f"Enum `{definition.name}`.")
    lines += [""] if definition.members else []
    members = member_names(definition)
    for member in definition.members:
        lines.append(plain(f"{INDENT}{members[member.name]} = {member.value}"))
        lines += docstring(INDENT, _with_note(member.doc, member.deprecated))
    return lines


def _union(names: Names, definition: Union) -> Iterator[Block]:
    classes: list[str] = []
    for variant in definition.variants:
        name = names.variants[definition.name, variant.tag]
        classes.append(name)
        names.need("dataclasses", "dataclass")
        yield [
            "@dataclass(slots=True)",
            plain(f"class {name}:"),
            *docstring(INDENT, variant.doc, f"`{definition.name}` that holds `{variant.name}`."),
            "",
            plain(f"{INDENT}value: {Scope(names).annotation(variant.type)}"),
        ]
    names.need("typing")
    alias = f"{names.classes[definition.name]}: typing.TypeAlias"
    options = classes or ["typing.Never"]
    yield [*alternatives(alias, options), *docstring("", definition.doc)]


def _record(names: Names, record: Record) -> Block:
    attributes = field_names(record)
    scope = Scope(names, attributes.values())
    names.need("dataclasses", "dataclass")
    keywords = "slots=True" if record.kind is RecordKind.STRUCT else "slots=True, kw_only=True"
    lines = [f"@dataclass({keywords})", plain(f"class {names.classes[record.name]}:")]
    lines += docstring(INDENT, record.doc, f"{record.kind.capitalize()} `{record.name}`.")
    lines += [""] if record.fields else []
    for field in record.fields:
        lines += _field(names, scope, record, field, attributes[field.name])
        lines += docstring(INDENT, _with_note(field.doc, field.deprecated))
    return lines


def _field(names: Names, scope: Scope, record: Record, field: Field, name: str) -> Block:
    type_ = field.type
    annotation = scope.annotation(type_)
    if field.presence is Presence.REQUIRED or record.kind is RecordKind.STRUCT:
        return [plain(f"{INDENT}{name}: {annotation}")]
    if isinstance(type_, Vector) and is_byte_vector(type_):
        return [plain(f'{INDENT}{name}: {annotation} = b""')]
    if isinstance(type_, Vector | Map):
        make = scope.need("dataclasses", "field")
        return [plain(f"{INDENT}{name}: {annotation} = {make}(default_factory={scope.factory(type_)})")]
    found = names.schema.by_name[type_.name] if isinstance(type_, Named) else None
    if field.presence is Presence.IMPLICIT and isinstance(found, Enum):
        return [plain(f"{INDENT}{name}: {_enum_field(scope, found, annotation, field.default)}")]
    value = default_value(names.schema, field, {})
    if value is None:
        return [plain(f"{INDENT}{name}: {annotation} | None = None")]
    if isinstance(value, str | bytes):
        return assignment(INDENT, f"{name}: {annotation}", value)
    is_special = isinstance(value, float) and not math.isfinite(value)
    text = number(value, scope.need_module("math")) if is_special else number(value)
    return [plain(f"{INDENT}{name}: {annotation} = {text}")]


def _enum_field(scope: Scope, definition: Enum, annotation: str, default: Default) -> str:
    cls = scope.cls(definition.name)
    members = member_names(definition)
    # Of several names of one value the first is the member, the others are aliases.
    named = next((members[m.name] for m in definition.members if m.value == default), None)
    if named is not None:
        return f"{annotation} = {cls}.{named}"
    if definition.bit_flags:
        bits = {m.value: members[m.name] for m in definition.members if m.value & int(default or 0)}
        together = " | ".join(f"{cls}.{b}" for b in bits.values())
        if not bits or sum(bits) != default:
            together = f"{scope.need('dataclasses', 'field')}(default={cls}({default}))"
        return f"{annotation} = {together}"
    return (
        f"{annotation} = {default}"
        if not definition.closed
        else f"{annotation} | {scope.ref('int')} = {default}"
    )


def _with_note(doc: str, deprecated: bool) -> str:
    return "\n\n".join(filter(None, [doc, "Deprecated." if deprecated else ""]))
