"""The AssemblyScript example in every engine: a raw interface both ways, and the verdicts of the C guest."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from needs import missing

from hlfuzz import Guest, GuestError, LinkError, Sandbox
from hlfuzz.bindings import Interface, TypedGuest
from hlfuzz.bindings.raw import check_raw
from hlfuzz.schema.raw import parse

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
EXAMPLE = EXAMPLES / "assemblyscript-filter"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLE)]

HTTP = b"GET /a HTTP/1.1\r\nHost: example\r\nCookie:  a=b \r\nX-Empty:\r\n\r\n"
TLS = b"\x17\x03\x03\x00\x03abc"


class Host:
    """The other side: keeps what it is sent."""

    def __init__(self) -> None:
        self.forwarded: list[bytes] = []
        self.logged: list[tuple[int, bytes]] = []

    def forward(self, data: bytes) -> int:
        self.forwarded.append(data)
        return len(data)

    def log(self, level: int, text: bytes) -> None:
        self.logged.append((level, text))


class FilterGuest(TypedGuest[Host]):
    """The client as it is for a raw interface: one method for each function."""

    _interface = Interface.load(EXAMPLE / "filter.toml")
    _service = "FilterGuest"

    def on_new_connection(self, number: int, host: bytes, port: int) -> int:
        return self._call("on_new_connection", number, host, port)

    def on_data(self, data: bytes) -> int:
        return self._call("on_data", data)

    def summary(self, data: bytes) -> bytes:
        return self._call("summary", data)

    def on_close(self) -> int:
        return self._call("on_close")

    def header_value(self, head: bytes, name: str) -> bytes:
        return self._call("header_value", head, name)

    def redact(self, head: bytes) -> bytes:
        return self._call("redact", head)


@pytest.fixture(scope="module")
def wasm() -> bytes:
    """The compiled guest."""
    from build_assemblyscript import CompilerUnavailable, build

    try:
        return build().read_bytes()
    except CompilerUnavailable as error:
        missing(str(error))


@pytest.fixture
def open_filter(engine: str, wasm: bytes) -> Iterator[Callable[[Host], FilterGuest]]:
    opened: list[FilterGuest] = []

    def open_one(host: Host) -> FilterGuest:
        opened.append(FilterGuest.open(wasm, host=host, engine=engine))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()


def test_what_is_good_is_forwarded_and_the_rest_logged(open_filter: Callable[[Host], FilterGuest]) -> None:
    host = Host()
    client = open_filter(host)
    assert [client.on_data(d) for d in (HTTP, TLS, HTTP[:20], TLS[:6], b"junk")] == [1, 2, 0, 0, -1]
    assert host.forwarded == [HTTP, TLS]
    assert host.logged == [(1, b"refused 4 bytes")]


def test_text_goes_in_and_bytes_come_out_of_the_room_given(
    open_filter: Callable[[Host], FilterGuest],
) -> None:
    client = open_filter(Host())
    assert client.header_value(HTTP, "host") == b"example"
    assert client.header_value(HTTP, "COOKIE") == b"a=b"
    assert client.header_value(HTTP, "x-empty") == b""
    long = b"GET / HTTP/1.1\r\nA: " + b"x" * 1025 + b"\r\n\r\n"
    assert client.header_value(long.replace(b"x", b"", 1), "a") == b"x" * 1024
    for head, name, code in ((b"junk", "host", -1), (HTTP, "hosts", -2), (HTTP, "é", -2), (long, "a", -3)):
        with pytest.raises(GuestError) as caught:
            client.header_value(head, name)
        assert (caught.value.method, caught.value.code) == ("header_value", code)


def test_bytes_come_back_packed_and_in_place(open_filter: Callable[[Host], FilterGuest]) -> None:
    client = open_filter(Host())
    assert [client.summary(d) for d in (HTTP, TLS, b"GET ", b"")] == [
        b"HTTP/1 head",
        b"TLS records",
        b"more is needed",
        b"unknown",
    ]
    assert client.redact(HTTP) == HTTP.replace(b"a=b", b"***")
    assert client.redact(b"junk") == b"junk"
    assert client.redact(b"") == b""


def test_a_connection_lasts_as_long_as_its_context(open_filter: Callable[[Host], FilterGuest]) -> None:
    client = open_filter(Host())
    with client.context() as connection:
        assert connection.on_new_connection(2**64 - 1, b"example", 443) == 1
        assert [connection.on_data(HTTP), connection.on_data(TLS)] == [1, 2]
        assert connection.on_close() == len(HTTP + TLS)
        assert connection.on_new_connection(0, b"example", 65536) == -1
        assert connection.on_close() == 0
        connection.finish()
    assert client.on_data(HTTP) == 1
    assert client.on_close() == 0


def test_hundreds_of_calls_in_a_context_outlive_the_guests_collector(
    open_filter: Callable[[Host], FilterGuest],
) -> None:
    """What the host places is pinned: the guest's garbage collector must not take it during a call."""
    host = Host()
    with open_filter(host).context() as connection:
        for i in range(300):
            head = b"GET /%d HTTP/1.1\r\nHost: h%d\r\n\r\n" % (i, i) + bytes(i)
            assert connection.header_value(head, "HOST") == b"h%d" % i
            assert connection.summary(head) == b"HTTP/1 head"
        assert connection.on_data(HTTP) == 1
        connection.finish()
    assert host.forwarded == [HTTP]


