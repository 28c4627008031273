"""Turns values into messages of the runtime, checking each; functions made once for each record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from hlfuzz.schema.ir import (
    Bytes,
    Element,
    Enum,
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
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes
from hlfuzz.schema.wire.protobuf.messages import field_name

_F32_LIMIT: Final = float.fromhex("0x1.ffffffp+127")
"""Halfway between the largest f32 and the next power of two: what is smaller rounds to a finite f32."""
_SHOWN: Final = 60
_MAX_BITS: Final = 128

Fill: TypeAlias = Callable[[Any, Any, int], None]
"""Write a value (second) into a message (first); `int` is the depth of the message, 1 at the root."""
Prepare: TypeAlias = Callable[[Any], Any]
"""From a checked value to what the runtime takes."""


class Unfit(Exception):
    """A value that its type cannot hold; `path` grows on the way out, inner names first."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.steps: list[str] = []

    def within(self, step: str) -> Unfit:
        """The same, seen from one level further out."""
        self.steps.append(step)
        return self

    @property
    def path(self) -> str:
        """The field, "headers[2].name"."""
        return "".join(reversed(self.steps)).removeprefix(".")


class Writers:
    """A writer for each record of a schema, made when it is first asked for."""

    def __init__(self, schema: Schema, classes: Classes, depth: int) -> None:
        self._schema = schema
        self._classes = classes
        self._depth = depth
        self._made: dict[str, Fill] = {}
        self._unfinished: list[tuple[Record, list[tuple[str, str, Fill]]]] = []

    def of(self, name: str) -> Fill:
        """The writer of a record and, behind it, of all that it contains. It raises `Unfit`."""
        found = self._writer(name)
        # Not by recursion: a chain of types may be as long as a schema.
        while self._unfinished:
            record, plan = self._unfinished.pop()
            names = field_names(record)
            plan += [(names[f.name], f".{f.name}", self._field(f)) for f in record.fields]
        return found

    def _writer(self, name: str) -> Fill:
        if name not in self._made:
            plan: list[tuple[str, str, Fill]] = []
            cls, limit = self._classes.definitions[name], self._depth

            def fill(message: Any, value: Any, depth: int) -> None:
                if not isinstance(value, cls):
                    raise Unfit(f"expected {cls.__name__}, got {_show(value)}")
                if depth > limit:
                    raise Unfit(f"messages nest deeper than {limit}")
                for attribute, step, put in plan:
                    try:
                        put(message, getattr(value, attribute), depth)
                    except Unfit as error:
                        raise error.within(step) from None

            self._made[name] = fill
            self._unfinished.append((self._schema.record(name), plan))
        return self._made[name]

    def _field(self, field: Field) -> Fill:
        key = field_name(field.id)
        if isinstance(field.type, Map):
            return self._map(key, field.type)
        if isinstance(field.type, Vector):
            return self._vector(key, field.type.element)
        if isinstance(field.type, Named):
            named = self._schema.by_name[field.type.name]
            if isinstance(named, Union):
                return self._union(named)
        assert isinstance(field.type, Element)
        put = self._single(key, field.type)
        if field.presence is not Presence.OPTIONAL:
            return put

        def put_if_any(message: Any, value: Any, depth: int) -> None:
            if value is not None:
                put(message, value, depth)

        return put_if_any

    def _single(self, key: str, type_: Element) -> Fill:
        fill = self._nested(type_)
        if fill is None:
            prepare = self._prepare(type_)
            return lambda message, value, depth: setattr(message, key, prepare(value))

        def put(message: Any, value: Any, depth: int) -> None:
            child = getattr(message, key)
            child.SetInParent()
            fill(child, value, depth + 1)

        return put

    def _vector(self, key: str, type_: Element) -> Fill:
        fill = self._nested(type_)
        prepare = self._prepare(type_) if fill is None else None

        def put(message: Any, value: Any, depth: int) -> None:
            if not isinstance(value, list | tuple):
                raise Unfit(f"expected a list, got {_show(value)}")
            into = getattr(message, key)
            index = 0
            try:
                for item in cast("list[Any]", value):
                    if fill is not None:
                        fill(into.add(), item, depth + 1)
                    else:
                        assert prepare is not None
                        into.append(prepare(item))
                    index += 1
            except Unfit as error:
                raise error.within(f"[{index}]") from None

        return put

    def _map(self, key: str, type_: Map) -> Fill:
        prepare_key = self._prepare(type_.key)
        fill = self._nested(type_.value)
        prepare = self._prepare(type_.value) if fill is None else None
        limit = self._depth

        def put(message: Any, value: Any, depth: int) -> None:
            if not isinstance(value, dict):
                raise Unfit(f"expected a dict, got {_show(value)}")
            if value and depth >= limit:
                raise Unfit(f"messages nest deeper than {limit}")
            into = getattr(message, key)
            for k, item in cast("dict[Any, Any]", value).items():
                try:
                    if fill is not None:
                        # An entry is a message of its own, so its value is two levels down.
                        fill(into[prepare_key(k)], item, depth + 2)
                    else:
                        assert prepare is not None
                        into[prepare_key(k)] = prepare(item)
                except Unfit as error:
                    raise error.within(f"[{_show(k)}]") from None

        return put

    def _union(self, union: Union) -> Fill:
        variants: Mapping[type[Any], tuple[str, Fill]] = {
            self._classes.variants[union.name, v.tag]: (
                f".{v.name}",
                self._single(field_name(v.tag), v.type),
            )
            for v in union.variants
        }

        def put(message: Any, value: Any, depth: int) -> None:
            if value is None:
                return
            found = variants.get(cast("type[Any]", type(value)))
            if found is None:
                names = ", ".join(c.__name__ for c in variants)
                raise Unfit(f"expected None or one of {names}, got {_show(value)}")
            step, fill = found
            try:
                fill(message, value.value, depth)
            except Unfit as error:
                raise error.within(step) from None

        return put

    def _nested(self, type_: Element) -> Fill | None:
        """The writer of an element that is a message."""
        if isinstance(type_, Named) and isinstance(self._schema.by_name[type_.name], Record):
            return self._writer(type_.name)
        return None

    def _prepare(self, type_: Element) -> Prepare:
        match type_:
            case Number(scalar=Scalar.BOOL):
                return _bool
            case Number(scalar=Scalar.F32 | Scalar.F64):
                return _f32 if type_.scalar is Scalar.F32 else _f64
            case Number():
                return _integer(type_.scalar)
            case String():
                return _text if type_.checked else _raw_text
            case Bytes():
                return _bytes
            case Named():
                definition = self._schema.by_name[type_.name]
                assert isinstance(definition, Enum)
                return _closed(definition) if definition.closed else _integer(definition.scalar)


