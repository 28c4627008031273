"""Domain strategies make what their protocols say, read by code that is not theirs."""

from __future__ import annotations

import http.client
import io
import ssl
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from typer.testing import CliRunner

from hlfuzz.cli import app

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT))

from strategies import chunks, envoy, filter_hl, http1, http2, tls  # noqa: E402

CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


class Parser(BaseHTTPRequestHandler):
    """Python's own server, on bytes instead of a socket."""

    def __init__(self, data: bytes) -> None:
        self.rfile = io.BytesIO(data)
        self.raw_requestline = self.rfile.readline(65537)
        self.error: Any = None
        assert self.parse_request(), self.error

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.error = (code, message)


def read_body(headers: Any, stream: Any) -> bytes:
    if headers.get("Transfer-Encoding") != "chunked":
        return stream.read(int(headers.get("Content-Length", 0)))
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        assert stream.read(2) == b"\r\n"
    assert stream.readline() == b"\r\n"
    return body


@CALM
@given(http1.requests())
def test_a_server_reads_each_http1_request_to_its_end(data: bytes):
    parsed = Parser(data)
    assert parsed.command in http1.METHODS
    read_body(parsed.headers, parsed.rfile)
    assert parsed.rfile.read() == b""


class Socket:
    """As much of a socket as `HTTPResponse` asks for."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self.data)


@CALM
@given(http1.responses())
def test_a_client_reads_each_http1_response(data: bytes):
    response = http.client.HTTPResponse(Socket(data))  # type: ignore[arg-type]
    response.begin()
    assert 200 <= response.status <= 599


@CALM
@given(http1.hostile_requests())
def test_behind_a_hostile_http1_request_stands_another_one(data: bytes):
    starts = [data.rfind(f"{method} /".encode()) for method in http1.METHODS]
    follower = data[max(starts) :]
    assert 0 < len(follower) < len(data)
    Parser(follower)


def frames_of(data: bytes) -> list[tuple[int, int, int, bytes]]:
    assert data.startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    at = 24
    found: list[tuple[int, int, int, bytes]] = []
    while at < len(data):
        size = int.from_bytes(data[at : at + 3], "big")
        payload = data[at + 9 : at + 9 + size]
        assert len(payload) == size
        found.append((data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big"), payload))
        at += 9 + size
    return found


@CALM
@given(http2.streams())
def test_http2_connections_are_whole_frames_in_an_order_that_is_allowed(data: bytes):
    frames = frames_of(data)
    assert frames[0][0] == http2.Kind.SETTINGS
    assert len(frames[0][3]) % 6 == 0
    in_block: int | None = None
    last = 0
    for kind, flags, stream, payload in frames:
        assert len(payload) <= http2.MAX_FRAME
        assert (kind == http2.Kind.CONTINUATION) == (in_block is not None)
        if kind == http2.Kind.HEADERS:
            assert stream > last
            assert stream % 2
            last = stream
        if kind in (http2.Kind.HEADERS, http2.Kind.CONTINUATION):
            assert in_block in (None, stream)
            in_block = None if flags & http2.END_HEADERS else stream
        if kind == http2.Kind.PING:
            assert len(payload) == 8
    assert in_block is None


@pytest.mark.parametrize(("length", "coded"), [(10, b"\x0a"), (127, b"\x7f\x00"), (1337, b"\x7f\xba\x09")])
def test_header_strings_carry_their_length_as_hpack_integers(length: int, coded: bytes):
    assert http2.header_block([("", "x" * length)]) == b"\x00\x00" + coded + b"x" * length


def records_of(data: bytes) -> list[tuple[int, bytes]]:
    at = 0
    found: list[tuple[int, bytes]] = []
    while at < len(data):
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        found.append((data[at], data[at + 5 : at + 5 + size]))
        assert len(found[-1][1]) == size
        at += 5 + size
    return found


@CALM
@given(tls.in_records(tls.client_hellos()))
def test_openssl_reads_the_server_name_of_each_client_hello(data: bytes):
    seen: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = lambda _socket, name, _context: seen.append(name)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(data)
    # There is no certificate, and so the handshake fails, after the hello was read.
    with pytest.raises(ssl.SSLError):
        context.wrap_bio(incoming, outgoing, server_side=True).do_handshake()
    assert len(seen) == 1
    assert seen[0] is not None
    assert seen[0].encode() in b"".join(payload for _, payload in records_of(data))


@CALM
@given(tls.connections())
def test_tls_connections_are_whole_records_that_begin_with_a_hello(data: bytes):
    kind, payload = records_of(data)[0]
    assert (kind, payload[0]) == (tls.HANDSHAKE, tls.CLIENT_HELLO)


@CALM
@given(chunks.chunks(http1.pipelines()))
def test_pieces_are_the_whole_and_none_is_empty(pieces: list[bytes]):
    assert 1 <= len(pieces) <= 6
    assert all(pieces)
    stream = io.BytesIO(b"".join(pieces))
    while stream.tell() < len(stream.getvalue()):
        parsed = Parser(stream.getvalue()[stream.tell() :])
        read_body(parsed.headers, parsed.rfile)
        stream.seek(stream.tell() + parsed.rfile.tell())


@pytest.mark.parametrize("hostile", [False, True])
def test_each_connection_opens_first_and_closes_last(hostile: bool):
    codec = filter_hl.INTERFACE.codec

    @settings(CALM, max_examples=30)
    @given(envoy.traffic(hostile=hostile))
    def check(steps: list[envoy.Step]) -> None:
        lives: dict[int, list[envoy.Step]] = {}
        for step in steps:
            request = step.request
            number = request.id if isinstance(request, filter_hl.Connection) else request.connection
            lives.setdefault(number, []).append(step)
            assert hasattr(filter_hl.FilterGuest, step.method)
            name = f"net.{type(request).__name__}"
            assert codec.decode(name, codec.encode(name, request)) == request
        for life in lives.values():
            methods = [step.method for step in life]
            assert methods == ["on_new_connection", *["on_data"] * (len(life) - 2), "on_close"]
            ends = [s.request.end_of_stream for s in life if isinstance(s.request, filter_hl.Data)]
            assert not any(ends[:-1])

    check()


def test_the_generated_modules_are_those_of_the_schema():
    arguments = ["generate", str(ROOT / "schemas/filter.fbs"), "--out", str(ROOT / "strategies"), "--check"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
