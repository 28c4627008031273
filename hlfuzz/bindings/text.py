"""Values of a schema as Python text that makes the same value: what reports show and tests can be given."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

NameOf: TypeAlias = Callable[[type[Any]], str]
"""What a class is called in the text."""
Leaf: TypeAlias = Callable[[Any], str]
"""The text of a value without parts."""


@dataclass(frozen=True, slots=True)
class Group:
    """A value with others in it: how its text begins, each part and what stands before it, how it ends."""

    opening: str
    parts: Iterator[tuple[str, Any]]
    closing: str


def own_name(cls: type[Any]) -> str:
    """What a class calls itself."""
    return cls.__name__


def leaf_text(value: Any, name_of: NameOf = own_name) -> str:
    """A value without parts, as a Python expression."""
    if isinstance(value, enum.Enum):
        return _enum(value, name_of(type(value)))
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    return repr(value)


def group_of(value: Any, leaf: Leaf = leaf_text, name_of: NameOf = own_name) -> Group | None:
    """What a record, list or map consists of; None for a value without parts. Fields that have their default
    are no part. The parts are made when they are asked for, and once."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return Group(f"{name_of(type(value))}(", _fields(value), ")")
    if isinstance(value, list):
        return Group("[", (("", item) for item in cast("list[Any]", value)), "]")
    if isinstance(value, dict):
        return Group("{", _pairs(cast("dict[Any, Any]", value), leaf), "}")
    return None


def pieces(value: Any, leaf: Leaf = leaf_text, name_of: NameOf = own_name) -> Iterator[str]:
    """The text of a value, piece by piece, so that the reader of a large one may stop."""
    group = group_of(value, leaf, name_of)
    if group is None:
        yield leaf(value)
        return
    yield group.opening
    separator = ""
    for before, part in group.parts:
        yield separator + before
        yield from pieces(part, leaf, name_of)
        separator = ", "
    yield group.closing


def value_text(value: Any) -> str:
    """A value of a schema as a Python expression, with the names of its classes; fields that have their
    default are left out. "Data(connection=1, bytes=b'GET /')"."""
    return "".join(pieces(value))


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if not _is_default(field, held):
            yield f"{field.name}=" if field.kw_only else "", held


def _pairs(value: dict[Any, Any], leaf: Leaf) -> Iterator[tuple[str, Any]]:
    return ((f"{leaf(key)}: ", held) for key, held in value.items())


def _enum(value: enum.Enum, name: str) -> str:
    members = [value] if value.name in type(value).__members__ else _members_within(value)
    if not members or not all(m.name.isidentifier() for m in members):
        return f"{name}({value.value!r})"
    return " | ".join(f"{name}.{m.name}" for m in members)


def _members_within(value: enum.Enum) -> list[enum.Enum]:
    """The flags that a combination consists of; none when it has bits of no flag."""
    if not isinstance(value, enum.Flag):
        return []
    found = [m for m in type(value) if m.value and m.value & value.value == m.value]
    together = 0
    for member in found:
        together |= member.value
    return list(found) if together == value.value else []


def _is_default(field: dataclasses.Field[Any], held: Any) -> bool:
    # Not by their text: of lists in lists that would be written again and again.
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return False
    if type(held) is not type(default):  # not 0 for False
        return False
    return repr(held) == repr(default) if isinstance(held, float) else held == default  # nor -0.0 for 0.0