def _integer(scalar: Scalar) -> Prepare:
    low, high = scalar.range

    def prepare(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit(f"expected an int, got {_show(value)}")
        if not low <= value <= high:
            raise Unfit(f"{_show(value)} is no {scalar}: it holds {low} to {high}")
        return value

    return prepare


def _closed(enum: Enum) -> Prepare:
    numbers = frozenset(m.value for m in enum.members)

    def prepare(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit(f"expected a member of {enum.name}, got {_show(value)}")
        if value not in numbers:
            raise Unfit(f"{_show(value)} is no member of {enum.name}, which is closed")
        return value

    return prepare


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit(f"expected a bool, got {_show(value)}")
    return value


def _f64(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, float | int):
        raise Unfit(f"expected a float, got {_show(value)}")
    try:
        return float(value)
    except OverflowError:
        raise Unfit(f"{_show(value)} is too large for an f64") from None


def _f32(value: Any) -> float:
    number = _f64(value)
    if _F32_LIMIT <= abs(number) < float("inf"):
        raise Unfit(f"{_show(value)} is too large for an f32")
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit(f"expected a str, got {_show(value)}")
    if not value.isascii():
        _encoded(value, "strict")
    return value


def _raw_text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise Unfit(f"expected a str, got {_show(value)}")
    return _encoded(value, "surrogateescape")


def _encoded(value: str, errors: str) -> bytes:
    try:
        return value.encode(errors=errors)
    except UnicodeEncodeError as error:
        raise Unfit(f"not Unicode text: a lone surrogate at index {error.start}") from None


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise Unfit(f"expected bytes, got {_show(value)}")
    return bytes(value)


def _show(value: Any) -> str:
    """A value in a message: plain ones by themselves, others by type; a repr of user code may do anything."""
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"an int of {value.bit_length()} bits"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value))
    if value is None or isinstance(value, bool | float):
        return repr(value)
    if isinstance(value, str | bytes):
        return repr(value[:_SHOWN]) + ("…" if len(value) > _SHOWN else "")
    return cast("type[Any]", type(value)).__name__
