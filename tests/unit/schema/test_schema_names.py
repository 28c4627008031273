"""Python names of what a schema names: no two alike, none that Python or generated code owns, no bombs."""

from __future__ import annotations

import enum
import keyword
from dataclasses import make_dataclass

import pytest

from hlfuzz.schema.ir import (
    Direction,
    Enum,
    Format,
    Member,
    Method,
    Record,
    RecordKind,
    Scalar,
    Schema,
    Service,
)
from hlfuzz.schema.names import (
    CLIENT_RESERVED,
    class_names,
    client_method_names,
    host_method_names,
    member_names,
    service_names,
    snake_case,
    unique,
)


def tables(*names: str) -> Schema:
    return Schema("a", Format.FBS, tuple(Record(n, RecordKind.TABLE, ()) for n in names))


def service(name: str, direction: Direction, *methods: str) -> Service:
    return Service(name, direction, tuple(Method(m, direction, m, "A", "A") for m in methods))


@pytest.mark.parametrize(
    ("name", "snake"),
    [("OnData", "on_data"), ("HTTPHead", "http_head"), ("on_data", "on_data"), ("utf8Text", "utf8_text")],
)
def test_method_names_become_snake_case(name: str, snake: str):
    assert snake_case(name) == snake


@pytest.mark.parametrize(
    ("names", "classes"),
    [
        (["net.Request"], ["Request"]),
        (["a.Request", "b.Request"], ["ARequest", "BRequest"]),
        (["x.a.T", "y.a.T", "T"], ["XAT", "YAT", "T"]),
        (["exception", "none", "Protocol", "list"], ["Exception_", "None_", "Protocol", "List"]),
        (["_1", "A", "_A", "a"], ["T1", "A", "A_", "A_2"]),
    ],
)
def test_classes_have_the_shortest_names_that_differ(names: list[str], classes: list[str]):
    assert list(class_names(tables(*names)).values()) == classes


def test_many_names_that_are_alike_stay_short():
    names = [f"{'a' + '_' * i}.{'_' * j}T" for i in range(200) for j in range(100)]
    found = class_names(tables(*names))
    assert len(set(found.values())) == len(names)
    assert max(map(len, found.values())) < 20


def test_a_field_that_needs_no_change_keeps_its_name():
    assert unique(["class", "class_", "__x", "f__x"]) == ("class__", "class_", "f__x_", "f__x")


def test_methods_that_collide_after_conversion_keep_their_own_spelling():
    found = client_method_names(service("Guest", Direction.GUEST, "OnData", "on_data", "Other"))
    assert list(found.values()) == ["OnData", "on_data", "other"]


def test_a_client_method_is_neither_private_nor_what_clients_have_already():
    found = client_method_names(
        service("Guest", Direction.GUEST, "_start", "__init__", *sorted(CLIENT_RESERVED))
    )
    assert not any(name.startswith("_") or name in CLIENT_RESERVED for name in found.values())
    assert len(set(found.values())) == len(found)


def test_a_host_method_of_two_services_has_its_services_name():
    services = (
        service("net.FilterHost", Direction.HOST, "Log", "Read"),
        service("net.OtherHost", Direction.HOST, "log"),
    )
    found = host_method_names(Schema("a", Format.FBS, tables("A").definitions, services))
    assert list(found.values()) == ["filter_host_log", "read", "other_host_log"]


def test_services_and_their_async_clients_are_apart_from_types():
    schema = Schema(
        "a", Format.FBS, tables("Guest", "AsyncOther").definitions,
        (service("net.Guest", Direction.GUEST), service("Other", Direction.GUEST)),
    )  # fmt: skip
    assert list(service_names(schema).values()) == ["Guest_", "Other_"]


@pytest.mark.parametrize(
    "name", [*keyword.kwlist, "mro", "_x_", "__x", "_E__x", "name", "value", "real", "_", "__"]
)
def test_every_member_name_makes_a_member(name: str):
    found = member_names(Enum("E", Scalar.I32, (Member(name, 1), Member("plain", 2))))
    made = enum.IntEnum("E", {found[name]: 1, found["plain"]: 2})
    assert [m.value for m in made] == [1, 2]


@pytest.mark.parametrize("name", [*keyword.kwlist, "__slots__", "__init__", "__x", "self", "mro", "_"])
def test_every_field_name_makes_a_field(name: str):
    (found,) = unique([name], frozenset({"mro"}))
    assert getattr(make_dataclass("A", [(found, int, 7)], slots=True)(), found) == 7
