"""The native examples, and that a native guest of one source answers as its Wasm build does."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from native_guests import COMPILERS, examples
from needs import missing

from hlfuzz import Caller, Guest, Sandbox
from hlfuzz.bindings.client import client_of
from hlfuzz.bindings.interface import Interface
from hlfuzz.errors import GuestError, GuestTrap, LinkError

pytestmark = pytest.mark.programs("gcc", "g++")

ROOT = Path(__file__).resolve().parents[2]
HTTP = b"GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
TLS = b"\x16\x03\x01\x00\x02ab"


@pytest.fixture(params=COMPILERS)
def native(request: pytest.FixtureRequest) -> Mapping[str, Path]:
    return examples(request.param)


@pytest.fixture(scope="module")
def wasm() -> Mapping[str, Path]:
    if importlib.util.find_spec("ziglang") is None:
        missing("the C guests need ziglang: pip install ziglang")
    from build import build

    return build("typed-filter")


def test_the_c_example_judges_a_connection(native: Mapping[str, Path]) -> None:
    written: list[bytes] = []

    def write(caller: Caller, at: int, length: int) -> None:
        written.append(caller.read(at, length))

    with Sandbox(Guest.from_elf(native["native_filter"]), {"env.write": write}, transport="exit") as box:
        assert box.call("on_data", HTTP) == 1
        assert box.call("on_data", TLS * 3) == 2
        assert box.call("on_data", TLS[:4]) == box.call("on_data", b"") == box.call("on_data", HTTP[:20]) == 0
        assert [box.call("on_data", data) for data in (b"\xff" * 9, b"\x16\x04abc", b"a(b")] == [-1] * 3
        with box.context() as context:
            context.call("on_new_connection")
            verdicts = [context.call("on_data", data) for data in (HTTP, TLS, b" ", b"\x17\x09" * 4)]
            assert verdicts == [1, 2, -1, -1]
            packed = context.call("summary")
            assert isinstance(packed, int)
            counted = context.read(packed >> 32, packed & 0xFFFF_FFFF)
            assert struct.unpack("<3I", counted) == (len(HTTP) + len(TLS), 2, 2)
            context.finish()
    assert written == [HTTP, TLS * 3, HTTP, TLS]


def test_the_cpp_example_weighs_what_it_sees(native: Mapping[str, Path]) -> None:
    alerts: list[tuple[float, bytes]] = []

    def alert(caller: Caller, mean: float, at: int, length: int) -> int:
        alerts.append((mean, caller.read(at, length)))
        return 1

    with Sandbox(Guest.from_elf(native["native_filter_cpp"]), {"env.alert": alert}, transport="exit") as box:
        assert box.call("on_data", b"plain") == 1.0
        with box.context() as context:
            assert context.call("on_data", b"a\xff") == 1.5
            assert context.call("on_data", b"\xff\xff") == 1.5, "refused, so not counted"
            context.finish()
    assert alerts == [(1.75, b"heavy")]


class Host:
    """The proxy. What it hears and answers depends on the request only."""

    def __init__(self, interface: Interface) -> None:
        self.types = interface.classes.definitions
        self.heard: list[tuple[str, Any]] = []

    def log(self, request: Any) -> Any:
        self.heard.append(("log", request.text))
        return self.types["net.Ack"]()

    def forward(self, request: Any) -> Any:
        self.heard.append(("forward", request.bytes))
        if len(request.bytes) % 5 == 4:
            raise ValueError("no room: déjà vu")
        return self.types["net.Forwarded"](written=len(request.bytes))

    def lookup(self, request: Any) -> Any:
        self.heard.append(("lookup", request.name))
        return self.types["net.Setting"](value="evil.example")


def conversation(interface: Interface, guest: Path, seed: int) -> list[Any]:
    """What a guest answers, and asks its host, in the calls of a seed: singly and in contexts."""
    random, host = Random(seed), Host(interface)
    t, said = host.types, list[Any]()

    def data() -> bytes:
        kind = random.randrange(4)
        if kind == 0:
            return HTTP[: random.randrange(len(HTTP) + 1)] + random.randbytes(random.randrange(4))
        if kind == 1:
            return (TLS * random.randrange(1, 4))[: random.randrange(30)]
        return random.randbytes(random.randrange(3000)) if kind == 2 else HTTP

    def ask(target: Any, method: str, request: Any) -> None:
        try:
            said.append(target.invoke(method, request))
        except GuestError as error:
            said.append((error.code, str(error)))

    with client_of(interface, "net.FilterGuest").open(guest, host=host) as client:
        for _ in range(6):
            with client.context() as context:
                name = random.choice(["good.example", "evil.example", "", "ü" * random.randrange(200)])
                peer = t["net.Address"](host=name)
                ask(context, "on_new_connection", t["net.Connection"](id=1, peer=peer))
                for _ in range(random.randrange(6)):
                    ask(context, "on_data", t["net.Data"](connection=1, bytes=data()))
                ask(context, "on_close", t["net.Closed"](connection=1))
                context.finish()
            ask(client, "on_data", t["net.Data"](connection=2, bytes=data(), end_of_stream=True))
            ask(client, "on_close", t["net.Closed"](connection=2))
    return [*said, host.heard]


@pytest.mark.parametrize(
    ("compiler", "name"),
    [("gcc", "filter_fbs"), ("gcc", "filter_proto"), ("gcc", "filter_cpp"), ("zig", "filter_fbs")],
)
def test_native_and_wasm_builds_of_one_source_answer_alike(
    compiler: str, name: str, wasm: Mapping[str, Path]
) -> None:
    native = examples(compiler)
    interface = Interface.load(
        ROOT / "schemas" / ("filter.proto" if name == "filter_proto" else "filter.fbs")
    )
    for seed in range(2):
        answers = conversation(interface, native[name], seed)
        assert answers == conversation(interface, wasm[name], seed)
        assert {kind for kind, _ in answers[-1]} >= {"forward", "lookup"}


def test_native_and_wasm_builds_say_the_same_about_damaged_requests(wasm: Mapping[str, Path]) -> None:
    native = examples("gcc")
    interface, random = Interface.load(ROOT / "schemas" / "bench.fbs"), Random(7)
    value = interface.classes.definitions["bench.EchoTable10"](id=1, name="n" * 20, payload=b"p" * 30)
    good = interface.codec.encode("bench.EchoTable10", value)
    statuses: set[int] = set()
    with (
        Sandbox(Guest.from_elf(native["bench"]), transport="exit") as one,
        Sandbox(Guest.from_wasm(wasm["bench"]), transport="exit") as two,
    ):
        for _ in range(150):
            data = bytearray(good)
            data[random.randrange(len(data))] = random.choice((0, 1, 127, 255))
            records = [
                box.call_bytes("bench_BenchGuest_Echo", bytes(data), result="packed") for box in (one, two)
            ]
            assert records[0] == records[1]
            assert isinstance(records[0], bytes)
            statuses.add(records[0][0])
    assert statuses == {0, 2}


def test_the_raw_interface_is_the_same_natively(wasm: Mapping[str, Path]) -> None:
    native = examples("gcc")
    interface = Interface.load(ROOT / "schemas" / "filter.toml")
    heard: list[Any] = []

    class RawHost:
        def log(self, level: int, text: bytes) -> None:
            heard.append((level, text))

        def forward(self, data: bytes) -> int:
            heard.append(data)
            return len(data) | 1 << 31

    service = next(s.name for s, m in interface.schema.methods() if m.name == "on_data")
    said: list[Any] = []
    for guest in (native["filter_raw"], wasm["filter_raw"]):
        heard.clear()
        with client_of(interface, service).open(guest, host=RawHost()) as client, client.context() as ctx:
            answers = [ctx.invoke("on_new_connection", 1 << 63, b"peer", 80), ctx.invoke("on_data", HTTP)]
            answers += [
                ctx.invoke("on_data", b"\xff" * 9),
                ctx.invoke("summary", TLS),
                ctx.invoke("on_close"),
            ]
            ctx.finish()
        said.append([*answers, *heard])
    assert said[0] == said[1]
    assert said[0][:5] == [1, 1, -1, b"TLS record", len(HTTP) | 1 << 31]


def test_a_native_guest_of_another_interface_is_refused_by_name(native: Mapping[str, Path]) -> None:
    interface = Interface.load(ROOT / "schemas" / "bench.fbs")
    with pytest.raises(LinkError, match="built for another interface"):
        client_of(interface, "bench.BenchGuest").open(native["filter_fbs"])


def test_a_host_function_that_the_guest_does_not_call_is_not_asked_for() -> None:
    guests = examples("gcc")
    assert {i.name for i in Guest.from_elf(guests["filter_cpp"]).info.imports} == {"forward", "lookup"}


def test_a_request_at_a_wrong_address_is_the_guests_fault() -> None:
    with Sandbox(Guest.from_elf(examples("gcc")["bench"]), transport="exit") as box:
        for address, name in ((16, "the null page"), (0x1000, "supervisor pages")):
            with pytest.raises(GuestTrap, match=name):
                box.call("bench_BenchGuest_Echo", address, 100)
