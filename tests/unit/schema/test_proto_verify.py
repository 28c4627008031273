"""What the Protobuf verifier accepts, the runtime reads; what it refuses, it names: rule, path, offset."""

from __future__ import annotations

import dataclasses
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from random_values import RandomValues

from hlfuzz.schema.ir import Schema
from hlfuzz.schema.proto import parse_text
from hlfuzz.schema.proto.protoc import compile_sources
from hlfuzz.schema.proto.sources import from_text
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import Codec, Limits, Rule
from hlfuzz.schema.wire.protobuf import protobuf_codec

BROAD = """
edition = "2023"; package b;
enum Open { ZERO = 0; ONE = 1; MINUS = -1; }
enum Closed { option features.enum_type = CLOSED; NIL = 0; TWO = 2; }
message Leaf { string text = 1; bytes raw = 2; int32 r = 3 [features.field_presence = LEGACY_REQUIRED]; }
message All {
  int32 i = 1; sint64 z = 2; fixed32 f = 3; double d = 4; bool b = 5; string s = 6; bytes y = 7;
  Open o = 8; Closed c = 9; All kid = 10; All group = 11 [features.message_encoding = DELIMITED];
  repeated int32 packed = 12; repeated sint32 loose = 13 [features.repeated_field_encoding = EXPANDED];
  repeated double doubles = 14; repeated fixed32 words = 15; repeated string texts = 16;
  repeated Leaf leaves = 17; repeated All groups = 18 [features.message_encoding = DELIMITED];
  map<string, Leaf> leaf_by = 19; map<sint32, Closed> closed_by = 20; map<bool, string> text_by = 21;
  map<fixed64, All> all_by = 2000; string unchecked = 22 [features.utf8_validation = NONE];
  int32 small = 23 [features.field_presence = IMPLICIT];
  oneof choice {
    string word = 24; Leaf leaf = 25; Open kind = 26; All all = 27 [features.message_encoding = DELIMITED];
  }
}
"""


@cache
def broad() -> tuple[Schema, Classes, Codec]:
    schema = parse_text(BROAD)
    classes = make_classes(schema)
    return schema, classes, protobuf_codec(schema, classes)


@cache
def runtime() -> Any:
    """The runtime's class of the same message, as protoc describes it."""
    pool = descriptor_pool.DescriptorPool()
    for file in compile_sources(from_text(BROAD, "b.proto", {})).files.file:
        pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("b.All"))


def mutated(data: bytes, random: Random) -> bytes:
    """One to four small changes: bits, bytes that mean something on the wire, cuts, copies."""
    found = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at = random.randrange(len(found) + 1)
        match random.randrange(5):
            case 0 if at < len(found):
                found[at] = random.randrange(256)
            case 1 if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case 2:
                del found[at : at + random.randrange(1, 4)]
            case 3:
                choices = (0, 1, 0x0B, 0x0C, 0x5B, 0x5C, 0x7F, 0x80, 0xFF, random.randrange(256))
                found[at:at] = bytes(random.choice(choices) for _ in range(random.randrange(1, 12)))
            case _:
                other = random.randrange(len(found) + 1)
                found[at:at] = found[min(at, other) : max(at, other)][:20]
    return bytes(found)


def test_what_is_accepted_the_runtime_reads_and_so_do_we():
    """10⁵ mutated buffers. Refused although the runtime reads them: only by the rules that are our own."""
    schema, classes, codec = broad()
    values, random = RandomValues(schema, classes, seed=4, depth=2, longest=2), Random(5)
    seeds: list[bytes] = []
    while len(seeds) < 500:
        whole = values.record("b.All")
        names = random.sample([f.name for f in dataclasses.fields(whole)], 4)
        part = type(whole)(**{name: getattr(whole, name) for name in names})
        data = codec.encode("b.All", part)
        seeds += [data] if len(data) < 150 else []
    verdicts = Counter[str]()
    cls = runtime()
    for _ in range(100_000):
        data = mutated(random.choice(seeds), random)
        message, reads = cls(), True
        try:
            message.ParseFromString(data)
        except DecodeError:
            reads = False
        fault = codec.verify("b.All", data)
        if fault is None:
            verdicts["accepted"] += 1
            assert reads, data
            codec.decode("b.All", data)
            continue
        verdicts[fault.rule.name] += 1
        assert "the Protobuf runtime refuses" not in fault.message, data
        assert 0 <= fault.offset <= len(data)
        if reads:
            own = fault.rule is Rule.REQUIRED and not message.IsInitialized()
            own = own or "where the field has" in fault.message
            # In an unknown group the runtime does not look at numbers.
            assert own or (fault.message == "field number 0" and "#" in fault.path), (data, fault)
    # The mutations are of use: all kinds of verdicts are there.
    assert verdicts["accepted"] > 5_000
    assert {"MALFORMED", "BOUNDS", "UTF8", "REQUIRED"} <= set(verdicts)


