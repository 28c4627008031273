"""Calls of a schema's methods as a person writes them in a test: values of its classes, not their bytes."""

from __future__ import annotations

import dataclasses
import enum
import math
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from hlfuzz.bindings.text import group_of
from hlfuzz.errors import UsageError
from hlfuzz.files import near
from hlfuzz.invariants import Case
from hlfuzz.invariants.typed import Typed, TypedMethod, shown_value
from hlfuzz.model import Call
from hlfuzz.report.source import MAX_LINE, call_source, stacked, text_source, value_source
from hlfuzz.report.text import visible
from hlfuzz.schema.ir import Format
from hlfuzz.schema.wire.base import WireError

MAX_COMMENT: Final = 72
"""Characters of what stands above the bytes of a call."""
MAX_NESTED: Final = 160
"""Values in each other; Python reads 200 brackets in each other, and those of a test are round these."""
_TAKEN: Final = frozenset({"hlfuzz", "schema", "Interface", "INTERFACE", "Secret", "Injection", "None"})
"""Names that a test uses for other things."""
_NAN: Final = struct.pack("<d", math.nan)


class _UnwritableError(Exception):
    """A value that no source text makes exactly."""


@dataclass(frozen=True, slots=True)
class WrittenCalls:
    """Parts of a test: each call; where there is a schema lines before the test, lines at the beginning of
    its function, and the argument `schema`; the secret (None: to be written as it lies in the bytes)."""

    calls: tuple[str, ...]
    imports: str = ""
    setup: str = ""
    schema: str = ""
    secret: str | None = None


def typed_calls(typed: Typed, case: Case, taken: frozenset[str] = frozenset()) -> WrittenCalls:
    """The calls of a case. A call whose values do not make the very bytes that were sent (they are not valid,
    or encoded in another way) is written as bytes, and says so. `taken`: names that have a meaning."""
    calls = case.calls if case.secret is None else case.variants()[0]
    writer = _Writer(typed, _TAKEN | taken)
    texts = tuple(map(writer.call, calls))
    return WrittenCalls(texts, *writer.names(), secret=_secret(case, calls))


def method_name(typed: Typed, symbol: str) -> str:
    """The shortest name by which a test may call a method; `symbol` itself where it is none."""
    method = typed.methods.get(symbol)
    if method is None:
        return symbol
    everywhere = Typed(typed.interface)  # a test names the schema, and not one service of it
    service = method.service.name
    for name in (method.name, f"{service.rpartition('.')[2]}.{method.name}", f"{service}.{method.name}"):
        try:
            if everywhere.find(name).symbol == symbol:
                return name
        except UsageError:
            continue
    return symbol


def schema_path(typed: Typed) -> str:
    """The file of the schema as a test names it; where it is not known, the one that it was read from by
    name."""
    schema = typed.interface.schema
    suffix = "toml" if schema.format is Format.RAW else str(schema.format)
    return text_source(str(near(typed.path or Path(f"{schema.name}.{suffix}"))))


def _secret(case: Case, calls: tuple[Call, ...]) -> str | None:
    """Both secrets, where the first lies whole and once in the bytes of one call."""
    slot = case.secret
    if slot is None or slot.cut or not slot.length == len(slot.first) == len(slot.second):
        return None
    held = [a.count(slot.first) for call in calls for a in call.args if isinstance(a, bytes)]
    return None if sum(held) != 1 else f"({value_source(slot.first)}, {value_source(slot.second)})"


