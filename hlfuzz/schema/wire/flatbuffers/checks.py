"""What is left to check of a table's fields once its vtable is known: what offsets lead to, enums, unions.

A `Check` looks at one field of a table; a `Content` at what an offset leads to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hlfuzz.schema.wire.base import Rule
from hlfuzz.schema.wire.flatbuffers.members import Members
from hlfuzz.schema.wire.flatbuffers.program import MIN_BUFFER
from hlfuzz.schema.wire.flatbuffers.window import Fault, Window, fail

Check: TypeAlias = Callable[[Window, int, int, int], None]
"""Of the window, the position of the table, the position of its vtable, the table's depth."""
Content: TypeAlias = Callable[[Window, int, int], None]
"""Of the window, the position, the depth of the table that holds the offset."""
Inline: TypeAlias = Callable[[bytes, int], None]
"""Of the bytes and the position of a struct or number that is inside them."""


def outside(entry: int, offset: int, size: int, window: Window, at: int, vtable: int, depth: int) -> None:
    """The vtable's entry at `entry` puts a field outside its table."""
    fail(Rule.FIELD_BOUNDS, vtable + entry, f"a field of {size} bytes at {offset} is not inside its table")


def misaligned(offset: int, align: int, window: Window, at: int, vtable: int, depth: int) -> None:
    """The field at `offset` is not aligned."""
    fail(Rule.ALIGNMENT, at + offset, f"a field is not aligned to {align} bytes")


def missing(window: Window, at: int, vtable: int, depth: int) -> None:
    """A required field is absent."""
    fail(Rule.REQUIRED, at, "a required field is absent")


def inline(check: Inline, offset: int, window: Window, at: int, vtable: int, depth: int) -> None:
    """A number or struct in the table."""
    check(window.data, at + offset)


def follow(content: Content, offset: int, window: Window, at: int, vtable: int, depth: int) -> None:
    """An offset in the table."""
    content(window, window.offset(at + offset), depth)


def string(window: Window, at: int, depth: int) -> None:
    """A string: bounds, terminator, UTF-8."""
    count = window.vector(at, 1, 1)
    start = at + 4
    end = start + count
    if end >= window.end or window.data[end]:
        fail(Rule.STRING_TERMINATOR, end, "a string does not end in a zero byte")
    try:
        str(window.data[start:end], "utf-8")
    except UnicodeDecodeError as error:
        fail(Rule.UTF8, start + error.start, f"a string is not UTF-8: {error.reason}")


def numbers(members: Members | None, size: int, align: int, window: Window, at: int, depth: int) -> None:
    """A vector of numbers, or of an enum's values."""
    count = window.vector(at, size, align)
    if members is not None:
        index = members.first_stranger(window.data, at + 4, count)
        if index is not None:
            _element(index, members.check, window.data, at + 4 + index * size)


def structs(check: Inline | None, size: int, align: int, window: Window, at: int, depth: int) -> None:
    """A vector of structs."""
    count = window.vector(at, size, align)
    if check is not None:
        for index in range(count):
            _element(index, check, window.data, at + 4 + index * size)


def offsets(content: Content, window: Window, at: int, depth: int) -> None:
    """A vector of strings or tables."""
    count = window.vector(at, 4, 4)
    index = 0
    try:
        for index in range(count):
            position = at + 4 + 4 * index
            content(window, window.offset(position), depth)
    except Fault as fault:
        fault.path.append(f"[{index}]")
        raise


def nested(root: Content, window: Window, at: int, depth: int) -> None:
    """A buffer in a vector of bytes: a window of its own, the same budgets."""
    count = window.vector(at, 1, 1)
    if count < MIN_BUFFER:
        fail(Rule.NESTED, at, f"a nested buffer of {count} bytes; the shortest has {MIN_BUFFER}")
    outer = window.base, window.end
    window.base = at + 4
    window.end = at + 4 + count
    root(window, window.offset(window.base), depth)
    window.base, window.end = outer


def union(
    variants: Mapping[int, Content], tags: int, values: int, window: Window, at: int, vtable: int, depth: int
) -> None:
    """A union of which the tag, the value or both are present (0: absent)."""
    tag = window.data[at + tags] if tags else 0
    if not tag and not values:
        return
    if not tag:
        fail(Rule.UNION, at + values, "a union's value without a tag")
    content = _variant(variants, tag, at + tags)
    if not values:
        fail(Rule.UNION, at + tags, f"a union's tag {tag} without a value")
    content(window, window.offset(at + values), depth)


def unions(
    variants: Mapping[int, Content], tags: int, values: int, window: Window, at: int, vtable: int, depth: int
) -> None:
    """A vector of unions of which the tags, the values or both are present (0: absent)."""
    if not tags or not values:
        fail(Rule.UNION, at, "a vector of unions without its tags or values")
    first_tag = window.offset(at + tags)
    count = window.vector(first_tag, 1, 1)
    first = window.offset(at + values)
    if window.vector(first, 4, 4) != count:
        fail(Rule.UNION, first, f"a vector of unions has {count} tags and another number of values")
    index = 0
    try:
        for index in range(count):
            position = first_tag + 4 + index
            tag = window.data[position]
            if tag:
                content = _variant(variants, tag, position)
                content(window, window.offset(first + 4 + 4 * index), depth)
    except Fault as fault:
        fault.path.append(f"[{index}]")
        raise


def _variant(variants: Mapping[int, Content], tag: int, at: int) -> Content:
    content = variants.get(tag)
    if content is None:
        fail(Rule.UNION, at, f"unknown union tag {tag}")
    return content


def _element(index: int, check: Inline, data: bytes, at: int) -> None:
    try:
        check(data, at)
    except Fault as fault:
        fault.path.append(f"[{index}]")
        raise