@pytest.mark.parametrize(
    ("data", "rule", "path", "offset"),
    [
        (b"\x08", Rule.BOUNDS, "i", 1),
        (b"\x08\x80", Rule.BOUNDS, "i", 1),
        (b"\x08" + b"\xff" * 10 + b"\x01", Rule.MALFORMED, "i", 1),
        (b"\x08" + b"\xff" * 10, Rule.MALFORMED, "i", 1),
        (b"\x08" + b"\xff" * 9, Rule.BOUNDS, "i", 1),
        (b"\x80", Rule.BOUNDS, "", 0),
        (b"\xff" * 5 + b"\x01", Rule.MALFORMED, "", 0),
        (b"\xff\xff\xff\xff\x10\x01", Rule.MALFORMED, "", 0),
        (b"\x00\x01", Rule.MALFORMED, "", 0),
        (b"\x0e", Rule.MALFORMED, "i", 0),
        (b"\x0d\x00\x00\x00\x00", Rule.MALFORMED, "i", 0),
        (b"\x0b\x0c", Rule.MALFORMED, "i", 0),
        (b"\x1d\x00\x00\x00", Rule.BOUNDS, "f", 0),
        (b"\x21\x00", Rule.BOUNDS, "d", 0),
        (b"\x32\x05abc", Rule.BOUNDS, "s", 1),
        (b"\x32\xff\xff\xff\xff\x7f", Rule.MALFORMED, "s", 1),
        (b"\x32" + b"\x80" * 5 + b"\x00", Rule.MALFORMED, "s", 1),
        (b"\x32\x04ab\xffc", Rule.UTF8, "s", 4),
        (b"\x82\x01\x01a\x82\x01\x02\xc3\x28", Rule.UTF8, "texts[1]", 7),
        (b"\x52\x02\x08\x80", Rule.BOUNDS, "kid.i", 3),
        (b"\x52\x04\x52\x05\x08\x00", Rule.BOUNDS, "kid.kid", 3),
        (b"\x5b\x08\x05", Rule.BOUNDS, "group", 3),
        (b"\x5b\x5b\x5c", Rule.BOUNDS, "group", 3),
        (b"\x5b\x64", Rule.MALFORMED, "group", 1),
        (b"\x5c", Rule.MALFORMED, "", 0),
        (b"\x52\x01\x54", Rule.MALFORMED, "kid", 2),
        (b"\x62\x03\x01\x02\x80", Rule.BOUNDS, "packed", 4),
        (b"\x72\x09" + bytes(9), Rule.BOUNDS, "doubles", 2),
        (b"\x7a\x02\x00\x00", Rule.BOUNDS, "words", 2),
        (b"\x92\x01\x00", Rule.MALFORMED, "groups[0]", 0),
        (b"\x93\x01\x94\x01\x93\x01\x0b", Rule.MALFORMED, "groups[1].i", 6),
        (b"\x9a\x01\x07\x0a\x01k\x12\x02\x0a\x05", Rule.BOUNDS, "leaf_by['k'].text", 9),
        (b"\x9a\x01\x05\x12\x03\x0a\x01\xff", Rule.UTF8, "leaf_by[''].text", 7),
        (b"\x9a\x01\x03\x0a\x01\xff", Rule.UTF8, "leaf_by[''].key", 5),
        (b"\x9a\x01\x02\x08\x01", Rule.MALFORMED, "leaf_by[''].key", 3),
        (b"\xa2\x01\x05\x08\x03\x12\x01x", Rule.MALFORMED, "closed_by[-2]", 5),
        (b"\xaa\x01\x05\x08\x01\x12\x01\xff", Rule.UTF8, "text_by[True]", 7),
        (b"\xc2\x01\x01\xff", Rule.UTF8, "choice.word", 3),
        (b"\xda\x01\x08", Rule.MALFORMED, "choice.all", 0),
        (b"\x9a\x06\x05a", Rule.BOUNDS, "#99", 2),
        (b"\x9b\x06\x08", Rule.BOUNDS, "#99.#1", 3),
        (b"\x8a\x01\x02\x18\x01\x8a\x01\x00", Rule.REQUIRED, "leaves[1].r", 8),
        (b"\x9a\x01\x05\x0a\x01k\x12\x00", Rule.REQUIRED, "leaf_by['k'].r", 8),
        (b"\x9a\x01\x03\x0a\x01k", Rule.REQUIRED, "leaf_by['k'].r", 3),
        (b"\xca\x01\x00", Rule.REQUIRED, "choice.leaf.r", 3),
        (b"\x5b\xca\x01\x00\x5c", Rule.REQUIRED, "group.choice.leaf.r", 4),
        (b"\x52\x03\xca\x01\x00\x52\x00", Rule.REQUIRED, "kid.choice.leaf.r", 5),
    ],
)
def test_a_fault_has_its_rule_path_and_offset(data: bytes, rule: Rule, path: str, offset: int):
    fault = broad()[2].verify("b.All", data)
    assert fault is not None
    assert (fault.rule, fault.path, fault.offset) == (rule, path, offset), str(fault)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08" + b"\xff" * 9 + b"\x7f",
        b"\x88\x80\x80\x80\x00\x05",
        b"\x32\x80\x80\x80\x80\x00",
        b"\x60\x05\x62\x02\x01\x02",
        b"\x68\x05\x6a\x02\x01\x02",
        b"\x48\x09",
        b"\x9b\x06\x9b\x06\x08\x01\x9c\x06\x9c\x06",
        b"\xca\x01\x00\xca\x01\x02\x18\x01",
        b"\xca\x01\x00\xc2\x01\x01a",
        b"\x9a\x01\x05\x0a\x01k\x12\x00\x9a\x01\x07\x0a\x01k\x12\x02\x18\x01",
        b"\xb2\x01\x01\xff",
    ],
    ids=[
        *("empty", "ten-byte varint", "long tag", "long length", "packed and not", "not packed and packed"),
        *(
            "unknown member",
            "unknown groups",
            "merged",
            "replaced in a oneof",
            "replaced in a map",
            "unchecked",
        ),
    ],
)
def test_what_is_odd_but_allowed_is_accepted(data: bytes):
    _, _, codec = broad()
    assert codec.verify("b.All", data) is None
    message = runtime()()
    message.ParseFromString(data)
    assert message.IsInitialized()
    codec.decode("b.All", data)


def test_bytes_that_nest_as_deep_as_they_are_long_cost_nothing():
    _, _, codec = broad()
    for data in (b"\x5b" * 1_000_000, b"\x9b\x06" * 1_000_000, b"\x52" * 1_000_000):
        fault = codec.verify("b.All", data)
        assert fault is not None
        assert fault.rule in (Rule.DEPTH, Rule.BOUNDS)


def test_a_million_empty_messages_are_too_many():
    _, _, codec = broad()
    limited = protobuf_codec(broad()[0], broad()[1], Limits(tables=1_000))
    data = b"\x93\x01\x94\x01" * 2_000
    assert codec.verify("b.All", data) is None
    fault = limited.verify("b.All", data)
    assert fault is not None
    assert (fault.rule, fault.path) == (Rule.TABLES, "groups[999]")


def test_the_bytes_may_be_any_buffer():
    _, _, codec = broad()
    for data in (bytearray(b"\x08\x05"), memoryview(b"\x08\x05")):
        assert codec.decode("b.All", data).i == 5  # type: ignore[arg-type]
