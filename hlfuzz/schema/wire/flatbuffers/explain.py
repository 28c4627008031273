"""Why a value cannot be encoded: the path of the first part that does not fit, what it is, what fits.

The encoder's functions check nothing that packing itself refuses; when one fails, this looks again, slowly.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn

from hlfuzz.schema.ir import Presence, Scalar
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes
from hlfuzz.schema.wire.base import EncodeError, Limits
from hlfuzz.schema.wire.flatbuffers.members import FORMATS
from hlfuzz.schema.wire.flatbuffers.plan import (
    NONE,
    EnumPlan,
    Kind,
    Op,
    Plan,
    StructField,
    StructPlan,
    TableField,
    TablePlan,
    UnionPlan,
)

_SHOWN: Final = 60


class Explainer:
    """Finds what is wrong with a value. Raises `EncodeError` there; returns when nothing is."""

    def __init__(
        self, plan: Plan, classes: Classes, limits: Limits, nested: Callable[[int, bytes], str | None]
    ) -> None:
        self._plan = plan
        self._classes = classes
        self._limits = limits
        self._nested = nested

    def explain(self, table: int, value: Any) -> None:
        """Look through a value of table number `table`."""
        _Walk(self._plan, self._classes, self._limits, self._nested).table(table, value, "", 1)


class _Walk:
    def __init__(
        self, plan: Plan, classes: Classes, limits: Limits, nested: Callable[[int, bytes], str | None]
    ) -> None:
        self._plan = plan
        self._classes = classes
        self._depth = limits.depth
        self._left = limits.tables
        self._limits = limits
        self._nested = nested

    def table(self, index: int, value: Any, path: str, depth: int) -> None:
        plan = self._plan.tables[index]
        cls = self._classes.definitions[plan.source.name]
        if not isinstance(value, cls):
            _wrong(path, value, f"is no {cls.__name__}")
        self._left -= 1
        if depth > self._depth:
            _refuse(path, f"tables nested more than {self._depth} deep (does a value contain itself?)")
        if self._left < 0:
            _refuse(path, f"more than {self._limits.tables} tables (does a value contain itself?)")
        names = field_names(plan.source)
        for f in plan.fields:
            self._field(f, getattr(value, names[f.source.name], _MISSING), _join(path, f.source.name), depth)
        self._room(plan, value, names, path)

    def _room(self, plan: TablePlan, value: Any, names: Mapping[str, str], path: str) -> None:
        size = 4 + sum(
            f.inline[0] for f in plan.fields if getattr(value, names[f.source.name], None) is not None
        )
        if size > 0xFFFF:
            _refuse(path, f"its fields take {size} bytes; a table holds 65535")

    def _field(self, f: TableField, value: Any, path: str, depth: int) -> None:
        if value is _MISSING:
            _refuse(path, "the value has no such attribute")
        if value is None:
            if f.source.presence is Presence.REQUIRED and not f.source.deprecated:
                _refuse(path, "None, but the field is required")
            if f.op < Op.VECTOR_SCALAR and f.source.presence is not Presence.IMPLICIT:
                return
        if f.op is Op.STRING:
            _string(value, path)
        elif f.op is Op.TABLE:
            self.table(f.target, value, path, depth + 1)
        elif f.op is Op.SCALAR:
            self._number(f.scalar, f.enum, value, path)
        elif f.op is Op.STRUCT:
            self._struct(self._plan.structs[f.target], value, path)
        elif f.op is Op.UNION:
            self._union(self._plan.unions[f.target], value, path, depth)
        elif f.op is Op.NESTED or (f.op is Op.VECTOR_SCALAR and f.scalar is Scalar.U8 and f.enum == NONE):
            if not isinstance(value, bytes | bytearray | memoryview):
                _wrong(path, value, "is no bytes")
            fault = self._nested(f.target, bytes(value)) if f.op is Op.NESTED and len(value) else None  # pyright: ignore[reportUnknownArgumentType]
            if fault is not None:
                _refuse(path, f"no valid nested buffer: {fault}")
        else:
            self._vector(f, value, path, depth)

    def _vector(self, f: TableField, value: Any, path: str, depth: int) -> None:
        for i, item in enumerate(_elements(value, path)):
            at = f"{path}[{i}]"
            if f.op is Op.VECTOR_SCALAR:
                self._number(f.scalar, f.enum, item, at)
            elif f.op is Op.VECTOR_STRING:
                _string(item, at)
            elif f.op is Op.VECTOR_STRUCT:
                self._struct(self._plan.structs[f.target], item, at)
            elif f.op is Op.VECTOR_TABLE:
                self.table(f.target, item, at, depth + 1)
            elif item is not None:
                self._union(self._plan.unions[f.target], item, at, depth)

    def _union(self, plan: UnionPlan, value: Any, path: str, depth: int) -> None:
        for v in plan.variants:
            if type(value) is self._classes.variants[plan.source.name, v.tag]:
                if v.kind is Kind.TABLE:
                    self.table(v.target, value.value, path, depth + 1)
                elif v.kind is Kind.STRUCT:
                    self._struct(self._plan.structs[v.target], value.value, path)
                else:
                    _string(value.value, path)
                return
        known = [self._classes.variants[plan.source.name, v.tag].__name__ for v in plan.variants]
        _wrong(path, value, f"is no variant of {plan.source.name}: {_list(known)}")

    def _struct(self, plan: StructPlan, value: Any, path: str) -> None:
        cls = self._classes.definitions[plan.source.name]
        if not isinstance(value, cls):
            _wrong(path, value, f"is no {cls.__name__}")
        names = field_names(plan.source)
        for f in plan.fields:
            self._part(f, getattr(value, names[f.source.name], None), _join(path, f.source.name))

    def _part(self, f: StructField, value: Any, path: str) -> None:
        if f.count is not None:
            elements = _elements(value, path)
            if len(elements) != f.count:
                _refuse(path, f"{len(elements)} elements; it has {f.count}")
            for i, item in enumerate(elements):
                self._single(f, item, f"{path}[{i}]")
        else:
            self._single(f, value, path)

    def _single(self, f: StructField, value: Any, path: str) -> None:
        if f.kind is Kind.STRUCT:
            self._struct(self._plan.structs[f.target], value, path)
        else:
            self._number(f.scalar, f.target if f.kind is Kind.ENUM else NONE, value, path)

    def _number(self, scalar: Scalar | None, enum: int, value: Any, path: str) -> None:
        if scalar is None:
            return
        if enum != NONE:
            _member(self._plan.enums[enum], value, path)
        elif scalar is Scalar.BOOL:
            if not isinstance(value, int) or value not in (0, 1):
                _wrong(path, value, "is no bool")
        elif scalar.is_float:
            _float(scalar, value, path)
        else:
            low, high = scalar.range
            try:
                number = value.__index__()
            except AttributeError:
                _wrong(path, value, "is no int")
            if not low <= number <= high:
                _wrong(path, value, f"does not fit {scalar}; {low}…{high}")


_MISSING: Final = object()


def _member(plan: EnumPlan, value: Any, path: str) -> None:
    name = plan.source.name
    if not isinstance(value, int):
        _wrong(path, value, f"is no {name}")
    if plan.source.bit_flags:
        if value & ~plan.values[0]:
            _wrong(path, value, f"has bits that {name} does not declare; all declared: {plan.values[0]}")
    elif value not in plan.values:
        _wrong(path, value, f"is no value of {name}: {_list([m.name for m in plan.source.members])}")


def _float(scalar: Scalar, value: Any, path: str) -> None:
    try:
        struct.pack(f"<{FORMATS[scalar]}", value)
    except OverflowError:
        _wrong(path, value, f"does not fit {scalar}")
    except (struct.error, TypeError):
        _wrong(path, value, "is no float")


def _string(value: Any, path: str) -> None:
    if not isinstance(value, str):
        _wrong(path, value, "is no str")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        _wrong(path, value, f"is not valid Unicode: {error.reason} at {error.start}")


def _elements(value: Any, path: str) -> list[Any]:
    try:
        return list(value)
    except TypeError:
        _wrong(path, value, "is no list")


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _list(names: list[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _wrong(path: str, value: Any, what: str) -> NoReturn:
    shown = repr(value) if isinstance(value, int | float | str | bytes | None) else type(value).__name__
    _refuse(path, f"{shown if len(shown) <= _SHOWN else shown[: _SHOWN - 1] + '…'} {what}")


def _refuse(path: str, message: str) -> NoReturn:
    raise EncodeError(f"{path}: {message}" if path else message)
