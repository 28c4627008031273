"""Walks Protobuf bytes by the tables of a schema and stops at the first fault; no recursion, nothing copied.

Stricter than the runtime: a known field with another wire type is a fault and no unknown field; field number
0 is one in unknown groups too; records (map entries too) are counted, and nest no deeper than the limit.
Unknown numbers are fine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from hlfuzz.schema.wire.base import Rule
from hlfuzz.schema.wire.protobuf.tables import Content, Table, WireType

# Plain numbers: comparing members of an enum would be a third of the time.
_VARINT: Final = Content.VARINT.value
_I64: Final = Content.I64.value
_I32: Final = Content.I32.value
_BYTES: Final = Content.BYTES.value
_TEXT: Final = Content.TEXT.value
_VARINTS: Final = Content.VARINTS.value
_I64S: Final = Content.I64S.value
_MESSAGE: Final = Content.MESSAGE.value
_GROUP: Final = Content.GROUP.value

_MAX_TAG: Final = 0xFFFF_FFFF
_MAX_LENGTH: Final = 0x7FFF_FFFF
_SHORT: Final = 5
"""Most bytes of a tag or length; a number has up to ten (protobuf.dev, "Encoding", and upb's reader)."""
_ONE: Final = re.compile(rb"[\x80-\xff]{0,9}+[\x00-\x7f]")
_RUN: Final = re.compile(rb"(?:[\x80-\xff]{0,9}+[\x00-\x7f])*+")
_LONGEST: Final = 10
_WIRE_NAMES: Final = {
    WireType.VARINT: "a varint",
    WireType.I64: "8 bytes",
    WireType.LEN: "a length",
    WireType.START: "a group",
    WireType.I32: "4 bytes",
}


class Fault(Exception):
    """Bytes that are no message: the rule, what is wrong, the offset, the field's number or 0.

    `tag_at` is where the innermost message stops being verified: the tag of the field at fault.
    """

    def __init__(self, rule: Rule, text: str, offset: int, number: int = 0) -> None:
        super().__init__(text)
        self.rule, self.text, self.offset, self.number = rule, text, offset, number
        self.tag_at = offset


@dataclass(slots=True)
class Frame:
    """A message, map entry or unknown group (no table) that is being walked; `group` is 0 between lengths.

    `start` and `end` are offsets of its content (of a group, the end of what it is in), `tag_at` of its tag.
    """

    table: Table | None
    start: int
    end: int
    group: int = 0
    tag_at: int = 0


def scan(frames: list[Frame], data: bytes, depth: int, records: int) -> None:
    """Walk the message in the one frame given. Raises `Fault`; `frames` are then those around it."""
    frame = frames[0]
    known = _known(frame)
    pos, end = frame.start, frame.end
    count, tag_at = 1, pos
    try:
        while True:
            if pos == end:
                if frame.group:
                    raise Fault(Rule.BOUNDS, f"the group {frame.group} does not end", end)
                if len(frames) == 1:
                    return
                frames.pop()
                frame = frames[-1]
                known, end = _known(frame), frame.end
                continue
            tag_at = pos
            tag = data[pos]
            pos += 1
            if tag > 0x7F:
                tag, pos = _short(data, tag_at, end, _MAX_TAG, "tag", 0)
            found = known.get(tag)
            number = tag >> 3
            if found is None:
                wire = tag & 7
                if wire == WireType.END and number == frame.group and number:
                    frames.pop()
                    frame = frames[-1]
                    known, end = _known(frame), frame.end
                    continue
                content, child = _unknown(frame, number, wire, tag_at)
            else:
                content, child = found
            if content == _VARINT:
                if pos < end and data[pos] < 0x80:
                    pos += 1
                else:
                    pos = _varint(data, pos, end, number)
                continue
            if content <= _I32:
                pos += 4 if content == _I32 else 8
                if pos > end:
                    raise Fault(Rule.BOUNDS, "the number goes on after the end", tag_at, number)
                continue
            stop = end
            if content != _GROUP:
                stop, pos = _length(data, pos, end, number)
            if content >= _MESSAGE:
                if len(frames) >= depth:
                    raise Fault(Rule.DEPTH, f"messages nest deeper than {depth}", tag_at, number)
                count += 1
                if count > records:
                    raise Fault(Rule.TABLES, f"more than {records} messages", tag_at, number)
                frame = Frame(child, pos, stop, number if content == _GROUP else 0, tag_at)
                frames.append(frame)
                known, end = _known(frame), stop
                continue
            if content != _BYTES:
                _check(content, data, pos, stop, number)
            pos = stop
    except Fault as fault:
        fault.tag_at = tag_at
        raise


def _known(frame: Frame) -> dict[int, tuple[int, Table | None]]:
    return frame.table.known if frame.table is not None else {}


def _unknown(frame: Frame, number: int, wire: int, tag_at: int) -> tuple[int, Table | None]:
    """What follows a tag that the message does not have."""
    if number == 0:
        raise Fault(Rule.MALFORMED, "field number 0", tag_at)
    if wire == WireType.END:
        raise Fault(Rule.MALFORMED, f"the end of group {number}, which is not open here", tag_at)
    if wire not in _WIRE_NAMES:
        raise Fault(Rule.MALFORMED, f"there is no wire type {wire}", tag_at, number)
    if frame.table is not None and number in frame.table.names:
        needed = " or ".join(_WIRE_NAMES[WireType(t & 7)] for t in frame.table.known if t >> 3 == number)
        text = f"{_WIRE_NAMES[WireType(wire)]} where the field has {needed} (wire type {wire})"
        raise Fault(Rule.MALFORMED, text, tag_at, number)
    return _SKIPPED[wire], None


_SKIPPED: Final = {
    WireType.VARINT.value: _VARINT,
    WireType.I64.value: _I64,
    WireType.I32.value: _I32,
    WireType.LEN.value: _BYTES,
    WireType.START.value: _GROUP,
}


def _check(content: int, data: bytes, start: int, stop: int, number: int) -> None:
    """Text and packed runs."""
    if content == _TEXT:
        try:
            data[start:stop].decode()
        except UnicodeDecodeError as error:
            at = start + error.start
            raise Fault(Rule.UTF8, f"not UTF-8 (byte 0x{data[at]:02x})", at, number) from None
    elif content == _VARINTS:
        run = _RUN.match(data, start, stop)
        assert run is not None
        if run.end() != stop:
            _varint(data, run.end(), stop, number)
    else:
        size = 8 if content == _I64S else 4
        if (stop - start) % size:
            raise Fault(Rule.BOUNDS, f"{stop - start} bytes are no run of {size}-byte numbers", start, number)


def _varint(data: bytes, start: int, end: int, number: int) -> int:
    """Where the number at `start` ends."""
    found = _ONE.match(data, start, end)
    if found is not None:
        return found.end()
    if end - start >= _LONGEST:
        raise Fault(Rule.MALFORMED, f"a number of more than {_LONGEST} bytes", start, number)
    raise Fault(Rule.BOUNDS, "the number goes on after the end", start, number)


def _length(data: bytes, pos: int, end: int, number: int) -> tuple[int, int]:
    """The end and the start of what has its length at `pos`."""
    at = pos
    if pos < end and data[pos] < 0x80:
        size = data[pos]
        pos += 1
    else:
        size, pos = _short(data, pos, end, _MAX_LENGTH, "length", number)
    if size > end - pos:
        raise Fault(Rule.BOUNDS, f"a length of {size}, where {end - pos} bytes are left", at, number)
    return pos + size, pos


def _short(data: bytes, start: int, end: int, largest: int, what: str, number: int) -> tuple[int, int]:
    """A tag or length and where it ends."""
    value = 0
    for index in range(_SHORT):
        if start + index >= end:
            raise Fault(Rule.BOUNDS, f"the {what} goes on after the end", start, number)
        byte = data[start + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if value > largest:
                break
            return value, start + index + 1
    raise Fault(Rule.MALFORMED, f"the {what} is too large", start, number)
