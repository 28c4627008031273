"""A schema as JSON text and back: generated code carries it, other tools read it.

An object has the fields of its dataclass that differ from their defaults; where a field may hold one of
several classes, `is` names the class. Floats are {"float": "1.5"}, bytes {"bytes": "00ff"}. Each definition
and each service has a line of its own, so that a changed type is a changed line.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import struct
import types
import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, cast

from hlfuzz.errors import UsageError
from hlfuzz.schema import ir
from hlfuzz.schema.wellformed import check

VERSION: Final = "hlfuzz.schema/1"
MAX_DUMP_CHARACTERS: Final = 64 << 20
"""Longest text that is read."""

_SOURCE_ONLY: Final = frozenset({"doc", "position", "files", "notes"})
_CLASSES: Final = (
    ir.Number, ir.String, ir.Bytes, ir.CString, ir.Named, ir.Vector, ir.Array, ir.Map,
    ir.Record, ir.Enum, ir.Union,
)  # fmt: skip
_BY_TAG: Final[dict[str, type[Any]]] = {c.__name__: c for c in _CLASSES}


def dump(schema: ir.Schema, *, source: bool = True) -> str:
    """The schema as JSON. Without `source` only what the wire needs: no documentation, positions, files."""
    parts: list[str] = [_compact("schema") + ":" + _compact(VERSION)]
    for spec in _specs(ir.Schema):
        value = getattr(schema, spec.name)
        if value == spec.default or (not source and spec.name in _SOURCE_ONLY):
            continue
        if spec.name in ("definitions", "services"):
            items = [_compact(_to_json(item, spec.hint_of_items, source)) for item in value]
            text = "[\n" + ",\n".join(items) + "\n]"
        else:
            text = _compact(_to_json(value, spec.hint, source))
        parts.append(f"{_compact(spec.name)}:{text}")
    return "{" + ",".join(parts) + "}"


def load_json(text: str) -> ir.Schema:
    """The schema of a text of `dump`; the text may come from anyone.

    Raises: UsageError that names the place, for anything that is no schema; `SchemaError` for one that
    contradicts itself.
    """
    if len(text) > MAX_DUMP_CHARACTERS:
        raise UsageError(f"schema text has more than {MAX_DUMP_CHARACTERS} characters: is it the right file?")
    try:
        document = json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"schema text is not valid JSON: {error}; generate it again") from error
    fields = cast("dict[str, Any]", document) if isinstance(document, dict) else {}
    if fields.pop("schema", None) != VERSION:
        raise UsageError(f"schema text is no {VERSION}: generate it again with this version of hlfuzz")
    schema = _dataclass(ir.Schema, fields, "schema")
    check(schema)
    return schema


@dataclasses.dataclass(frozen=True)
class _Spec:
    name: str
    hint: Any
    default: Any

    @property
    def hint_of_items(self) -> Any:
        return typing.get_args(self.hint)[0]


@functools.cache
def _specs(cls: type[Any]) -> tuple[_Spec, ...]:
    hints = typing.get_type_hints(cls)
    return tuple(_Spec(f.name, hints[f.name], f.default) for f in dataclasses.fields(cls))


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _choices(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _to_json(value: Any, hint: Any, source: bool) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # The bits of a NaN are part of a default.
        text = repr(value) if value == value else f"nan:{struct.pack('>d', value).hex()}"
        return {"float": text}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, tuple):
        item = typing.get_args(hint)[0]
        return [_to_json(v, item, source) for v in cast("tuple[Any, ...]", value)]
    cls = cast("type[Any]", type(value))
    tagged = sum(dataclasses.is_dataclass(c) for c in _choices(hint)) > 1
    result: dict[str, Any] = {"is": cls.__name__} if tagged else {}
    for spec in _specs(cls):
        inner = getattr(value, spec.name)
        if inner != spec.default and (source or spec.name not in _SOURCE_ONLY):
            result[spec.name] = _to_json(inner, spec.hint, source)
    return result


def _from_json(value: Any, hint: Any, where: str) -> Any:
    choices = _choices(hint)
    if value is None and type(None) in choices:
        return None
    classes: list[Any] = [c for c in choices if dataclasses.is_dataclass(c)]
    if classes and isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        cls = classes[0] if len(classes) == 1 else _BY_TAG.get(str(fields.pop("is", None)))
        if cls is None or cls not in classes:
            raise _wrong(where, f'"is" must be one of {", ".join(c.__name__ for c in classes)}')
        return _dataclass(cls, fields, where)
    for choice in choices:
        if typing.get_origin(choice) is tuple:
            if not isinstance(value, list):
                break
            item = typing.get_args(choice)[0]
            items = cast("list[Any]", value)
            return tuple(_from_json(v, item, f"{where}[{i}]") for i, v in enumerate(items))
        reader = _SCALARS.get(choice)
        if reader is not None:
            found = reader(value)
            if found is not None:
                return found
        elif _is_enum(choice) and isinstance(value, str) and value in {m.value for m in choice}:
            return choice(value)
    raise _wrong(where, f"a {type(value).__name__} like this does not belong there")


def _dataclass(cls: type[Any], given: dict[str, Any], where: str) -> Any:
    specs = _specs(cls)
    if unknown := given.keys() - {s.name for s in specs}:
        raise _wrong(where, f"{cls.__name__} has no field {min(unknown)[:60]!r}")
    values: dict[str, Any] = {}
    for spec in specs:
        if spec.name in given:
            values[spec.name] = _from_json(given[spec.name], spec.hint, f"{where}.{spec.name}")
        elif spec.default is dataclasses.MISSING:
            raise _wrong(where, f"{cls.__name__} needs a field {spec.name!r}")
    return cls(**values)


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, StrEnum)


def _wrong(where: str, what: str) -> UsageError:
    return UsageError(f"schema text is wrong ({where}): {what}; generate it again")


def _float(value: Any) -> float | None:
    match value:
        case {"float": str(text), **rest} if not rest:
            try:
                if text.startswith("nan:"):
                    return struct.unpack(">d", bytes.fromhex(text[4:]))[0]
                return float(text)
            except (ValueError, struct.error):
                return None
        case _:
            return None


def _bytes(value: Any) -> bytes | None:
    match value:
        case {"bytes": str(text), **rest} if not rest:
            try:
                return bytes.fromhex(text)
            except ValueError:
                return None
        case _:
            return None


_SCALARS: Final[dict[Any, Callable[[Any], Any]]] = {
    bool: lambda v: v if isinstance(v, bool) else None,
    int: lambda v: v if isinstance(v, int) and not isinstance(v, bool) else None,
    str: lambda v: v if isinstance(v, str) else None,
    float: _float,
    bytes: _bytes,
}


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is given twice in one object")
    return result


def _no_constants(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")
