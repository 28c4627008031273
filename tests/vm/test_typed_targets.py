"""Targets with a schema and sequences of typed calls, on the example filters."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import wasmtime
from hypothesis import HealthCheck, find, given, settings

import hlfuzz
from hlfuzz.bindings import Interface, TypedGuest, client_of
from hlfuzz.invariants import Config, Target, describe_interface
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.observe import observation_text
from hlfuzz.invariants.sequences import Calls
from hlfuzz.invariants.strategies import call_sequences
from hlfuzz.invariants.typed import Refusal
from tests.needs import require_kvm

ROOT = Path(__file__).resolve().parents[2]
GUESTS = {"filter_fbs": "filter.fbs", "filter_proto": "filter.proto", "filter_raw": "filter.toml"}
SCHEMAS = {name: Interface.load(ROOT / "schemas" / file) for name, file in GUESTS.items()}
FBS: Any = SCHEMAS["filter_fbs"].classes.definitions
FilterGuest = client_of(SCHEMAS["filter_fbs"], "net.FilterGuest")


@pytest.fixture(scope="module")
def built() -> dict[str, Path]:
    require_kvm()
    pytest.importorskip("ziglang")
    sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    return build("typed-filter")


def opened(built: dict[str, Path], name: str, **options: Any) -> Target:
    guest = hlfuzz.Guest.load(built[name])
    interface = describe_interface(guest.info, Config())
    return Target(guest, interface, schema=SCHEMAS[name], **options)


@pytest.fixture(scope="module", params=GUESTS)
def target(built: dict[str, Path], request: pytest.FixtureRequest) -> Iterator[Target]:
    with opened(built, request.param) as made:
        yield made


@pytest.fixture(scope="module")
def fbs(built: dict[str, Path]) -> Iterator[Target]:
    with opened(built, "filter_fbs") as made:
        yield made


class Host:
    def log(self, entry: Any) -> Any:
        return FBS["net.Ack"]()

    def forward(self, sent: Any) -> Any:
        return FBS["net.Forwarded"](written=len(sent.bytes))

    def lookup(self, key: Any) -> Any:
        return FBS["net.Setting"](value="denied.example")


@pytest.fixture(scope="module")
def client(built: dict[str, Path]) -> Iterator[TypedGuest[Any]]:
    with FilterGuest.open(built["filter_fbs"], host=Host(), transport="exit") as guest:
        yield guest


def data(content: bytes, **fields: Any) -> tuple[str, Any]:
    return "on_data", FBS["net.Data"](bytes=content, **fields)


def test_only_the_methods_of_the_schema_are_called(target: Target) -> None:
    exports = {m.symbol for m in target.interface.typed.methods.values()}  # type: ignore[union-attr]
    assert {m.name for m in target.interface.methods} == exports
    assert [m.name.rpartition("on_")[2] for m in target.interface.methods if m.stateful] == ["close"]


def test_generated_calls_are_answered_by_the_guest_and_the_same_seed_makes_the_same(target: Target) -> None:
    def cases() -> list[Any]:
        generator = Generator(target.interface, Random(4))
        return [generator.sequence() for _ in range(12)]

    assert cases() == cases()
    seen = [o for case in cases() for o in target.session().sequence(case.calls)]
    assert all(isinstance(o.outcome, hlfuzz.Ok) for o in seen)
    answers = {v for o in seen for v in o.outcome.values}  # type: ignore[union-attr]
    assert len(answers) > 2


def test_a_secret_lies_in_a_field_and_both_variants_of_a_case_are_valid(target: Target) -> None:
    generator = Generator(target.interface, Random(9))
    typed = target.interface.typed
    assert typed is not None
    for _ in range(20):
        case = generator.tenants()
        assert case is not None
        assert case.secret is not None
        for calls, secret in zip(case.variants(), (case.secret.first, case.secret.second), strict=True):
            sender = calls[case.secret.call]
            arguments = typed.methods[sender.function].decode(sender)
            assert arguments is not None
            assert secret.decode() in str(arguments)


def test_a_seed_is_put_into_fields(built: dict[str, Path]) -> None:
    with opened(built, "filter_fbs", seeds=[b"GET /seed HTTP/1.1\r\n\r\n"]) as target:
        generator = Generator.of(target, Random(1))
        texts = [target.call_text(c) for _ in range(10) for c in generator.sequence().calls]  # type: ignore[union-attr]
    assert any("GET /seed" in t for t in texts)


def test_stand_ins_answer_the_same_request_alike_and_different_ones_not_all_alike(fbs: Target) -> None:
    addresses = [FBS["net.Address"](host=f"host {n}") for n in range(12)]
    connect = [
        Calls(fbs, ("on_new_connection", FBS["net.Connection"](peer=address))) for address in addresses
    ]
    once = [fbs.session().run(c.case()) for c in connect]
    with fbs.open() as other:
        assert [other.run(c.case()) for c in connect] == once
    forward = [Calls(fbs, data(b"GET /%d HTTP/1.1\r\n\r\n" % n)) for n in range(12)]
    assert all(fbs.session().run(c.case())[0].host_calls for c in forward)


def test_what_is_shown_are_typed_values(fbs: Target) -> None:
    calls = Calls(fbs, data(b"?", end_of_stream=True))
    assert fbs.call_text(calls[0].call) == "on_data(Data(bytes=b'?', end_of_stream=True))"
    (seen,) = fbs.session().run(calls.case())
    assert observation_text(seen) == (
        "returned Judgement(verdict=Verdict.REFUSE, reason='neither HTTP/1 nor TLS'); "
        "net.FilterHost.log(LogEntry(text='neither HTTP/1 nor TLS'))"
    )


def test_a_guest_of_another_schema_is_refused_by_the_first_difference(built: dict[str, Path]) -> None:
    guest = hlfuzz.Guest.load(built["filter_proto"])
    with pytest.raises(hlfuzz.LinkError, match=r"built for another interface .*fbs"):
        Target(guest, describe_interface(guest.info, Config()), schema=SCHEMAS["filter_fbs"])


def test_calls_give_the_same_in_a_sandbox_a_context_and_through_a_client(client: TypedGuest[Any]) -> None:
    calls = Calls(FilterGuest, data(b"GET / HTTP/1.1\r\n\r\n"), ("on_close", FBS["net.Closed"]()))
    judged, totals = calls.run(client)
    assert calls.run(client.sandbox) == [judged, totals]
    with client.context() as context:
        inside = calls.run(context)
        context.finish()
    assert inside[0] == judged
    assert [o.values[0].messages for o in (inside[1], totals)] == [1, 0]  # type: ignore[union-attr]


def test_an_error_of_the_interface_is_an_answer(client: TypedGuest[Any]) -> None:
    nobody = FBS["net.Connection"](peer=FBS["net.Address"](host=""))
    calls = Calls(FilterGuest, ("on_new_connection", nobody))
    assert calls.run(client) == [hlfuzz.Ok((Refusal(16, "a connection without a peer"),))]  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))  # type: ignore[arg-type]
@given(call_sequences(FilterGuest, max_calls=4))
def test_the_text_of_a_sequence_makes_the_sequence(client: TypedGuest[Any], calls: Calls) -> None:
    names = {c.__name__: c for c in FBS.values()} | {"FilterGuest": FilterGuest, "Calls": Calls}
    assert 1 <= len(calls) <= 4
    assert eval(repr(calls), names) == calls
    assert len(calls.run(client)) == len(calls)


def test_a_sequence_shrinks_to_the_calls_that_matter() -> None:
    def closes_after_data(calls: Calls) -> bool:
        texts = " ".join(calls.lines())
        return "on_close" in texts.partition("end_of_stream=True")[2]

    found = find(
        call_sequences(FilterGuest, max_calls=8), closes_after_data, settings=settings(database=None)
    )
    assert found.lines() == ["guest.on_data(Data(end_of_stream=True))", "guest.on_close(Closed())"]


def test_sequences_of_a_module_without_schema_use_its_exports() -> None:
    add = '(func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))'
    guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm(f"(module {add})")))
    found = find(call_sequences(guest), lambda calls: len(calls) > 1, settings=settings(database=None))
    assert repr(found) == "Calls(guest, ('add', 0, 0), ('add', 0, 0))"
    with hlfuzz.Sandbox(guest, engine="inprocess") as box:
        assert found.run(box) == [hlfuzz.Ok((0,)), hlfuzz.Ok((0,))]


def test_what_is_no_source_of_calls_is_refused() -> None:
    with pytest.raises(hlfuzz.UsageError, match=r"int has no interface .* generated client class"):
        call_sequences(int)  # type: ignore[arg-type]
    with pytest.raises(hlfuzz.UsageError, match="max_calls of 1 or more"):
        call_sequences(FilterGuest, max_calls=0)
    with pytest.raises(hlfuzz.UsageError, match="did you mean 'on_data'"):
        Calls(FilterGuest, ("on_date",))
