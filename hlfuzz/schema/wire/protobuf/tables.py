"""What the verifier needs of each message: which tags it knows, and what follows them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from hlfuzz.schema.ir import (
    Bytes,
    Coding,
    Element,
    Field,
    Map,
    Named,
    Number,
    Presence,
    Record,
    Scalar,
    Schema,
    String,
    Union,
    Vector,
)


class WireType(IntEnum):
    """The low three bits of a tag (protobuf.dev, "Encoding")."""

    VARINT = 0
    I64 = 1
    LEN = 2
    START = 3
    END = 4
    I32 = 5


class Content(IntEnum):
    """What follows a known tag; numbers come first, messages last."""

    VARINT = 0
    I64 = 1
    I32 = 2
    BYTES = 3
    TEXT = 4
    VARINTS = 5
    """A packed run, as are the next two."""
    I64S = 6
    I32S = 7
    MESSAGE = 8
    GROUP = 9


@dataclass(slots=True)
class Table:
    """One message, or one entry of a map."""

    known: dict[int, tuple[int, Table | None]] = field(default_factory=dict[int, "tuple[int, Table | None]"])
    """What follows each tag (a `Content`), and the message that it holds."""
    names: dict[int, str] = field(default_factory=dict[int, str])
    """The path step of each field number, of a oneof's as "oneof.variant"."""
    repeated: set[int] = field(default_factory=set[int])
    maps: dict[int, Element] = field(default_factory=dict[int, Element])
    """Types of the keys of the fields that are maps."""
    required: set[int] = field(default_factory=set[int])
    demanding: bool = False
    """Whether it, or a message in it, has required fields."""


_SINGLE: Final = {WireType.VARINT: Content.VARINT, WireType.I64: Content.I64, WireType.I32: Content.I32}
_RUNS: Final = {WireType.VARINT: Content.VARINTS, WireType.I64: Content.I64S, WireType.I32: Content.I32S}


def tables(schema: Schema) -> dict[str, Table]:
    """The tables of all messages, by full name."""
    records = {d.name: d for d in schema.definitions if isinstance(d, Record)}
    made = {name: Table() for name in records}
    for name, record in records.items():
        for f in record.fields:
            _add(schema, made, made[name], f)
    _mark(made.values())
    return made


def _add(schema: Schema, made: dict[str, Table], table: Table, f: Field) -> None:
    named = schema.by_name[f.type.name] if isinstance(f.type, Named) else None
    if isinstance(named, Union):
        for variant in named.variants:
            table.names[variant.tag] = f"{f.name}.{variant.name}"
            _know(schema, made, table, variant.tag, variant.type, variant.delimited)
        return
    table.names[f.id] = f.name
    if f.presence is Presence.REQUIRED:
        table.required.add(f.id)
    match f.type:
        case Map():
            entry = Table(names={1: "key", 2: ""})
            # The runtime can hold no key that is not UTF-8, checked or not.
            key = String() if isinstance(f.type.key, String) else f.type.key
            _know(schema, made, entry, 1, key, False)
            _know(schema, made, entry, 2, f.type.value, False)
            table.maps[f.id] = key
            table.known[f.id << 3 | WireType.LEN] = Content.MESSAGE.value, entry
        case Vector():
            table.repeated.add(f.id)
            wire = _know(schema, made, table, f.id, f.type.element, f.delimited)
            if wire in _RUNS:
                # Readers take both forms, whichever is declared.
                table.known[f.id << 3 | WireType.LEN] = _RUNS[wire].value, None
        case Number() | String() | Bytes() | Named():
            _know(schema, made, table, f.id, f.type, f.delimited)
        case _:
            raise TypeError(f"no Protobuf type: {f.type}")


def _know(
    schema: Schema, made: dict[str, Table], table: Table, number: int, type_: Element, delimited: bool
) -> WireType:
    """Make a field's tag known; gives its wire type."""
    wire, content, child = WireType.LEN, Content.BYTES, None
    match type_:
        case Number():
            wire = _wire_type(type_)
            content = _SINGLE[wire]
        case String():
            content = Content.TEXT if type_.checked else Content.BYTES
        case Bytes():
            pass
        case Named():
            child = made.get(type_.name)
            if child is None:
                wire, content = WireType.VARINT, Content.VARINT
            elif delimited:
                wire, content = WireType.START, Content.GROUP
            else:
                content = Content.MESSAGE
    table.known[number << 3 | wire] = content.value, child
    return wire


def _wire_type(number: Number) -> WireType:
    if number.coding in (Coding.VARINT, Coding.ZIGZAG):
        return WireType.VARINT
    wide = number.scalar in (Scalar.I64, Scalar.U64, Scalar.F64)
    return WireType.I64 if wide else WireType.I32


def _mark(roots: Iterable[Table]) -> None:
    """Set `demanding`, from the messages with required fields up to those that contain them."""
    users: dict[int, list[Table]] = {}
    waiting: list[Table] = []
    unseen = list(roots)
    seen = {id(table) for table in unseen}
    while unseen:
        table = unseen.pop()
        if table.required:
            waiting.append(table)
        for _, child in table.known.values():
            if child is not None:
                users.setdefault(id(child), []).append(table)
                if id(child) not in seen:
                    # An entry of a map, which is no message of the schema.
                    seen.add(id(child))
                    unseen.append(child)
    while waiting:
        table = waiting.pop()
        if not table.demanding:
            table.demanding = True
            waiting += users.get(id(table), [])
