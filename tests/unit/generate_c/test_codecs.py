"""Generated C codecs against the host's own: same values, same verdicts, and no fault in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
from c_program import Native, Reply
from hypothesis import HealthCheck, given, settings

from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.strategies import valid

SCHEMAS = Path(__file__).parent / "schemas"
TYPES = (
    ("all.fbs", "net.v1.Msg"),
    ("all.fbs", "net.v1.Strict"),
    ("all.proto", "net.v3.Msg"),
    ("all.proto", "net.v3.Maps"),
    ("old.proto", "net.v2.Msg"),
)
EXAMPLES = 60
MUTATED = 3000
EDGES = (0, 1, 4, 8, 12, 127, 128, 2**31 - 1, 2**31, 2**32 - 4, 2**32 - 1)

Build = Callable[[str], Native]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The program for a schema, made once."""

    @cache
    def make(schema: str) -> Native:
        return Native(interface(schema).schema, tmp_path_factory.mktemp("native"))

    return make


@cache
def interface(schema: str) -> Interface:
    return Interface.load(SCHEMAS / schema)


@cache
def encodings(schema: str, name: str) -> tuple[bytes, ...]:
    """Encodings of many values of a type, always the same."""
    codec, found = interface(schema).codec, list[bytes]()

    @settings(
        max_examples=EXAMPLES,
        database=None,
        derandomize=True,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(valid(interface(schema), name))
    def collect(value: Any) -> None:
        found.append(codec.encode(name, value))

    collect()
    return tuple(found)


def mutated(random: Random, data: bytes) -> bytes:
    """One to four small changes."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        if not changed:
            break
        at = random.randrange(len(changed))
        match random.randrange(5):
            case 0:
                changed[at] ^= 1 << random.randrange(8)
            case 1:
                changed[at] = random.choice((0, 1, 2, 127, 128, 255))
            case 2:
                at &= ~3
                number = random.choice((*EDGES, len(changed), max(0, len(changed) - at)))
                changed[at : at + 4] = number.to_bytes(4, "little")
            case 3:
                del changed[at : at + random.randint(1, 8)]
            case _:
                changed[at:at] = changed[max(0, at - 8) : at]
    return bytes(changed)


@pytest.mark.parametrize(("schema", "name"), TYPES)
@pytest.mark.parametrize("shift", [0, 1])
def test_a_value_comes_back_as_it_was_from_any_address(
    build: Build, schema: str, name: str, shift: int
) -> None:
    codec, sent = interface(schema).codec, encodings(schema, name)
    for data, reply in zip(sent, build(schema).echo(name, sent, shift=shift), strict=True):
        assert reply.code == 0, reply.data
        assert codec.verify(name, reply.data) is None
        assert codec.encode(name, codec.decode(name, reply.data)) == data


@pytest.mark.parametrize(("schema", "name"), TYPES)
def test_damaged_bytes_get_the_verdict_of_the_host(build: Build, schema: str, name: str) -> None:
    random, codec = Random(1), interface(schema).codec
    good = encodings(schema, name)
    sent = [mutated(random, random.choice(good)) for _ in range(MUTATED)]
    accepted = 0
    for data, reply in zip(sent, build(schema).echo(name, sent, shift=4), strict=True):
        fault = codec.verify(name, data)
        if fault is not None and "nest" in fault.path:
            continue  # a guest decodes nested buffers when it wants to
        assert (fault is None) == (reply.code == 0), (fault, reply, data.hex())
        if fault is None:
            accepted += 1
            assert codec.verify(name, reply.data) is None
            assert _again(codec, name, reply.data) == _again(codec, name, data)
    assert accepted > 20


def _again(codec: Any, name: str, data: bytes) -> bytes:
    """One encoding for all that mean the same: a NaN does not equal itself."""
    return codec.encode(name, codec.decode(name, data))


@pytest.mark.parametrize(("schema", "name"), TYPES)
def test_too_little_memory_is_an_error_and_no_overrun(build: Build, schema: str, name: str) -> None:
    data = max(encodings(schema, name), key=len)
    enough = 1 << 20
    assert build(schema).echo(name, [data], arena=enough)[0].code == 0
    sizes = [0, 1, 15, 16, 17, 64, *range(100, 2000, 77)]
    replies = [build(schema).echo(name, [data], arena=size)[0] for size in sizes]
    assert {r.code for r in replies} <= {0, 4}
    assert replies[0] == Reply(4, b"out of guest memory")


def nested_fbs(depth: int) -> bytes:
    """A chain of `net.v1.Msg` by their field `child`."""
    found = interface("all.fbs")
    message: Any = found.classes.definitions["net.v1.Msg"]
    value = message(old="")
    for _ in range(depth - 1):
        value = message(old="", child=value)
    return found.codec.encode("net.v1.Msg", value)


def test_tables_nest_as_deep_as_on_the_host_and_no_deeper(build: Build) -> None:
    at_limit = nested_fbs(64)
    # One level more, by hand: the host does not encode it.
    chain = _deeper(at_limit)
    assert interface("all.fbs").codec.verify("net.v1.Msg", chain) is not None
    found = build("all.fbs").echo("net.v1.Msg", [at_limit, chain])
    assert found[0].code == 0
    assert found[1].code == 2
    assert b"too deep" in found[1].data


def _deeper(data: bytes) -> bytes:
    """The buffer inside one more table: a root offset, a vtable and a table with a child go in front."""
    child_slot = 2 * next(
        f.id for f in interface("all.fbs").schema.record("net.v1.Msg").fields if f.name == "child"
    )
    vtable = struct.pack("<HH", 6 + child_slot, 8) + bytes(child_slot) + struct.pack("<H", 4)
    vtable += bytes(-len(vtable) % 8)
    table_at = 8 + len(vtable)
    start = table_at + 8 + (-(table_at + 8) % 16)
    root = start + struct.unpack_from("<I", data)[0]
    head = struct.pack("<I", table_at) + b"ABCD" + vtable
    head += struct.pack("<iI", table_at - 8, root - (table_at + 4))
    return head.ljust(start, b"\0") + data


def test_messages_nest_as_deep_as_on_the_host_and_no_deeper(build: Build) -> None:
    def nest(depth: int) -> bytes:
        data = b""
        for _ in range(depth - 1):
            size = len(data)
            length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
            data = b"\x92\x03" + length + data
        return data

    found = build("all.proto").echo("net.v3.Msg", [nest(64), nest(65)])
    assert [r.code for r in found] == [0, 2]
    assert interface("all.proto").codec.verify("net.v3.Msg", nest(64)) is None
    assert interface("all.proto").codec.verify("net.v3.Msg", nest(65)) is not None


def test_parts_of_one_message_are_merged(build: Build) -> None:
    # id = 1, rv, flag; then h (20) in two parts: the name in one, the number in the other.
    head = b"\x08\x01\x20\x05\x88\x02\x01"
    name, number = b"\xa2\x01\x03\x0a\x01n", b"\xa2\x01\x02\x18\x07"
    whole, half = build("old.proto").echo("net.v2.Msg", [head + name + number, head + name])
    value = interface("old.proto").codec.decode("net.v2.Msg", whole.data)
    assert (value.u.value.name, value.u.value.num) == ("n", 7)
    assert half == Reply(2, b"net.v2.Header.num: required, and absent")


def test_an_error_names_the_field_and_the_place(build: Build) -> None:
    good = nested_fbs(2)
    assert build("all.fbs").echo("net.v1.Msg", [good[:8], b"", good[:4] + b"WXYZ" + good[8:]]) == [
        Reply(2, b"net.v1.Msg: too short (byte 0)"),
        Reply(2, b"net.v1.Msg: too short (byte 0)"),
        Reply(2, b"net.v1.Msg: another file identifier (byte 4)"),
    ]
    cut = build("all.proto").echo("net.v3.Msg", [b"\x6a\x05ab", b"\x6a\x01\xff"])
    assert [r.data for r in cut] == [
        b"net.v3.Msg.name: length out of bounds (byte 2)",
        b"net.v3.Msg.name: not UTF-8 (byte 2)",
    ]


def test_many_offsets_to_one_table_do_not_multiply_work(build: Build) -> None:
    # 64**7 visits if nothing stopped it.
    record = interface("all.fbs").schema.record("net.v1.Msg")
    slot = 2 * next(f.id for f in record.fields if f.name == "children")
    forward = _explosion(slot)
    reply = build("all.fbs").echo("net.v1.Msg", [forward], arena=1 << 26)[0]
    assert reply == Reply(2, reply.data)
    assert b"too many tables" in reply.data
    assert interface("all.fbs").codec.verify("net.v1.Msg", forward) is not None


def _explosion(slot: int) -> bytes:
    """Eight levels, each with a vector of 64 offsets to the one table of the next."""
    block = 2 * (slot // 2 + 1) + 4
    block += -block % 4
    level_size = block + 8 + 4 + 4 * 64
    data = bytearray(b"\0\0\0\0ABCD")
    for level in range(8):
        start, last = len(data), level == 7
        table = start + block
        vtable = struct.pack("<HH", 6 + slot, 4 if last else 8) + bytes(slot)
        vtable += struct.pack("<H", 0 if last else 4)
        data += vtable.ljust(block, b"\0") + struct.pack("<i", table - start)
        if not last:
            data += struct.pack("<II", 4, 64)
            following = start + level_size + block
            data += b"".join(struct.pack("<I", following - (table + 12 + 4 * i)) for i in range(64))
    data[:4] = struct.pack("<I", 8 + block)
    return bytes(data)
