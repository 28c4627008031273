"""Generated Python is what `make_classes` builds, whatever a schema contains."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fbs_valid import VALID
from hypothesis import given, settings
from schema_strategies import schemas

from hlfuzz.bindings import AsyncTypedGuest, TypedGuest
from hlfuzz.generate.python import generate
from hlfuzz.schema.dump import dump
from hlfuzz.schema.fbs import parse
from hlfuzz.schema.ir import (
    Direction,
    Field,
    Format,
    Method,
    Number,
    Presence,
    Record,
    RecordKind,
    Scalar,
    Schema,
    Service,
)
from hlfuzz.schema.names import client_method_names, host_method_names, service_names
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wellformed import check


@contextmanager
def loaded(schema: Schema) -> Iterator[tuple[types.ModuleType, types.ModuleType]]:
    """The generated modules, imported; not importable by name afterwards."""
    modules: list[types.ModuleType] = []
    try:
        for file, text in generate(schema).items():
            module = types.ModuleType(file.removesuffix(".py"))
            sys.modules[module.__name__] = module
            modules.append(module)
            exec(compile(text, file, "exec", dont_inherit=True), vars(module))
        yield modules[0], modules[1]
    finally:
        for module in modules:
            del sys.modules[module.__name__]


def assert_same_classes(found: Classes, wanted: Classes) -> None:
    assert found.definitions.keys() == wanted.definitions.keys()
    assert found.variants.keys() == wanted.variants.keys()
    for name, cls in {**found.definitions, **found.variants}.items():
        other = {**wanted.definitions, **wanted.variants}[name]
        assert cls.__name__ == other.__name__
        if issubclass(cls, enum.Enum):
            assert cls.__mro__[1] is other.__mro__[1]
            assert {n: m.value for n, m in cls.__members__.items()} == {
                n: m.value for n, m in other.__members__.items()
            }
        else:
            assert cls.__slots__ == other.__slots__
            assert [shape(f) for f in dataclasses.fields(cls)] == [
                shape(f) for f in dataclasses.fields(other)
            ]


def shape(field: dataclasses.Field[Any]) -> tuple[object, ...]:
    default = field.default
    made = None if field.default_factory is dataclasses.MISSING else field.default_factory()
    # Classes of the two sides are never equal; NaN is never equal to anything.
    return field.name, field.kw_only, repr(default), type(default).__name__, made


@settings(max_examples=100, deadline=None)
@given(schemas())
def test_generated_classes_have_the_shape_of_dynamic_ones(schema: Schema):
    check(schema)
    with loaded(schema) as (module, _):
        interface = module.INTERFACE
        assert dump(interface.schema, source=False) == dump(schema, source=False)
        assert_same_classes(interface.classes, make_classes(schema))


@settings(max_examples=60, deadline=None)
@given(schemas())
def test_every_annotation_resolves_and_every_method_is_there(schema: Schema):
    with loaded(schema) as (module, _):
        for cls in {**module.INTERFACE.classes.definitions, **module.INTERFACE.classes.variants}.values():
            if dataclasses.is_dataclass(cls):
                typing.get_type_hints(cls)
        classes = service_names(schema)
        hosts = host_method_names(schema)
        for service in schema.services:
            cls = getattr(module, classes[service.name])
            own = vars(cls)
            if service.direction is Direction.HOST:
                assert {hosts[service.name, m.name] for m in service.methods} <= set(own)
                continue
            assert issubclass(cls, TypedGuest)
            assert set(client_method_names(service).values()) <= set(own)
            assert not set(client_method_names(service).values()) & set(dir(TypedGuest))
            assert not set(client_method_names(service).values()) & set(dir(AsyncTypedGuest))
            assert issubclass(getattr(module, f"Async{classes[service.name]}"), AsyncTypedGuest)


@pytest.mark.parametrize("name", sorted(VALID))
def test_each_schema_of_the_parser_tests_gives_working_code(name: str, tmp_path: Path):
    path = tmp_path / f"{name}.fbs"
    path.write_text(VALID[name], newline="")
    schema = parse(path, include=())
    with loaded(schema) as (module, _):
        assert_same_classes(module.INTERFACE.classes, make_classes(schema))


@settings(max_examples=30, deadline=None)
@given(schemas())
def test_the_same_schema_gives_the_same_text(schema: Schema):
    again = dataclasses.replace(schema)
    assert generate(schema) == generate(again)


def test_a_table_of_300_fields_is_generated_whole():
    fields = tuple(Field(f"f{i}", Number(Scalar.U8), i, Presence.IMPLICIT, i % 256) for i in range(300))
    schema = Schema("wide", Format.FBS, (Record("Wide", RecordKind.TABLE, fields),))
    with loaded(schema) as (module, _):
        value = module.Wide(f299=7)
        assert (value.f298, value.f299) == (298 % 256, 7)


@pytest.mark.parametrize("name", ["_0", "___", "net", "A"])
def test_one_protocol_has_the_methods_of_all_host_services(name: str):
    table = Record("A", RecordKind.TABLE, ())
    services = tuple(
        Service(s, Direction.HOST, (Method(m, Direction.HOST, f"{s}.{m}", "A", "A"),))
        for s, m in (("AllHosts", "log"), ("AAllHosts", "log"), ("NetAllHosts", "read"))
    )
    with loaded(Schema(name, Format.FBS, (table,), services)) as (module, _):
        bases = [getattr(module, n) for n in service_names(module.INTERFACE.schema).values()]
        (both,) = [
            c for c in vars(module).values() if isinstance(c, type) and c.__bases__[:-1] == tuple(bases)
        ]
        assert {"all_hosts_log", "a_all_hosts_log", "read"} <= set(dir(both))


def test_documentation_reaches_help_unchanged():
    doc = 'Say """hi""" \\n once; 漢字 \u202e.'
    schema = Schema("doc", Format.FBS, (Record("Told", RecordKind.TABLE, (), doc=doc),))
    with loaded(schema) as (module, _):
        assert module.Told.__doc__ == doc
