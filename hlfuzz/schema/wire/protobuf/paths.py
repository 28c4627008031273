"""Names the place of a fault: from offsets to "headers[2].name", and from a path to an offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

from hlfuzz.schema.ir import Coding, Element, Number, Scalar
from hlfuzz.schema.wire.protobuf.scan import Frame
from hlfuzz.schema.wire.protobuf.tables import Content, Table, WireType

Key: TypeAlias = bool | int | str
Step: TypeAlias = tuple[int, int | None, Key | None]
"""A field number, and the index of a repeated message or the key of a map's."""

_MAX_KEY: Final = 60
_WIDTHS: Final = {WireType.I64: 8, WireType.I32: 4}


def path_of(frames: Sequence[Frame], data: bytes, number: int, tag_at: int) -> str:
    """The path of field `number`, whose tag is at `tag_at`, in the innermost of the frames being walked.

    Nothing from `tag_at` on is looked at, nor behind the tags of inner frames in outer ones.
    """
    steps: list[str] = []
    reached = [frame.tag_at for frame in frames[1:]] + [tag_at]
    for index, outer in enumerate(frames[:-1]):
        inner = _varint(data, reached[index])[0] >> 3
        key = slice(frames[index + 1].start, reached[index + 1])
        steps.append(_step(outer, data, inner, reached[index], key))
    if number:
        steps.append(_step(frames[-1], data, number, tag_at, None))
    return ".".join(step for step in steps if step)


def locate(table: Table, data: bytes, steps: Sequence[Step]) -> int:
    """The offset of the message at the end of `steps`, which the parsed message has.

    A message that is no element may come in parts, which are merged; then it is the last part's offset.
    """
    parts = [(0, len(data))]
    for number, index, key in steps:
        inner = _inside(data, parts, number)
        if key is not None:
            entry = [part for part in inner if map_key(data, *part, table.maps[number]) == key][-1]
            inner = _inside(data, [entry], 2) or [entry]
        parts = inner if index is None else [inner[index]]
        table = child_of(table, number)
    return parts[-1][0]


def _inside(data: bytes, parts: Sequence[tuple[int, int]], number: int) -> list[tuple[int, int]]:
    return [(a, b) for start, end in parts for n, _, a, b in fields(data, start, end) if n == number]


def child_of(table: Table, number: int) -> Table:
    """The table of the messages in a field; of a map's values."""
    child = next(child for tag, (_, child) in table.known.items() if tag >> 3 == number and child is not None)
    return child_of(child, 2) if number in table.maps else child


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, offset of the tag, start and end of the content of each field, of verified bytes."""
    while start < end:
        tag_at = start
        tag, start = _varint(data, start)
        stop, after = _content_end(data, tag, start, end)
        if tag & 7 == WireType.LEN:
            start = _varint(data, start)[1]
        yield tag >> 3, tag_at, start, stop
        start = after


def map_key(data: bytes, start: int, end: int, type_: Element) -> Key:
    """The key of a map entry, as the runtime would give it."""
    parts = [(a, b) for n, _, a, b in fields(data, start, end) if n == 1]
    if not isinstance(type_, Number):
        return data[slice(*parts[-1])].decode(errors="replace") if parts else ""
    if not parts:
        return False if type_.scalar is Scalar.BOOL else 0
    if type_.coding is Coding.FIXED:
        low = type_.scalar.range[0]
        return int.from_bytes(data[slice(*parts[-1])], "little", signed=low < 0)
    value = _varint(data, parts[-1][0])[0]
    if type_.scalar is Scalar.BOOL:
        return value != 0
    bits = 8 * type_.scalar.size
    value &= (1 << bits) - 1
    if type_.coding is Coding.ZIGZAG:
        return value >> 1 ^ -(value & 1)
    return value - (1 << bits) if type_.scalar.range[0] < 0 and value >> bits - 1 else value


def show_key(key: Key) -> str:
    """A map key in a path."""
    return f"[{key[:_MAX_KEY]!r}]" if isinstance(key, str) else f"[{key}]"


def _step(frame: Frame, data: bytes, number: int, tag_at: int, entry: slice | None) -> str:
    """One part of a path: the field and which of its elements. `entry`: the verified part of a map entry."""
    if frame.table is None or number not in frame.table.names:
        return f"#{number}"
    name = frame.table.names[number]
    if number in frame.table.repeated and not _is_run(frame.table, data, tag_at):
        return f"{name}[{sum(n == number for n, *_ in fields(data, frame.start, tag_at))}]"
    if number in frame.table.maps and entry is not None:
        return name + show_key(map_key(data, entry.start, entry.stop, frame.table.maps[number]))
    return name


def _is_run(table: Table, data: bytes, tag_at: int) -> bool:
    """Whether a tag starts a packed run: its field is many elements, and the fault is in one of them."""
    content, _ = table.known.get(_varint(data, tag_at)[0], (None, None))
    return content in (Content.VARINTS, Content.I64S, Content.I32S)


def _content_end(data: bytes, tag: int, start: int, end: int) -> tuple[int, int]:
    """Where the content of a field ends, and where the next field starts: of a group, behind its end tag."""
    depth, tag_at = 0, start
    while True:
        match tag & 7:
            case WireType.VARINT:
                start = _varint(data, start)[1]
            case WireType.LEN:
                size, start = _varint(data, start)
                start += size
            case WireType.START:
                depth += 1
            case WireType.END:
                depth -= 1
            case wire:
                start += _WIDTHS[WireType(wire)]
        if depth == 0 or start >= end:
            return (tag_at if tag & 7 == WireType.END else start), start
        tag_at = start
        tag, start = _varint(data, start)


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, start
