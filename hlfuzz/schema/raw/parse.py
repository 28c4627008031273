"""Reads a raw interface (docs/schema-raw.md) into the one form of all schemas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, cast

from hlfuzz.schema.diagnostics import Collector, Diagnostic, SchemaError, did_you_mean
from hlfuzz.schema.ir import Direction, Format, Method, Position, Schema, Service
from hlfuzz.schema.names import pascal_case
from hlfuzz.schema.raw import places
from hlfuzz.schema.raw.document import Document, read
from hlfuzz.schema.raw.method import MethodReader
from hlfuzz.schema.raw.types import short

VERSION: Final = 1
"""The version of the form, the only one so far."""
MAX_BYTES: Final = 1 << 20
"""Of a file; ten thousand functions fit."""
_KEYS: Final = ("version", "name", "allocator", "guest", "host")
_ALLOCATOR: Final = 'write the name of an export, "malloc", or the address of scratch memory, 65536'


def parse(path: Path | str, *, include: Sequence[Path] = ()) -> Schema:
    """The interface in a file. Raw interfaces include no others; `include` is there for all front ends alike.

    Raises `SchemaError` with everything that is wrong with it, also when it cannot be read.
    """
    del include
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise _refused(f"cannot read the schema ({path}): {reason}", "name a readable .toml file") from error
    if len(data) > MAX_BYTES:
        raise _refused(
            f"the schema is larger than {MAX_BYTES} bytes ({path})",
            "is it the right file? Split the interface",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line = before.count("\n") + 1
        position = Position(str(path), line, len(before) - (before.rfind("\n") + 1) + 1)
        raise SchemaError(
            [
                Diagnostic(
                    f"byte 0x{data[error.start]:02x} is no UTF-8 text",
                    position,
                    "a schema is a text file in UTF-8; is it the right file?",
                )
            ]
        ) from None
    return parse_text(text, name=str(path))


def parse_text(text: str, *, name: str) -> Schema:
    """The interface in a text; `name` is the file's name, for messages and where the text gives none.

    Raises `SchemaError` with everything that is wrong with it.
    """
    collector = Collector()
    if len(text) > MAX_BYTES:
        raise _refused(f"the schema is larger than {MAX_BYTES} characters ({name})", "split the interface")
    schema = _Reader(read(text, name, collector), name, collector).schema()
    try:
        collector.finish()
    except SchemaError as error:
        # What was found while reading TOML and after it, in the order of the file.
        raise SchemaError(sorted(error.diagnostics, key=_order)) from None
    return schema


def _order(diagnostic: Diagnostic) -> tuple[int, int]:
    position = diagnostic.position
    return (position.line, position.column) if position is not None else (0, 0)


def _refused(message: str, suggestion: str) -> SchemaError:
    return SchemaError([Diagnostic(message, suggestion=suggestion)])


class _Reader:
    """Turns a TOML document into a schema, noting all that is wrong."""

    def __init__(self, document: Document, file: str, collector: Collector) -> None:
        self._document = document
        self._places = document.places
        self._file = file
        self._collector = collector

    def schema(self) -> Schema:
        values = self._document.values
        for key in values:
            if key not in _KEYS:
                listing = f"the keys are {', '.join(_KEYS)}"
                self._fail(
                    f"unknown key {short(key)}", (key,), did_you_mean(key, _KEYS, listing), at_key=True
                )
        self._version(values)
        name = self._name(values)
        services = tuple(
            s for d in Direction if (s := self._service(name, d, values.get(d.value))) is not None
        )
        if not services and self._document.complete and not self._collector:
            self._collector.add(
                f"the interface has no functions ({self._file})",
                suggestion='add [guest.NAME] for an export of the guest, [host."module.name"] for an import',
            )
        return Schema(
            name=name,
            format=Format.RAW,
            services=services,
            allocator=self._allocator(values.get("allocator")),
            files=(self._file,),
        )

    def _fail(self, message: str, path: places.Path, suggestion: str = "", *, at_key: bool = False) -> None:
        position = self._places.key(path) if at_key else self._places.value(path)
        self._collector.add(message, position, suggestion=suggestion, source=self._places.source(position))

    def _version(self, values: dict[str, Any]) -> None:
        found = values.get("version")
        if found is None:
            if self._document.complete:
                self._collector.add(
                    f"no version ({self._file})",
                    Position(self._file, 1, 1),
                    suggestion=f"begin with version = {VERSION}",
                )
        elif type(found) is not int or found != VERSION:
            self._fail("unknown version", ("version",), f"this release reads version = {VERSION}")

    def _name(self, values: dict[str, Any]) -> str:
        found = values.get("name")
        if found is None:
            stem = re.sub(r"[^A-Za-z0-9_]", "_", Path(self._file).stem)
            if stem[:1].isalpha():
                return stem
            self._collector.add(
                f"no name can be made of the file's ({self._file})",
                Position(self._file, 1, 1),
                suggestion='give one: name = "filter"',
            )
        elif not isinstance(found, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", found):
            self._fail("the name is no identifier", ("name",), 'as in name = "network_filter"')
        else:
            return found
        return "raw"

    def _allocator(self, value: object) -> str | int | None:
        if value is None or (isinstance(value, str) and value):
            return value
        if type(value) is int and 0 < value < 1 << 32:
            return value
        self._fail("the allocator is no export and no address", ("allocator",), _ALLOCATOR)
        return None

    def _service(self, name: str, direction: Direction, tables: Any) -> Service | None:
        if tables is None:
            return None
        path: places.Path = (direction.value,)
        if not isinstance(tables, dict):
            self._fail(
                f"{direction.value!r} is no table", path, f"write [{direction.value}.NAME] for each function"
            )
            return None
        methods: list[Method] = []
        names: dict[str, str] = {}
        for key, table in cast("dict[str, Any]", tables).items():
            if self._collector.full:
                break
            method = MethodReader(self._places, self._collector, direction, key).read(table)
            if method is None:
                continue
            if method.name in names:
                self._fail(
                    f"{short(names[method.name])} and {short(key)} have one name, {short(method.name)}",
                    (*path, key),
                    'give one of them another: name = "..."',
                    at_key=True,
                )
            names.setdefault(method.name, key)
            methods.append(method)
        if not methods:
            return None
        suffix = direction.value.capitalize()
        position = self._places.key((*path, methods[0].symbol))
        return Service(pascal_case(name) + suffix, direction, tuple(methods), position=position)
