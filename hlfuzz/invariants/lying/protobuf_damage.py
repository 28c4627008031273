"""Protobuf messages with one thing changed in them, wherever in submessages it is; lengths round it fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from hlfuzz.invariants.lying.protobuf_rules import END, I32, I64, LEN, START, VARINT, Known, Part, Reading
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.wire.base import MAX_DEPTH

MAX_FIELDS: Final = 64
"""Fields of one message that are changed, at every depth; the first ones."""
LONG: Final = 1000
"""Bytes of a message that has all of its fields; a longer one gets fewer levels."""
MAX_CUTS: Final = 128
"""Ends at which one message is cut."""
_UNUSED: Final = 536_870_911
"""The largest field number: schemas do not use it."""
_ZERO: Final = {VARINT: b"\0", I64: bytes(8), LEN: b"\0", I32: bytes(4)}
_OVERLONG: Final = b"\xff" * 10 + b"\1"
_TEN_BYTES: Final = b"\x81" + b"\x80" * 8 + b"\0"
_TEXTS: Final = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\xe2\x82", b"k\xc3\xa4se")
"""No such byte, an overlong zero, a surrogate, above U+10FFFF, cut off; and one that is right."""
_NUMBERS: Final = (b"\x7f", b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x80\x08", b"\xff" * 9 + b"\x01")
"""127, the largest of 31 bits, the smallest of 32, -1: no members of most enums."""


def number(value: int) -> bytes:
    """A varint in as few bytes as it needs."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def damaged(schema: Schema, name: str) -> Iterator[bytes]:
    """A message of that type after each change: tags, lengths, numbers, texts, groups, depth, doubled and
    absent fields. Some changes are allowed by the format; the last message has none."""
    true = next(m for deep in (2, 1, 0) if len(m := full_message(schema, name, deep)) <= LONG or not deep)
    parts = Reading(schema, true).parts(name)
    yield from (true[:end] for end in range(min(len(true), MAX_CUTS)))
    yield from (true + more for more in _additions(1))
    fields: set[tuple[int, int]] = set()
    for part in _all(parts):
        key = id(part.known), part.wire  # one is enough of a field that is there several times
        if key in fields or len(fields) >= MAX_FIELDS:
            continue
        fields.add(key)
        for changed in _changes(part):
            yield _written(parts, part, changed)
    yield true


def full_message(schema: Schema, name: str, deep: int) -> bytes:
    """A valid message with every field in it, numbers in both forms where there may be several, and messages
    in messages up to `deep`; deeper ones have what is required."""
    reading = Reading(schema, b"")
    fields = reading.fields(name).items() if deep > -MAX_DEPTH else ()
    return b"".join(
        form
        for field, known in fields
        if deep >= 0 or known.required
        for form in _forms(reading, field, known, deep)
    )


def _forms(reading: Reading, field: int, known: Known, deep: int) -> Iterator[bytes]:
    """A field with something valid in it, in each form that it may have."""
    if known.entry is not None:
        entry = (next(_forms(reading, n, inner, deep)) for n, inner in known.entry.items())
        yield _field(field, LEN, b"".join(entry))
        return
    single, *packed = reading.wires(known)
    message, enum = reading.message_of(known), reading.enum_of(known)
    if message is not None:
        content = full_message(reading.schema, message, deep - 1)
    elif enum is not None:
        content = number(enum.members[0].value & 0xFFFF_FFFF_FFFF_FFFF)
    else:
        content = b"text" if single == LEN else _ZERO[single]
    yield _field(field, single, content)
    yield from (_field(field, wire, content * 2) for wire in packed)


def _all(parts: Sequence[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _all(part.parts or ())


def _written(parts: Sequence[Part], changed: Part, new: bytes) -> bytes:
    return b"".join(new if part is changed else _whole(part, changed, new) for part in parts)


def _whole(part: Part, changed: Part, new: bytes) -> bytes:
    content = part.content if part.parts is None else _written(part.parts, changed, new)
    return _field(part.number, part.wire, content)


def _field(field: int, wire: int, content: bytes) -> bytes:
    length = number(len(content)) if wire == LEN else b""
    return _tag(field, wire) + length + content + (_tag(field, END) if wire == START else b"")


def _tag(field: int, wire: int) -> bytes:
    return number(field << 3 | wire)


def _changes(part: Part) -> Iterator[bytes]:
    """What may stand in the place of a field."""
    whole = _whole(part, part, b"")
    tag = _tag(part.number, part.wire)
    after = whole[len(tag) :]
    yield b""
    yield whole + whole
    yield from (whole + more for more in _additions(part.depth))
    # Tags: too long, too large, of no field, of another wire type, longer than needed.
    yield from (head + after for head in (b"\x80" * 5 + b"\0", b"\xff\xff\xff\xff\x7f", b"\0", b"\2", b"\4"))
    yield number(part.number << 3 | part.wire | 1 << 32) + after
    yield tag[:-1] + bytes((tag[-1] | 0x80,)) + b"\x80" * (4 - len(tag)) + b"\0" + after
    yield from (_tag(part.number, wire) + content for wire, content in _ZERO.items())
    yield from (_tag(part.number, wire) for wire in (START, END, 6, 7))
    yield _tag(part.number, START) + _tag(part.number, END)
    yield from (tag + content for content in _contents(part))


def _contents(part: Part) -> Iterator[bytes]:
    """What may follow its tag."""
    if part.wire == VARINT:
        yield from (_OVERLONG, _TEN_BYTES, *_NUMBERS)
    elif part.wire == LEN:
        data, size = part.content, len(part.content)
        yield from (number(n) + data for n in (size + 1, max(size - 1, 0), 0x7FFF_FFFF, 0x8000_0000))
        yield from (head + data for head in (b"\x80" * 5 + b"\0", b"\xff" * 9 + b"\1", b"\x80\x80\x80\x80\0"))
        for new in (*_TEXTS, _OVERLONG, _TEN_BYTES, b"\x05\x80", data + b"\x80", data + b"\0", bytes(12)):
            yield number(len(new)) + new


def _additions(depth: int) -> Iterator[bytes]:
    """What may follow a field of a message at that depth: unknown fields, and groups of every kind."""
    open_, close = _tag(_UNUSED, START), _tag(_UNUSED, END)
    yield from (_tag(_UNUSED, wire) + content for wire, content in _ZERO.items())
    yield from (_tag(_UNUSED, wire) + content[:-1] for wire, content in _ZERO.items())
    yield from (_tag(_UNUSED, LEN) + b"\2a", _tag(_UNUSED, VARINT) + _OVERLONG)
    yield from (_tag(_UNUSED, 6), _tag(_UNUSED, 7), b"\0\0", b"\x80" * 5 + b"\0\0")
    yield from (open_ + close, open_, close, open_ + _tag(_UNUSED - 1, END), open_ + b"\0\0" + close)
    for deep in (MAX_DEPTH - depth, MAX_DEPTH - depth + 1):
        yield open_ * deep + close * deep
