"""HTTP/2 frames as bytes (RFC 9113), header blocks without compression (RFC 7541), frames against rules."""

from __future__ import annotations

import string
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise
from typing import Final

from hypothesis import strategies as st

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME: Final = 16_384
"""Bytes of a frame's payload that every peer takes (SETTINGS_MAX_FRAME_SIZE)."""
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20
_ENABLE_PUSH: Final = 2


class Kind(IntEnum):
    """Frame types (RFC 9113, 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


@dataclass(frozen=True)
class Frame:
    """A frame; `length` is what its head says, the payload's own length unless given."""

    kind: int
    flags: int
    stream: int
    payload: bytes = b""
    length: int | None = None

    def __bytes__(self) -> bytes:
        length = len(self.payload) if self.length is None else self.length
        head = length.to_bytes(3, "big") + bytes([self.kind, self.flags]) + self.stream.to_bytes(4, "big")
        return head + self.payload


names = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)
values = st.text(string.printable[:95], max_size=24).map(str.strip)


def header_block(fields: list[tuple[str, str]]) -> bytes:
    """Literal fields that are not indexed, neither name nor value Huffman-coded."""
    return b"".join(b"\x00" + _string(name) + _string(value) for name, value in fields)


def _string(text: str) -> bytes:
    data = text.encode("latin-1")
    return _integer(len(data), 7) + data


def _integer(value: int, bits: int) -> bytes:
    most = (1 << bits) - 1
    if value < most:
        return bytes([value])
    value -= most
    result = bytearray([most])
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


@st.composite
def exchanges(draw: st.DrawFn, stream: int) -> list[Frame]:
    """The frames of one request, its header block in one or more pieces."""
    fields = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "a")]
    block = header_block(fields + draw(st.lists(st.tuples(names, values), max_size=4)))
    cuts = sorted(draw(st.sets(st.integers(1, len(block) - 1), max_size=2)))
    pieces = [block[a:b] for a, b in pairwise([0, *cuts, len(block)])]
    body = draw(st.lists(st.binary(max_size=32), max_size=3))
    frames = [Frame(Kind.HEADERS, 0 if body else END_STREAM, stream, pieces[0])]
    frames += [Frame(Kind.CONTINUATION, 0, stream, piece) for piece in pieces[1:]]
    frames[-1] = replace(frames[-1], flags=frames[-1].flags | END_HEADERS)
    frames += [Frame(Kind.DATA, 0, stream, data) for data in body]
    if body:
        frames[-1] = replace(frames[-1], flags=END_STREAM)
    return frames


@st.composite
def connections(draw: st.DrawFn) -> list[Frame]:
    """What a client sends after the preface: settings, then requests on rising streams, and pings."""
    numbers = st.integers(1, 6).filter(lambda number: number != _ENABLE_PUSH)
    settings = draw(st.dictionaries(numbers, st.integers(MAX_FRAME, 0xFF_FFFF), max_size=3))
    pairs = (key.to_bytes(2, "big") + value.to_bytes(4, "big") for key, value in settings.items())
    frames = [Frame(Kind.SETTINGS, 0, 0, b"".join(pairs))]
    for i in range(draw(st.integers(0, 3))):
        frames += draw(exchanges(2 * i + 1))
        if draw(st.booleans()):
            frames.append(Frame(Kind.PING, 0, 0, draw(st.binary(min_size=8, max_size=8))))
    return frames


def written(frames: list[Frame]) -> bytes:
    """The bytes of a connection, preface first."""
    return PREFACE + b"".join(map(bytes, frames))


def streams() -> st.SearchStrategy[bytes]:
    """Connections as bytes."""
    return connections().map(written)


_HOSTILE: Final = (
    Frame(Kind.DATA, 0, 0, b"on no stream"),
    Frame(Kind.DATA, 0, 2, b"on a stream of the server"),
    Frame(Kind.DATA, PADDED, 1, b"\xffmore padding than payload"),
    Frame(Kind.DATA, 0, 1, b"", length=0xFF_FFFF),
    Frame(Kind.DATA, 0, 1, bytes(MAX_FRAME + 1)),
    Frame(Kind.HEADERS, END_HEADERS, 1, b"\x3f\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
    Frame(Kind.HEADERS, END_HEADERS, 1, b"\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"),
    Frame(Kind.HEADERS, END_HEADERS, 1, b"\x00\x7f\xff\xff\xff\x7fname"),
    Frame(Kind.HEADERS, END_HEADERS, 1, b"\x80"),
    Frame(Kind.HEADERS, END_HEADERS | PRIORITY, 1, b"\0\0"),
    Frame(Kind.HEADERS, END_HEADERS, 1, header_block([("Upper", "a"), (":path", "late"), ("a\0", "b\r\n")])),
    Frame(Kind.CONTINUATION, 0, 1, b""),
    Frame(Kind.PRIORITY, 0, 1, b"\0\0\0\x01\0"),
    Frame(Kind.RST_STREAM, 0, 1, b"\0\0\0"),
    Frame(Kind.RST_STREAM, 0, 0, b"\0\0\0\0"),
    Frame(Kind.SETTINGS, ACK, 0, b"\0\0\0\0\0\0"),
    Frame(Kind.SETTINGS, 0, 1),
    Frame(Kind.SETTINGS, 0, 0, b"\0\x04\xff\xff\xff\xff"),
    Frame(Kind.SETTINGS, 0, 0, b"\0\x05\0\0\0\x01"),
    Frame(Kind.SETTINGS, 0, 0, b"\0\x02\0\0\0\x02"),
    Frame(Kind.PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02"),
    Frame(Kind.PING, 0, 0, b"short"),
    Frame(Kind.GOAWAY, 0, 0, b"\0"),
    Frame(Kind.WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
    Frame(Kind.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"),
    Frame(0xFE, 0xFF, 0x7FFF_FFFF, b"of no known type"),
)


@st.composite
def hostile_streams(draw: st.DrawFn) -> bytes:
    """Connections with frames in them that break a rule, up to hundreds of one kind."""
    frames = draw(connections())
    at = draw(st.integers(0, len(frames)))
    count = draw(st.sampled_from([1, 2, 200]))
    return written([*frames[:at], *[draw(st.sampled_from(_HOSTILE))] * count, *frames[at:]])
