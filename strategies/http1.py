"""HTTP/1.1 messages as bytes (RFC 9112), and messages on whose length two parsers may disagree."""

from __future__ import annotations

import string
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

TOKEN: Final = string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~"
"""Characters of a token (RFC 9110, 5.6.2)."""
METHODS: Final = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE")
_FRAMING: Final = {"content-length", "transfer-encoding", "host", "connection", "trailer", "upgrade"}

tokens = st.text(TOKEN, min_size=1, max_size=16)
field_values = st.text(string.printable[:95], max_size=32).map(str.strip)
"""Visible characters and spaces, none at the ends."""
fields = st.lists(
    st.tuples(tokens.filter(lambda name: name.lower() not in _FRAMING), field_values), max_size=6
)
targets = st.text(string.ascii_letters + string.digits + "-._~/?=&%", max_size=24).map(lambda t: f"/{t}")
bodies = st.binary(max_size=64)


@dataclass(frozen=True)
class Message:
    """A message before it is written; `framing` says how a reader finds the end of the body."""

    start: str
    fields: tuple[tuple[str, str], ...]
    body: bytes
    framing: str

    def __bytes__(self) -> bytes:
        lines = [self.start, *(f"{name}: {value}" for name, value in self.fields)]
        if self.framing == "length":
            lines.append(f"Content-Length: {len(self.body)}")
        elif self.framing == "chunked":
            lines.append("Transfer-Encoding: chunked")
        body = _chunked(self.body) if self.framing == "chunked" else self.body
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _chunked(body: bytes, size: int = 10) -> bytes:
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [*parts, b""])


@st.composite
def messages(draw: st.DrawFn, starts: st.SearchStrategy[str]) -> Message:
    """Messages with a body whose length is known, or none."""
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    body = draw(bodies) if framing != "none" else b""
    return Message(draw(starts), (("Host", "a"), *draw(fields)), body, framing)


def requests() -> st.SearchStrategy[bytes]:
    """Requests that every server reads alike."""
    lines = st.tuples(st.sampled_from(METHODS[:7]), targets).map(lambda p: f"{p[0]} {p[1]} HTTP/1.1")
    return messages(lines).map(bytes)


def responses() -> st.SearchStrategy[bytes]:
    """Final responses that every client reads alike."""
    codes = st.integers(200, 599).filter(lambda code: code not in (204, 304))
    return messages(codes.map(lambda code: f"HTTP/1.1 {code} Reason")).map(bytes)


def pipelines() -> st.SearchStrategy[bytes]:
    """Requests one right after the other."""
    return st.lists(requests(), min_size=1, max_size=4).map(b"".join)


_DISPUTED: Final = (
    (b"Host: a\r\n", b"Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nTransfer-Encoding: xchunked\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nTransfer-Encoding : chunked\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nTransfer-Encoding: identity, chunked\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nContent-Length: +5\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nContent-Length: -1\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nContent-Length: 18446744073709551616\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nContent-Length: 0x10\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nX: a\r\n\tfolded\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nX: a\0b\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nX: a\rb\r\n"),
    (b"Host: a\r\n", b"Host: a\r\n: no name\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nno colon\r\n"),
    (b"Host: a\r\n", b"Host: a\r\nHost: b\r\n"),
    (b"Host: a\r\n", b""),
    (b"Host: a\r\n", b"Host: a\n"),
    (b"Host: a\r\n", b"Host: a\r\nX: " + b"y" * 70_000 + b"\r\n"),
    (b"Host: a\r\n", b"Host: a\r\n" + b"X: y\r\n" * 2000),
    (b" HTTP/1.1\r\n", b" HTTP/1.1 HTTP/1.1\r\n"),
    (b" HTTP/1.1\r\n", b" HTTP/1.01\r\n"),
    (b" HTTP/1.1\r\n", b" HTTP/9.9\r\n"),
    (b" HTTP/1.1\r\n", b"\r\n"),
    (b" HTTP/1.1\r\n", b"\tHTTP/1.1\r\n"),
)
_DISPUTED_CHUNKS: Final = (
    b"5\r\nabcdefg\r\n0\r\n\r\n",
    b"ffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    b"10000000000000005\r\nabcde\r\n0\r\n\r\n",
    b"-1\r\nabc\r\n0\r\n\r\n",
    b"0x5\r\nabcde\r\n0\r\n\r\n",
    b"5 \r\nabcde\r\n0\r\n\r\n",
    b'5;a="\r\n"\r\nabcde\r\n0\r\n\r\n',
    b"5\nabcde\n0\n\n",
    b"5\r\nabcde0\r\n\r\n",
    b"0\r\nContent-Length: 9\r\n\r\n",
    b"\r\n0\r\n\r\n",
)


@st.composite
def hostile_requests(draw: st.DrawFn) -> bytes:
    """Requests with one place that parsers read differently, or should refuse; another request follows."""
    lines = st.tuples(st.sampled_from(METHODS), targets).map(lambda p: f"{p[0]} {p[1]} HTTP/1.1")
    follower = draw(requests())
    if draw(st.booleans()):
        head = draw(lines)
        body = draw(st.sampled_from(_DISPUTED_CHUNKS))
        return f"{head}\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + body + follower
    old, new = draw(st.sampled_from(_DISPUTED))
    return bytes(draw(messages(lines))).replace(old, new, 1) + follower
