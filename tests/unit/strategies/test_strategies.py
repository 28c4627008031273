"""Valid values round-trip and shrink well, near misses miss in the place that they name, damage is damage."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1] / "generate"))
from schema_strategies import schemas

from hlfuzz.bindings import Interface
from hlfuzz.bindings.strategies import Bounds, arguments, hostile_bytes, near_valid, results, valid
from hlfuzz.bindings.strategies.heights import heights
from hlfuzz.errors import UsageError
from hlfuzz.schema.ir import Format, Record, RecordKind, Schema
from hlfuzz.schema.load import load
from hlfuzz.schema.wire.base import MAX_DEPTH, Rule

FBS = """
namespace net;
enum Color : ubyte { RED = 1, BLUE = 5 }
enum Flags : ushort (bit_flags) { A, B, C = 5 }
struct P { x: float; c: [ubyte:3]; k: Flags; long: [short:500]; }
table Header { name: string (required); value: [ubyte]; }
table Text { s: string; }
union Body { Text, Request, P }
table Request {
  name: string = ""; n: int = 7; headers: [Header]; c: Color = BLUE; body: Body; d: double = null; v: [uint];
  f: Flags; p: P; bodies: [Body]; cs: [Color]; nest: [ubyte] (nested_flatbuffer: "Header");
}
table Chain { next: Link (required); }
table Link { last: Header (required); }
table Endless { self: Endless (required); }
table Without { none: [Endless]; n: int; one: Endless; }
"""
PROTO = """
syntax = "proto2";
package net;
enum Color { RED = 1; BLUE = 5; }
message Header { required string name = 1; optional bytes value = 2; }
message Request {
  optional string name = 1; optional int32 n = 2; repeated Header headers = 3; optional Color c = 4;
  oneof body { string text = 5; Request inner = 6; Color color = 10; }
  map<string, Header> m = 7; optional double d = 8; repeated fixed32 v = 9 [packed = true];
}
message Endless { required Endless self = 1; }
message Without {
  repeated Endless none = 1; map<int32, Endless> m = 2; optional int32 n = 3; optional Endless one = 4;
}
"""
QUICK = settings(max_examples=5000, database=None, phases=[Phase.generate, Phase.shrink])
CALM = settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module", params=["fbs", "proto"])
def interface(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Interface:
    path = tmp_path_factory.mktemp("schema") / f"net.{request.param}"
    path.write_text(FBS if request.param == "fbs" else PROTO)
    return Interface(load(path))


def smallest(strategy: st.SearchStrategy[Any], condition: Any) -> Any:
    return find(strategy, condition, settings=QUICK)


def test_a_valid_value_is_the_same_after_its_encoding(interface: Interface):
    @CALM
    @given(st.data())
    def check(data: st.DataObject) -> None:
        for name in ("net.Request", "net.Header"):
            value = data.draw(valid(interface, name))
            assert interface.codec.decode(name, interface.codec.encode(name, value)) == value

    check()


def test_every_alternative_comes_up(interface: Interface):
    seen: Counter[str] = Counter()

    @settings(CALM, max_examples=300, derandomize=True)
    @given(valid(interface, "net.Request"))
    def look(value: Any) -> None:
        for name in value.__slots__:
            seen[name] += getattr(value, name) not in (None, "", b"", [], {})
        if value.body is not None:
            seen[type(value.body).__name__] += 1

    look()
    assert min(seen.values()) > 0, seen


@pytest.mark.parametrize(
    ("condition", "fields"),
    [
        (lambda r: "x" in (r.name or ""), {"name": "x"}),
        (lambda r: r.n not in (0, None, 7), {"n": 1}),
        (lambda r: len(r.v) > 2, {"v": [0, 0, 0]}),
        (lambda r: any(v > 1000 for v in r.v), {"v": [1001]}),
        (lambda r: r.d is not None, {"d": 0.0}),
        (lambda r: True, {}),
    ],
    ids=["text", "number", "vector", "element", "optional", "nothing"],
)
def test_examples_shrink_to_what_matters(interface: Interface, condition: Any, fields: dict[str, Any]):
    cls = interface.classes.definitions["net.Request"]
    found = smallest(valid(interface, "net.Request"), condition)
    assert found == cls(**fields)


def test_a_record_in_a_vector_shrinks_to_its_required_fields(interface: Interface):
    header = interface.classes.definitions["net.Header"]
    found = smallest(valid(interface, "net.Request"), lambda r: bool(r.headers))
    assert found == interface.classes.definitions["net.Request"](headers=[header(name="")])


def test_a_recursive_value_shrinks_level_by_level(interface: Interface):
    request = interface.classes.definitions["net.Request"]

    def inner(value: Any) -> Any:
        return value.body.value if value.body is not None and isinstance(value.body.value, request) else None

    found = smallest(
        valid(interface, "net.Request", max_length=1, max_text=2, max_depth=3),
        lambda r: inner(r) is not None and inner(inner(r)) is not None,
    )
    level = type(found.body)
    assert found == request(body=level(request(body=level(request()))))


def depth(value: Any, request: type[Any]) -> int:
    held = value.body.value if value.body is not None else None
    return 1 + (depth(held, request) if isinstance(held, request) else 0)


@pytest.mark.parametrize("most", [1, 2, 6])
def test_values_are_no_deeper_longer_or_larger_than_their_bounds(interface: Interface, most: int):
    request = interface.classes.definitions["net.Request"]

    @settings(CALM, max_examples=30)
    @given(valid(interface, "net.Request", max_depth=most, max_length=2, max_text=3, max_bytes=4))
    def check(value: Any) -> None:
        assert depth(value, request) <= most
        assert len(value.headers) <= (0 if most == 1 else 2)
        assert len(value.v) <= 2
        assert len(value.name or "") <= 3
        assert all(len(h.value or b"") <= 4 for h in value.headers)

    check()


@pytest.mark.parametrize(
    "bounds",
    [{"max_depth": 0}, {"max_depth": 17}, {"max_length": -1}, {"max_text": 1 << 20}, {"max_bytes": "x"}],
)
def test_bounds_out_of_range_are_refused(bounds: dict[str, Any]):
    with pytest.raises(UsageError, match="out of range"):
        Bounds(**bounds)


def test_a_type_that_requires_itself_is_refused(interface: Interface):
    with pytest.raises(UsageError, match="requires itself"):
        valid(interface, "net.Endless")


def test_what_would_hold_a_type_without_values_stays_empty(interface: Interface):
    found = smallest(valid(interface, "net.Without"), lambda w: (w.n or 0) > 2)
    assert found.none == []
    assert found.one is None


def test_unknown_types_are_refused_with_a_suggestion(interface: Interface):
    with pytest.raises(UsageError, match=r"did you mean 'net\.Request'"):
        valid(interface, "net.Requst")
    with pytest.raises(UsageError, match="no table or message"):
        near_valid(interface, int)


def test_the_strategy_of_a_type_is_made_once(interface: Interface):
    assert valid(interface, "net.Request") is valid(interface, "net.Request")


def test_the_text_of_a_strategy_is_short(interface: Interface):
    assert len(repr(valid(interface, "net.Request", max_depth=16))) < 200
    assert len(repr(hostile_bytes(interface, "net.Request"))) < 500


def near_misses(interface: Interface, name: str, count: int) -> list[tuple[str, Rule | None]]:
    found: list[tuple[str, Rule | None]] = []

    @settings(CALM, max_examples=count)
    @given(near_valid(interface, interface.classes.definitions[name]))
    def collect(near: Any) -> None:
        fault = interface.codec.verify(name, near.data)
        found.append((near.what, fault.rule if fault else None))
        if fault is not None and fault.path:
            assert near.what.startswith(fault.path.split("[")[0].split(".")[0])

    collect()
    return found


def test_a_near_miss_breaks_the_rule_that_it_names_and_no_other(interface: Interface):
    closed = interface.schema.format is Format.FBS  # Protobuf keeps unknown members apart
    kinds: Counter[str] = Counter()
    for what, rule in near_misses(interface, "net.Request", 150) + near_misses(interface, "net.Header", 60):
        if "no UTF-8" in what:
            kinds["text"] += 1
            # Protobuf 2 does not check text.
            assert rule is (Rule.UTF8 if interface.schema.format is Format.FBS else None), what
        elif "required and absent" in what:
            kinds["absent"] += 1
            assert rule is Rule.REQUIRED, what
        elif "no member" in what:
            kinds["member"] += 1
            assert rule is (Rule.ENUM if closed else None), what
        else:
            kinds["boundary" if "boundary" in what else "size"] += 1
            assert rule is None, what
    wanted = {"boundary", "size", "member", "absent"} | ({"text"} if closed else set())
    assert wanted <= kinds.keys(), kinds


def test_damage_reaches_many_rules_and_sometimes_none(interface: Interface):
    rules: Counter[Rule | None] = Counter()

    @settings(CALM, max_examples=250)
    @given(hostile_bytes(interface, "net.Request"))
    def look(data: bytes) -> None:
        fault = interface.codec.verify("net.Request", data)
        rules[fault.rule if fault else None] += 1
        if fault is None:
            interface.codec.decode("net.Request", data)

    look()
    some = (
        {Rule.BOUNDS, Rule.VTABLE, Rule.ALIGNMENT}
        if interface.schema.format is Format.FBS
        else {Rule.MALFORMED}
    )
    assert some < rules.keys(), rules
    assert None in rules, rules


def test_damage_shrinks_to_a_short_buffer(interface: Interface):
    found = smallest(
        hostile_bytes(interface, "net.Request", max_length=2, max_text=2, max_bytes=2, max_depth=2),
        lambda data: interface.codec.verify("net.Request", data) is not None,
    )
    assert len(found) <= 16


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(schemas((Format.FBS, Format.PROTO), nasty=False), st.data())
def test_any_schema_has_strategies_for_all_its_types(schema: Schema, data: st.DataObject):
    interface = Interface(schema)
    high = heights(schema)
    for definition in schema.definitions:
        if high[definition.name] > MAX_DEPTH:
            with pytest.raises(UsageError):
                valid(interface, definition.name)
            continue
        value = data.draw(valid(interface, definition.name, max_length=3, max_depth=2))
        if isinstance(definition, Record) and definition.kind is not RecordKind.STRUCT:
            codec = interface.codec
            again = codec.decode(definition.name, codec.encode(definition.name, value))
            # A default may be NaN, which equals nothing.
            assert again == value or repr(again) == repr(value)
            data.draw(near_valid(interface, definition.name, max_length=3, max_depth=2))
            data.draw(hostile_bytes(interface, definition.name, max_length=3, max_depth=2))


@settings(max_examples=25, deadline=None)
@given(schemas((Format.RAW,)), st.data())
def test_raw_methods_have_arguments_and_results_of_their_types(schema: Schema, data: st.DataObject):
    interface = Interface(schema)
    for service, method in schema.methods():
        given_ = data.draw(arguments(interface, service.name, method.name))
        assert len(given_) == sum(not p.out for p in method.parameters)
        got = data.draw(results(interface, service.name, method.name))
        assert len(got) == (len(method.results) if method.form == "none" else 1)
        assert isinstance(got[-1], bytes) if any(p.out for p in method.parameters) else True


def test_methods_of_unknown_services_are_refused(interface: Interface):
    with pytest.raises(UsageError, match="no service"):
        arguments(interface, "net.None", "on_data")
