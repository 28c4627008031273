"""What Protobuf allows, read once more and plainly: the verdict that the verifier of hlfuzz is held against.

Written from the rules (protobuf.dev, "Encoding"; docs/schema-proto.md for those that are stricter) over the
schema itself; nothing of the verifier is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from hlfuzz.schema.ir import (
    Bytes,
    Coding,
    Element,
    Enum,
    Map,
    Named,
    Number,
    Presence,
    Record,
    Schema,
    String,
    Union,
    Vector,
)
from hlfuzz.schema.wire.base import MAX_DEPTH, Rule

VARINT: Final = 0
I64: Final = 1
LEN: Final = 2
START: Final = 3
END: Final = 4
I32: Final = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why bytes are no message, and where; the offset of what is absent is None."""

    rule: Rule
    offset: int | None = None

    def __str__(self) -> str:
        return f"{self.rule.name.lower()}" + ("" if self.offset is None else f" at byte {self.offset}")


@dataclass(frozen=True, slots=True)
class Known:
    """A field of a message or map entry: its type, an entry's fields, whether there may be several, whether
    it is a group; `oneof` is the name of that which it is part of."""

    type: Element | None
    entry: dict[int, Known] | None = None
    repeated: bool = False
    group: bool = False
    required: bool = False
    oneof: str = ""


@dataclass(slots=True)
class Part:
    """A field as it lies in bytes: its tag and what follows it, or the fields of the message in it."""

    number: int
    wire: int
    known: Known | None
    depth: int
    content: bytes = b""
    parts: list[Part] | None = None


class _Broken(Exception):
    def __init__(self, rule: Rule, offset: int) -> None:
        super().__init__(rule.name)
        self.verdict = Verdict(rule, offset)


def fields_of(schema: Schema, name: str) -> dict[int, Known]:
    """The fields of a message by number."""
    found: dict[int, Known] = {}
    for one in schema.record(name).fields:
        required = one.presence is Presence.REQUIRED
        match one.type:
            case Named() if isinstance(union := schema.by_name[one.type.name], Union):
                for variant in union.variants:
                    found[variant.tag] = Known(variant.type, group=variant.delimited, oneof=union.name)
            case Map():
                key = String() if isinstance(one.type.key, String) else one.type.key
                found[one.id] = Known(None, {1: Known(key), 2: Known(one.type.value)}, repeated=True)
            case Vector():
                found[one.id] = Known(one.type.element, repeated=True, group=one.delimited)
            case Number() | String() | Bytes() | Named():
                found[one.id] = Known(one.type, group=one.delimited, required=required)
            case _:
                raise TypeError(f"no Protobuf type: {one.type}")
    return found


