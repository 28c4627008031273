"""Values of a schema as Python text that makes the same value: what reports show and tests can be given."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, cast


def value_text(value: Any) -> str:
    """A value of a schema as a Python expression, with the names of its classes; fields that have their
    default are left out. "Data(connection=1, bytes=b'GET /')"."""
    if isinstance(value, enum.Enum):
        return _enum(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _record(value)
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, cast("list[Any]", value))) + "]"
    if isinstance(value, dict):
        pairs = cast("Mapping[Any, Any]", value).items()
        return "{" + ", ".join(f"{value_text(k)}: {value_text(v)}" for k, v in pairs) + "}"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    return repr(value)


def _enum(value: enum.Enum) -> str:
    cls = type(value)
    members = [value] if value.name in cls.__members__ else [m for m in cls if _within(m, value)]
    if not members or (not isinstance(value, enum.Flag) and members != [value]):
        return f"{cls.__name__}({value.value!r})"
    return " | ".join(f"{cls.__name__}.{m.name}" for m in members)


def _within(member: enum.Enum, value: enum.Enum) -> bool:
    """Whether a flag is part of a combination."""
    return bool(member.value) and member.value & value.value == member.value


def _record(value: Any) -> str:
    shown: list[str] = []
    fields = dataclasses.fields(value)
    for field in fields:
        held = getattr(value, field.name)
        if not _is_default(field, held):
            text = value_text(held)
            shown.append(f"{field.name}={text}" if field.kw_only else text)
    return f"{type(value).__name__}({', '.join(shown)})"


def _is_default(field: dataclasses.Field[Any], held: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return False
    # Not 0 for False, nor -0.0 for 0.0.
    return type(held) is type(default) and value_text(held) == value_text(default)