def test_it_judges_as_the_c_guest_does(open_filter: Callable[[Host], FilterGuest], engine: str) -> None:
    if importlib.util.find_spec("ziglang") is None:
        missing("the C guest needs ziglang: pip install ziglang")
    from build import build

    guest = Guest.from_wasm(build("network-filter")["filter"])
    sent: list[int] = []
    client = open_filter(Host())
    with Sandbox(guest, {"env.write": lambda pointer, length: sent.append(length)}, engine=engine) as box:
        for data in _chunks():
            assert client.on_data(data) == box.call("on_data", data), data
    assert len(sent) > 20


def _chunks() -> Iterator[bytes]:
    hello = b"\x16\x03\x01\x00\x08\x01\x00\x00\x04abcd"
    wholes = [
        HTTP,
        TLS,
        hello,
        b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n",
        TLS + hello,
        b"",
        b"\r\n\r\n",
    ]
    for whole in wholes:
        for at in range(0, len(whole) + 1):
            yield whole[:at]
            for byte in (0, 13, 32, 58, 255):
                yield whole[:at] + bytes([byte]) + whole[at + 1 :]
    for length in (b"", b" ", b"1x", b"4294967295", b"268435455", b"00000000000000000000"):
        yield b"GET / HTTP/1.1\r\ncontent-LENGTH:" + length + b"\r\n\r\n"
    yield b"\x17\x03\x03\x48\x00" + bytes(18432)
    yield b"\x17\x03\x03\x48\x01" + bytes(18433)


def test_another_interface_is_refused_by_the_first_difference(wasm: bytes, tmp_path: Path) -> None:
    text = (EXAMPLE / "filter.toml").read_text().replace('"name: cstring"', '"name: bytes"')
    changed = tmp_path / "changed.toml"
    changed.write_text(text)

    with pytest.raises(LinkError, match="its export 'header_value' takes 5 parameters, not 6"):
        check_raw(parse(changed), Guest.from_wasm(wasm))


def test_it_fits_the_interface_that_guests_in_other_languages_share(wasm: bytes) -> None:
    shared, own = parse(ROOT / "schemas" / "filter.toml"), parse(EXAMPLE / "filter.toml")
    check_raw(shared, Guest.from_wasm(wasm))
    mine = {m.symbol: (m.parameters, m.results, m.form, m.stateful) for _, m in own.methods()}
    for _, method in shared.methods():
        parameters = [(p.name, p.type) for p in method.parameters]
        assert parameters == [(p.name, p.type) for p in mine[method.symbol][0]]
        assert (method.results, method.form, method.stateful) == mine[method.symbol][1:]