@dataclass(slots=True)
class Reading:
    """Reads one message. `unsure` is True afterwards where only merging all parts of a message tells whether
    a required field is there."""

    schema: Schema
    data: bytes
    unsure: bool = False
    _absent: bool = False
    _tables: dict[str, dict[int, Known]] = field(default_factory=dict[str, "dict[int, Known]"])

    def verdict(self, name: str) -> Verdict | None:
        """What is wrong with the bytes as a message of this type; None: nothing."""
        try:
            self.parts(name)
        except _Broken as broken:
            return broken.verdict
        return Verdict(Rule.REQUIRED) if self._absent else None

    def parts(self, name: str) -> list[Part]:
        """The fields of the message. Raises where it is none."""
        return self._message(self.fields(name), 0, len(self.data), 0, 1)[0]

    def fields(self, name: str) -> dict[int, Known]:
        """The fields of a message by number, the same ones each time."""
        if name not in self._tables:
            self._tables[name] = fields_of(self.schema, name)
        return self._tables[name]

    def _message(
        self, fields: dict[int, Known], at: int, end: int, group: int, depth: int
    ) -> tuple[list[Part], int]:
        parts: list[Part] = []
        while at < end:
            start = at
            tag, at = self._number(at, end, 5, 0xFFFF_FFFF)
            number, wire = tag >> 3, tag & 7
            if wire == END and number == group != 0:
                break
            if number == 0 or wire in (END, 6, 7):
                raise _Broken(Rule.MALFORMED, start)
            known = fields.get(number)
            if known is not None and wire not in self.wires(known):
                raise _Broken(Rule.MALFORMED, start)
            part = Part(number, wire, known, depth)
            at = self._content(part, start, at, end)
            parts.append(part)
        else:
            if group:
                raise _Broken(Rule.BOUNDS, end)
        self._look_for_absent(fields, parts)
        return parts, at

    def wires(self, known: Known) -> tuple[int, ...]:
        """The wire types in which a field may be written, that of a single value first."""
        single = LEN
        if isinstance(known.type, Number):
            fixed = I64 if known.type.scalar.size == 8 else I32
            coded = known.type.coding in (Coding.VARINT, Coding.ZIGZAG)
            single = VARINT if coded else fixed
        elif isinstance(known.type, Named):
            single = VARINT if self.enum_of(known) else START if known.group else LEN
        return (single, LEN) if known.repeated and single in (VARINT, I32, I64) else (single,)

    def message_of(self, known: Known) -> str | None:
        """The type of the message in a field; None where there is none."""
        found = self.schema.by_name[known.type.name] if isinstance(known.type, Named) else None
        return found.name if isinstance(found, Record) else None

    def enum_of(self, known: Known) -> Enum | None:
        """The enum that a field's values are of."""
        found = self.schema.by_name[known.type.name] if isinstance(known.type, Named) else None
        return found if isinstance(found, Enum) else None

    def _content(self, part: Part, start: int, at: int, end: int) -> int:
        """Read what follows a tag; where it ends."""
        first = at
        if part.wire == VARINT:
            at = self._number(at, end, 10)[1]
        elif part.wire in (I32, I64):
            at += 4 if part.wire == I32 else 8
            if at > end:
                raise _Broken(Rule.BOUNDS, start)
        elif part.wire == LEN:
            size, first = self._number(at, end, 5, 0x7FFF_FFFF)
            if size > end - first:
                raise _Broken(Rule.BOUNDS, at)
            at = first + size
            self._inside(part, start, first, at)
        else:
            inner = self._inner_fields(part) or {}
            part.parts, at = self._message(inner, at, end, part.number, self._deeper(part, start))
        part.content = self.data[first:at]
        return at

    def _inside(self, part: Part, start: int, at: int, end: int) -> None:
        """Read what has a length."""
        known = part.known
        inner = self._inner_fields(part)
        if known is None:
            return
        if inner is not None:
            part.parts, _ = self._message(inner, at, end, 0, self._deeper(part, start))
        elif isinstance(known.type, String) and known.type.checked:
            try:
                str(self.data[at:end], "utf-8")
            except UnicodeDecodeError as error:
                raise _Broken(Rule.UTF8, at + error.start) from None
        elif known.repeated and VARINT in self.wires(known):
            while at < end:
                at = self._number(at, end, 10)[1]
        elif isinstance(known.type, Number) and (end - at) % known.type.scalar.size:
            raise _Broken(Rule.BOUNDS, at)

    def _inner_fields(self, part: Part) -> dict[int, Known] | None:
        """The fields of the message in a field; None where there is none."""
        known = part.known
        if known is None or known.entry is not None:
            return None if known is None else known.entry
        name = self.message_of(known)
        return None if name is None else self.fields(name)

    def _deeper(self, part: Part, start: int) -> int:
        if part.depth >= MAX_DEPTH:
            raise _Broken(Rule.DEPTH, start)
        return part.depth + 1

    def _number(self, at: int, end: int, most: int, largest: int | None = None) -> tuple[int, int]:
        """A number of at most so many bytes, and where it ends."""
        value = 0
        for index in range(most):
            if at + index >= end:
                raise _Broken(Rule.BOUNDS, at)
            byte = self.data[at + index]
            value |= (byte & 0x7F) << 7 * index
            if byte < 0x80:
                if largest is not None and value > largest:
                    break
                return value, at + index + 1
        raise _Broken(Rule.MALFORMED, at)

    def _look_for_absent(self, fields: dict[int, Known], parts: list[Part]) -> None:
        """Note a required field that is not among the parts. What stands there twice is merged, and what a
        later one of a oneof or map replaces does not count: then only the whole tells."""
        there = [p.number for p in parts if p.known is not None and self._counts(p)]
        oneofs = [fields[n].oneof for n in set(there) if fields[n].oneof]
        single = [n for n in there if not fields[n].repeated]
        entries = any(p.known is not None and p.known.entry is not None for p in parts)
        if entries or len(set(single)) < len(single) or len(set(oneofs)) < len(oneofs):
            self.unsure = True
        if any(known.required and number not in there for number, known in fields.items()):
            self._absent = True

    def _counts(self, part: Part) -> bool:
        """Whether a field has a value: one of a closed enum that has no such member is passed over."""
        enum = None if part.known is None else self.enum_of(part.known)
        if enum is None or not enum.closed or part.wire != VARINT:
            return True
        value = sum((b & 0x7F) << 7 * i for i, b in enumerate(part.content)) & 0xFFFF_FFFF
        return value - (value >> 31 << 32) in [m.value for m in enum.members]
