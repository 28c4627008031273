"""TLS records and client hellos as bytes (RFC 8446, RFC 5246), and records whose lengths lie."""

from __future__ import annotations

import string
from itertools import pairwise
from typing import Final

from hypothesis import strategies as st

CHANGE_CIPHER_SPEC: Final = 20
ALERT: Final = 21
HANDSHAKE: Final = 22
APPLICATION_DATA: Final = 23
CLIENT_HELLO: Final = 1
MAX_CIPHERTEXT: Final = (1 << 14) + 2048
"""Bytes of a record in TLS 1.2; 1.3 allows fewer."""
_SUITES: Final = (0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0x009C)
_GREASE: Final = tuple(0x0A0A + 0x1010 * i for i in range(16))
"""Numbers that stand for nothing, to be ignored (RFC 8701)."""

labels = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=12)
host_names = st.lists(labels, min_size=2, max_size=4).map(".".join)
protocols = st.lists(st.sampled_from(["h2", "http/1.1", "spdy/3"]), min_size=1, max_size=3, unique=True)


def prefixed(width: int, data: bytes, lie: int = 0) -> bytes:
    """Bytes behind their length, big endian; `lie` is added to it, and the sum kept to its width."""
    return ((len(data) + lie) % (1 << 8 * width)).to_bytes(width, "big") + data


def extension(number: int, data: bytes) -> bytes:
    """An extension of a hello."""
    return number.to_bytes(2, "big") + prefixed(2, data)


def client_hello(name: str, suites: list[int], alpn: list[str], random: bytes, *, lie: int = 0) -> bytes:
    """A handshake message that offers TLS 1.3 and 1.2; `lie` is in the length of the server's name."""
    extensions = (
        extension(0, prefixed(2, b"\0" + prefixed(2, name.encode(), lie)))
        + extension(10, prefixed(2, b"\0\x1d\0\x17"))
        + extension(13, prefixed(2, b"\x04\x03\x08\x04\x04\x01"))
        + extension(16, prefixed(2, b"".join(prefixed(1, p.encode()) for p in alpn)))
        + extension(43, prefixed(1, b"\x03\x04\x03\x03"))
        + extension(51, prefixed(2, b"\0\x1d" + prefixed(2, bytes(range(32)))))
    )
    ciphers = b"".join(s.to_bytes(2, "big") for s in suites)
    body = b"\x03\x03" + random + prefixed(1, b"") + prefixed(2, ciphers) + prefixed(1, b"\0")
    return bytes([CLIENT_HELLO]) + prefixed(3, body + prefixed(2, extensions))


def record(kind: int, data: bytes, version: int = 0x0303, lie: int = 0) -> bytes:
    """A record; `lie` is added to its length."""
    return bytes([kind]) + version.to_bytes(2, "big") + prefixed(2, data, lie)


@st.composite
def client_hellos(draw: st.DrawFn, names: st.SearchStrategy[str] = host_names) -> bytes:
    """Hellos as handshake messages, without their record."""
    suites = draw(st.lists(st.sampled_from(_SUITES + _GREASE), max_size=8, unique=True))
    random = draw(st.binary(min_size=32, max_size=32))
    return client_hello(draw(names), [0x1301, 0xC02F, *suites], draw(protocols), random)


@st.composite
def in_records(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A handshake message in one or more records, cut anywhere."""
    message = draw(messages)
    cuts = sorted(draw(st.sets(st.integers(1, len(message) - 1), max_size=2)))
    return b"".join(record(HANDSHAKE, message[a:b], 0x0301) for a, b in pairwise([0, *cuts, len(message)]))


@st.composite
def connections(draw: st.DrawFn) -> bytes:
    """What a client sends: a hello, then records that nobody reads without keys."""
    kinds = st.sampled_from([APPLICATION_DATA, CHANGE_CIPHER_SPEC, ALERT])
    others = draw(st.lists(st.tuples(kinds, st.binary(min_size=1, max_size=48)), max_size=3))
    return draw(in_records(client_hellos())) + b"".join(record(kind, data) for kind, data in others)


@st.composite
def hostile_connections(draw: st.DrawFn) -> bytes:
    """A hello whose length lies, of an unknown kind or version, too long, too short, in too many pieces."""
    hello = draw(client_hellos())
    lie = draw(st.sampled_from([1, -1, 100, 0x3FFF, 0x4001, 0x8000, 0xFFFF]))
    choices = [
        record(HANDSHAKE, hello, lie=lie),
        record(HANDSHAKE, hello[:1] + prefixed(3, hello[4:], lie)),
        record(HANDSHAKE, client_hello("a.example", [0x1301], ["h2"], bytes(32), lie=lie)),
        record(HANDSHAKE, client_hello("a\0b.example", [0x1301], ["h2"], bytes(32))),
        record(HANDSHAKE, client_hello("a" * 4000, list(range(2000)), ["x" * 255], bytes(32))),
        record(HANDSHAKE, hello[:40]),
        record(HANDSHAKE, b"") * 100 + record(HANDSHAKE, hello),
        b"".join(record(HANDSHAKE, hello[i : i + 1]) for i in range(len(hello))),
        record(APPLICATION_DATA, bytes(MAX_CIPHERTEXT + 1)),
        record(99, hello),
        record(HANDSHAKE, hello, 0xFFFF),
        # A hello of SSL 2, which servers took for compatibility until not long ago.
        b"\x80\x2e\x01\0\x02\0\x15\0\0\0\x10" + bytes(37),
        record(ALERT, b"\x02"),
    ]
    return draw(st.sampled_from(choices))