class _Writer:
    """Writes calls and keeps which classes they need."""

    def __init__(self, typed: Typed, taken: frozenset[str]) -> None:
        self._typed = typed
        self._names: dict[type[Any], str] = {}
        self._taken = set(taken)
        classes = typed.interface.classes
        self._where = {cls: f"definitions[{text_source(name)}]" for name, cls in classes.definitions.items()}
        for (union, tag), cls in classes.variants.items():
            self._where[cls] = f"variants[{text_source(union)}, {tag}]"

    def call(self, call: Call) -> str:
        """The call as a tuple, below a comment where it is one of bytes though its method has a record."""
        method = self._typed.methods.get(call.function)
        if method is None:
            return call_source(call.function, call.args)
        arguments = method.decode(call)
        if arguments is not None and _makes(method, arguments, call):
            try:
                for argument in arguments:
                    self._learn(argument)
                name = method_name(self._typed, call.function)
                return call_source(name, arguments, self._names.__getitem__)
            except _UnwritableError:
                pass
        text = call_source(call.function, call.args)
        why = _why_bytes(self._typed, method, call)
        return f"# {visible(why, MAX_COMMENT)}\n{text}" if why else text

    def names(self) -> tuple[str, str, str]:
        """Imports, the lines that make the classes known, and the schema."""
        path = schema_path(self._typed)
        if not self._names:
            return "", "", path
        module = _generated(self._typed, next(iter(self._names)))
        if module is not None:
            named = [
                cls.__name__ if cls.__name__ == name else f"{cls.__name__} as {name}"
                for cls, name in self._names.items()
            ]
            listed = ["INTERFACE", *sorted(named)]
            line = f"from {module} import {', '.join(listed)}\n"
            if len(line) > MAX_LINE:
                line = f"from {module} import ({stacked(listed)})\n"
            return line, "", "INTERFACE"
        made = sorted((name, self._where[cls]) for cls, name in self._names.items())
        lines = (f"{name} = schema.classes.{where}\n" for name, where in made)
        setup = f"schema = Interface.load({path})\n{''.join(lines)}"
        return "from hlfuzz.bindings import Interface\n", setup, "schema"

    def _learn(self, value: Any) -> None:
        """Notes the classes in a value. Raises `_UnwritableError`."""
        found: dict[type[Any], None] = {}
        for held in _all_values(value):
            cls = cast("type[Any]", type(held))
            if isinstance(held, enum.Enum) or dataclasses.is_dataclass(cls):
                if cls not in self._where:
                    raise _UnwritableError(cls.__name__)
                found[cls] = None
            if isinstance(held, float) and held != held and struct.pack("<d", held) != _NAN:
                raise _UnwritableError("bits of a NaN")
        for cls in found:
            if cls not in self._names:
                self._names[cls] = self._name(cls)

    def _name(self, cls: type[Any]) -> str:
        name = cls.__name__
        if not name.isidentifier() or not name.isascii() or name in self._taken:
            name = next(n for at in range(1, len(self._where) + 2) if (n := f"Class{at}") not in self._taken)
        self._taken.add(name)
        return name


def _all_values(value: Any, depth: int = 0) -> Iterator[Any]:
    """A value and all in it. Raises `_UnwritableError` where they are too deep in each other, or the name of
    a field is none for a file in ASCII."""
    if depth > MAX_NESTED:
        raise _UnwritableError("depth")
    yield value
    group = group_of(value)
    if group is not None:
        for before, part in group.parts:
            if dataclasses.is_dataclass(value) and not before.isascii():
                raise _UnwritableError(before)
            yield from _all_values(part, depth + 1)


def _makes(method: TypedMethod, arguments: tuple[Any, ...], call: Call) -> bool:
    """Whether these arguments are sent as this very call."""
    try:
        return method.encode(arguments) == call
    except UsageError:
        return False


def _why_bytes(typed: Typed, method: TypedMethod, call: Call) -> str:
    request = method.method.request
    match call.args:
        case (bytes() as data,) if request is not None:
            try:
                value = typed.interface.message(request).decode(data)
            except WireError as error:
                return f"no valid {request}: {error.fault}"
            return f"the encoding of {shown_value(value)}"
        case _:
            return ""


def _generated(typed: Typed, cls: type[Any]) -> str | None:
    """The module of generated code that the schema's classes come from, if they do."""
    module = sys.modules.get(cls.__module__)
    interface = getattr(module, "INTERFACE", None)
    if interface is not typed.interface or getattr(module, cls.__name__, None) is not cls:
        return None
    return cls.__module__
