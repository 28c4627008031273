"""Generated C and C++ in a real micro-VM: typed calls both ways, errors both ways, memory given back."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from needs import missing

from hlfuzz import Guest, Limits, Sandbox
from hlfuzz.bindings.client import TypedGuest, client_of
from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.strategies import valid
from hlfuzz.errors import GuestError, LinkError

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))
HTTP = b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
TLS = b"\x16\x03\x01\x00\x02ab"
TABLE = "bench.EchoTable10"


@pytest.fixture(scope="module")
def guests() -> dict[str, Path]:
    """The guests of examples/typed-filter, compiled."""
    if importlib.util.find_spec("ziglang") is None:
        missing("the C guests need ziglang: pip install ziglang")
    from build import build

    return build("typed-filter")


class Host:
    """The proxy: what it was told, what it forwarded, and one setting."""

    def __init__(self, interface: Interface) -> None:
        self.types = interface.classes.definitions
        self.logged: list[str] = []
        self.forwarded: list[bytes] = []

    def log(self, request: Any) -> Any:
        self.logged.append(request.text)
        return self.types["net.Ack"]()

    def forward(self, request: Any) -> Any:
        self.forwarded.append(request.bytes)
        return self.types["net.Forwarded"](written=len(request.bytes))

    def lookup(self, request: Any) -> Any:
        assert request.name == "deny"
        return self.types["net.Setting"](value="evil.example")


class Failing(Host):
    def lookup(self, request: Any) -> Any:
        raise KeyError("no such setting: déjà vu")


def filter_of(name: str) -> Interface:
    return Interface.load(ROOT / "schemas" / ("filter.proto" if name == "filter_proto" else "filter.fbs"))


def open_filter(guests: dict[str, Path], name: str, host: type[Host] = Host) -> tuple[TypedGuest[Any], Any]:
    interface = filter_of(name)
    made = host(interface)
    return client_of(interface, "net.FilterGuest").open(guests[name], host=made), made


@pytest.fixture(params=["filter_fbs", "filter_proto", "filter_cpp"])
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_a_connection_is_judged_in_every_language_alike(guests: dict[str, Path], name: str) -> None:
    client, host = open_filter(guests, name)
    t = host.types
    with client, client.context() as ctx:
        peer = t["net.Address"](host="good.example", port=80)
        accepted = ctx.invoke("on_new_connection", t["net.Connection"](id=7, peer=peer))
        assert accepted.verdict.name == "FORWARD"
        tls = ctx.invoke("on_data", t["net.Data"](connection=7, bytes=TLS + b"more"))
        assert (tls.verdict.name, tls.consumed) == ("FORWARD", len(TLS))
        assert (tls.body.value.records, tls.body.value.handshake) == (1, True)
        assert ctx.invoke("on_data", t["net.Data"](bytes=b"\x16\x03")).verdict.name == "WAIT"
        refused = ctx.invoke("on_data", t["net.Data"](bytes=b"\xff" * 9))
        assert (refused.verdict.name, refused.body) == ("REFUSE", None)
        totals = ctx.invoke("on_close", t["net.Closed"](connection=7))
        assert (totals.bytes, totals.messages, totals.refused) == (len(TLS), 1, 1)
        ctx.finish()
        # Nothing of the connection is left.
        assert client.invoke("on_close", t["net.Closed"](connection=7)).bytes == 0
    assert host.forwarded == [TLS]


@pytest.mark.parametrize("name", ["filter_fbs", "filter_proto"])
def test_a_request_is_taken_apart(guests: dict[str, Path], name: str) -> None:
    client, host = open_filter(guests, name)
    with client:
        found = client.invoke("on_data", host.types["net.Data"](bytes=HTTP + b"abc"))
        head = found.body.value
        assert (head.method, head.target, head.minor_version, head.content_length) == ("GET", "/x", 1, 3)
        assert [(h.name, h.value) for h in head.headers] == [("Host", "a"), ("Content-Length", "3")]
        assert (
            client.invoke("on_data", host.types["net.Data"](bytes=b"GET / HTTP/1.1\r\nx")).verdict.name
            == "WAIT"
        )
        bad = client.invoke("on_data", host.types["net.Data"](bytes=b"GET / HTTP/9\r\n\r\n"))
        assert bad.reason == "malformed HTTP/1"
    assert host.forwarded == [HTTP]
    assert host.logged == ["malformed HTTP/1"]


def test_a_host_function_that_raises_reaches_the_guest_and_comes_back_as_its_error(
    guests: dict[str, Path], name: str
) -> None:
    client, host = open_filter(guests, name, Failing)
    peer = host.types["net.Address"](host="good.example")
    with client:
        with pytest.raises(GuestError, match="no such setting: déjà vu") as caught:
            client.invoke("on_new_connection", host.types["net.Connection"](peer=peer))
        assert caught.value.code == 1
        assert isinstance(caught.value.__cause__, KeyError)
        assert client.invoke("on_data", host.types["net.Data"](bytes=TLS)).consumed == len(TLS)


def test_an_error_of_the_guest_has_its_code_and_text(guests: dict[str, Path]) -> None:
    client, host = open_filter(guests, "filter_proto")
    with client, pytest.raises(GuestError, match="a connection without a peer") as caught:
        client.invoke("on_new_connection", host.types["net.Connection"]())
    assert caught.value.code == 16


def test_any_value_of_the_echoed_table_comes_back(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")

    @settings(max_examples=100, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(valid(interface, TABLE))
    def check(value: Any) -> None:
        found = client.invoke("Echo", value)
        assert interface.codec.encode(TABLE, found) == interface.codec.encode(TABLE, value)

    with client_of(interface, "bench.BenchGuest").open(guests["bench"]) as client:
        check()


def test_a_damaged_request_is_refused_by_status_and_text(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")
    random, codec = Random(5), interface.codec
    value = interface.classes.definitions[TABLE](id=1, name="n" * 20, payload=b"p" * 30, codes=[1, 2])
    good = codec.encode(TABLE, value)
    verdicts: set[int] = set()
    with Sandbox(Guest.from_wasm(guests["bench"])) as box:
        for _ in range(300):
            data = bytearray(good)
            data[random.randrange(len(data))] = random.choice((0, 1, 127, 255))
            record = box.call_bytes("bench_BenchGuest_Echo", bytes(data), result="packed")
            assert isinstance(record, bytes)
            status = int.from_bytes(record[:4], "little")
            assert (status == 0) == (codec.verify(TABLE, bytes(data)) is None)
            assert status == 0 or record[8:].startswith(b"bench.EchoTable10")
            verdicts.add(status)
    assert verdicts == {0, 2}


def test_a_long_context_needs_no_more_memory_than_one_call(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")
    guest = Guest.from_wasm(guests["bench"], limits=Limits(memory_bytes=1 << 20))
    payload = interface.classes.definitions["bench.Blob"](bytes=b"x" * 100_000)
    with client_of(interface, "bench.BenchGuest").open(guest) as client, client.context() as ctx:
        for _ in range(50):
            assert ctx.invoke("EchoBlob", payload) == payload
        ctx.finish()


def test_a_request_larger_than_the_guests_memory_is_its_error(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")
    guest = Guest.from_wasm(guests["bench"], limits=Limits(memory_bytes=1 << 20))
    blob = interface.classes.definitions["bench.Blob"]
    with client_of(interface, "bench.BenchGuest").open(guest) as client:
        with pytest.raises(GuestError) as caught:
            client.invoke("EchoBlob", blob(bytes=b"x" * 600_000))
        assert caught.value.code == 4
        assert client.invoke("EchoBlob", blob(bytes=b"x")) == blob(bytes=b"x")


def test_a_small_call_writes_to_few_pages(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")
    value = interface.classes.definitions[TABLE](id=1, name="n" * 20, payload=b"p" * 64, codes=[1, 2, 3])
    with client_of(interface, "bench.BenchGuest").open(guests["bench"]) as client:
        for _ in range(20):
            client.invoke("Echo", value)
        # Of the runtime in the VM, of the guest's stack, of its data and arena.
        assert client._box.stats().last_pages <= 4


def test_a_guest_of_another_interface_is_refused_by_name(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")
    with pytest.raises(LinkError, match="the module was built for another interface"):
        client_of(interface, "bench.BenchGuest").open(guests["filter_fbs"])


def test_the_raw_guest_works_by_its_generated_prototypes(guests: dict[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "filter.toml")
    forwarded: list[bytes] = []
    logged: list[tuple[int, bytes]] = []

    class RawHost:
        def log(self, level: int, text: bytes) -> None:
            logged.append((level, text))

        def forward(self, data: bytes) -> int:
            forwarded.append(data)
            return len(data)

    service = next(s.name for s, m in interface.schema.methods() if m.name == "on_data")
    with client_of(interface, service).open(guests["filter_raw"], host=RawHost()) as client:
        with client.context() as ctx:
            assert ctx.invoke("on_new_connection", 1, b"peer", 80) == 1
            assert ctx.invoke("on_data", HTTP) == 1
            assert ctx.invoke("on_data", TLS) == 2
            assert ctx.invoke("on_data", b"\xff" * 9) == -1
            assert ctx.invoke("summary", TLS) == b"TLS record"
            assert ctx.invoke("on_close") == len(HTTP) + len(TLS)
            ctx.finish()
        assert client.invoke("on_new_connection", 1, b"", 80) == -1
    assert forwarded == [HTTP, TLS]
    assert logged == [(1, b"neither HTTP/1 nor TLS")]
