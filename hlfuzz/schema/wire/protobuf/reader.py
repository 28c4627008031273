"""Turns parsed messages of the runtime into values, by functions made once for each record."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

from hlfuzz.schema.ir import Element, Enum, Field, Map, Named, Presence, Record, Schema, String, Union, Vector
from hlfuzz.schema.names import field_names
from hlfuzz.schema.values import Classes
from hlfuzz.schema.wire.protobuf.messages import field_name, oneof_name

Read: TypeAlias = Callable[[Any], Any]
"""From a message, or from the runtime's value of an element, to our value.

The runtime has bounded the depth of messages before, and with it that of these calls.
"""


class Readers:
    """A reader for each record of a schema, made when it is first asked for."""

    def __init__(self, schema: Schema, classes: Classes) -> None:
        self._schema = schema
        self._classes = classes
        self._made: dict[str, Read] = {}
        self._unfinished: list[tuple[Record, list[tuple[str, Read]]]] = []

    def of(self, name: str) -> Read:
        """The reader of a record and, behind it, of all that it contains."""
        found = self._reader(name)
        # Not by recursion: a chain of types may be as long as a schema.
        while self._unfinished:
            record, plan = self._unfinished.pop()
            names = field_names(record)
            plan += [(names[field.name], self._field(field)) for field in record.fields]
        return found

    def _reader(self, name: str) -> Read:
        if name not in self._made:
            plan: list[tuple[str, Read]] = []
            cls = self._classes.definitions[name]

            def read(message: Any) -> Any:
                return cls(**{attribute: get(message) for attribute, get in plan})

            self._made[name] = read
            self._unfinished.append((self._schema.record(name), plan))
        return self._made[name]

    def _field(self, field: Field) -> Read:
        key = field_name(field.id)
        get = attrgetter(key)
        if isinstance(field.type, Map):
            return _map(get, self._element(field.type.value))
        if isinstance(field.type, Vector):
            element = self._element(field.type.element)
            return _each(get, element) if element is not None else lambda message: list(get(message))
        if isinstance(field.type, Named):
            named = self._schema.by_name[field.type.name]
            if isinstance(named, Union):
                return self._union(oneof_name(field), named)
        assert isinstance(field.type, Element)
        element = self._element(field.type)
        if field.presence is Presence.OPTIONAL:
            return _optional(key, get, element)
        return get if element is None else _single(get, element)

    def _element(self, type_: Element) -> Read | None:
        """From the runtime's value to ours; None where they are the same."""
        if isinstance(type_, String) and not type_.checked:
            return _text
        if not isinstance(type_, Named):
            return None
        definition = self._schema.by_name[type_.name]
        if isinstance(definition, Record):
            return self._reader(definition.name)
        assert isinstance(definition, Enum)
        cls: Any = self._classes.definitions[definition.name]
        members: dict[int, Any] = {int(m): m for m in cls}

        def member(number: int) -> Any:
            return members.get(number, number)

        return member

    def _union(self, oneof: str, union: Union) -> Read:
        variants: dict[str, tuple[Any, Any, Read]] = {
            field_name(v.tag): (
                self._classes.variants[union.name, v.tag],
                attrgetter(field_name(v.tag)),
                self._element(v.type) or _same,
            )
            for v in union.variants
        }

        def read(message: Any) -> Any:
            name = message.WhichOneof(oneof)
            if name is None:
                return None
            cls, get, element = variants[name]
            return cls(element(get(message)))

        return read


def _same(value: Any) -> Any:
    return value


def _text(value: bytes) -> str:
    """Invalid bytes become lone surrogates, as Python has it for file names, and so can be written again."""
    return value.decode(errors="surrogateescape")


def _single(get: Read, element: Read) -> Read:
    return lambda message: element(get(message))


def _optional(key: str, get: Read, element: Read | None) -> Read:
    if element is None:
        return lambda message: get(message) if message.HasField(key) else None
    return lambda message: element(get(message)) if message.HasField(key) else None


def _each(get: Read, element: Read) -> Read:
    return lambda message: [element(value) for value in get(message)]


def _map(get: Read, element: Read | None) -> Read:
    """In order of keys: the runtime's own order differs from run to run."""

    def read(message: Any) -> Any:
        values = get(message)
        if element is None:
            return {key: values[key] for key in sorted(values)}
        return {key: element(values[key]) for key in sorted(values)}

    return read
