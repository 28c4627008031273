"""Values become the bytes that Protobuf's own classes would write, and come back as they were."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proto_corpus import CONSTRUCTS
from proto_schemas import schemas
from proto_values import Values, same

from hlfuzz.errors import UsageError
from hlfuzz.schema.ir import Field, Format, Named, Presence, Record, RecordKind, Schema
from hlfuzz.schema.proto import parse_text
from hlfuzz.schema.proto.protoc import compile_sources
from hlfuzz.schema.proto.sources import from_text
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import Codec, EncodeError, Limits, Rule, WireError
from hlfuzz.schema.wire.protobuf import protobuf_codec

CORPUS = {f"c{i}.proto": text.replace("PKG", f"c{i}") for i, text in enumerate(CONSTRUCTS.values())}
MAIN = 'syntax = "proto3";' + "".join(f'import "{name}";' for name in CORPUS)


@cache
def corpus() -> tuple[Schema, Classes, Codec]:
    schema = parse_text(MAIN, files=CORPUS)
    classes = make_classes(schema)
    return schema, classes, protobuf_codec(schema, classes)


@cache
def pool() -> Any:
    """The same files in the runtime, as protoc describes them."""
    made = descriptor_pool.DescriptorPool()
    for file in compile_sources(from_text(MAIN, "main.proto", CORPUS)).files.file:
        made.Add(file)
    return made


def made(text: str, limits: Limits | None = None) -> tuple[Classes, Codec]:
    schema = parse_text(f'syntax = "proto2"; package t;\n{text}')
    classes = make_classes(schema)
    return classes, protobuf_codec(schema, classes, limits)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_value_comes_back_and_its_bytes_are_the_runtimes_own(data: st.DataObject):
    schema, classes, codec = corpus()
    names = sorted(d.name for d in schema.definitions if isinstance(d, Record))
    name = data.draw(st.sampled_from(names))
    value = data.draw(Values(schema, classes).record(name))
    encoded = codec.encode(name, value)
    assert codec.verify(name, encoded) is None
    assert same(codec.decode(name, encoded), value)
    own = message_factory.GetMessageClass(pool().FindMessageTypeByName(name)).FromString(encoded)
    assert own.SerializeToString(deterministic=True) == encoded


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_every_value_of_every_schema_comes_back(data: st.DataObject):
    schema = data.draw(schemas())
    classes = make_classes(schema)
    codec = protobuf_codec(schema, classes)
    for record in (d for d in schema.definitions if isinstance(d, Record)):
        value = data.draw(Values(schema, classes, depth=2).record(record.name))
        encoded = codec.encode(record.name, value)
        assert codec.verify(record.name, encoded) is None
        assert same(codec.decode(record.name, encoded), value)
        cut = encoded[: data.draw(st.integers(0, len(encoded)))]
        if codec.verify(record.name, cut) is None:
            codec.decode(record.name, cut)


def test_maps_are_written_in_order_of_their_keys():
    classes, codec = made("message M { map<string, int32> m = 1; map<sint32, M> n = 2; }")
    cls = classes.definitions["t.M"]
    keys = [f"key{i}" for i in range(50)]
    forward = cls(m=dict.fromkeys(keys, 1), n={i: cls() for i in range(-9, 9)})
    backward = cls(m=dict.fromkeys(reversed(keys), 1), n={i: cls() for i in range(8, -10, -1)})
    assert codec.encode("t.M", forward) == codec.encode("t.M", backward)
    read = codec.decode("t.M", codec.encode("t.M", backward))
    assert list(read.m) == sorted(keys)
    assert list(read.n) == list(range(-9, 9))


def test_presence_survives():
    classes, codec = made(
        "message M { optional int32 a = 1; optional M m = 2; optional string s = 3 [default = 'x']; }"
    )
    cls = classes.definitions["t.M"]
    assert codec.encode("t.M", cls()) == b""
    assert codec.decode("t.M", b"") == cls(a=None, m=None, s=None)
    assert codec.encode("t.M", cls(a=0, m=cls(), s="")) == b"\x08\x00\x12\x00\x1a\x00"
    assert codec.decode("t.M", b"\x08\x00\x12\x00\x1a\x00") == cls(a=0, m=cls(), s="")


def test_unchecked_text_keeps_its_bytes():
    _, codec = made("message M { optional string s = 1; repeated string r = 2; map<string, string> m = 3; }")
    data = b"\x0a\x02\xffa" + b"\x12\x01\xc3" + b"\x1a\x06\x0a\x01k\x12\x01\x80"
    value = codec.decode("t.M", data)
    assert (value.s, value.r, value.m) == ("\udcffa", ["\udcc3"], {"k": "\udc80"})
    assert codec.encode("t.M", value) == data
    fault = codec.verify("t.M", b"\x1a\x06\x0a\x01\xff\x12\x01a")
    assert fault is not None
    assert (fault.rule, fault.path, fault.offset) == (Rule.UTF8, "m[''].key", 4)


def test_unknown_members_of_open_enums_are_numbers_and_of_closed_ones_are_left_out():
    text = "enum C { ONE = 1; } message M { optional C c = 1; repeated C r = 2; oneof o { C v = 3; } }"
    classes, codec = made(text)
    cls, one = classes.definitions["t.M"], classes.definitions["t.C"].ONE
    assert codec.decode("t.M", b"\x08\x07\x10\x01\x10\x07\x18\x07") == cls(r=[one])
    schema = parse_text(
        f'edition = "2023"; package t; {text.replace("optional ", "").replace("ONE", "Z = 0; ONE")}'
    )
    open_codec = protobuf_codec(schema)
    value = open_codec.decode("t.M", b"\x08\x07\x10\x01\x10\x07\x18\x07")
    assert (value.c, value.r, value.o.value) == (7, [1, 7], 7)
    assert open_codec.encode("t.M", value) == b"\x08\x07\x12\x02\x01\x07\x18\x07"


def test_unknown_fields_are_passed_over():
    classes, codec = made("message M { optional int32 a = 1; }")
    data = b"\x9a\x06\x03abc" + b"\x08\x05" + b"\xa3\x06\x08\x01\xa4\x06"
    assert codec.decode("t.M", data) == classes.definitions["t.M"](a=5)


def test_of_a_oneof_the_last_counts():
    classes, codec = made("message M { oneof o { int32 a = 1; string b = 2; M m = 3; } }")
    assert codec.decode("t.M", b"\x08\x05\x12\x01x").o == classes.variants["t.M.o", 2]("x")
    assert codec.decode("t.M", b"\x12\x01x\x08\x00").o == classes.variants["t.M.o", 1](0)


def test_names_of_python_and_of_the_runtime_do_not_clash():
    classes, codec = made(
        "message M { optional int32 class = 1; optional int32 DESCRIPTOR = 2; optional int32 f1 = 3; "
        "optional M ByteSize = 4; }"
    )
    cls = classes.definitions["t.M"]
    value = cls(class_=1, DESCRIPTOR=2, f1=3, ByteSize=cls())
    assert codec.decode("t.M", codec.encode("t.M", value)) == value


def test_any_is_a_message_like_others():
    schema = parse_text(
        'syntax = "proto3"; import "google/protobuf/any.proto"; message M { google.protobuf.Any a = 1; }'
    )
    classes = make_classes(schema)
    codec = protobuf_codec(schema, classes)
    value = classes.definitions["M"](
        a=classes.definitions["google.protobuf.Any"](type_url="x/y.Z", value=b"\xff")
    )
    assert codec.decode("M", codec.encode("M", value)) == value


@cache
def kinds() -> tuple[Classes, Codec]:
    return made(
        "enum E { A = 1; } message M { optional int32 i = 1; optional uint64 u = 2; optional float f = 3; "
        "optional double d = 4; optional bool b = 5; optional bytes y = 6; optional E e = 7; "
        "repeated M kids = 8; map<string, M> m = 9; oneof o { M sub = 10; int32 n = 11; } "
        "repeated sint32 s = 12; map<int32, bool> z = 13; required int32 r = 14; }"
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"i": 1 << 31}, "(t.M.i): 2147483648 is no i32: it holds -2147483648 to 2147483647"),
        ({"i": "x"}, "(t.M.i): expected an int, got 'x'"),
        ({"i": True}, "(t.M.i): expected an int, got True"),
        ({"i": 1.0}, "(t.M.i): expected an int, got 1.0"),
        ({"u": -1}, "(t.M.u): -1 is no u64"),
        ({"u": 10**5000}, "(t.M.u): an int of 16610 bits is no u64"),
        ({"f": 3.5e38}, "(t.M.f): 3.5e+38 is too large for an f32"),
        ({"d": 10**400}, "is too large for an f64"),
        ({"d": "1"}, "(t.M.d): expected a float"),
        ({"b": 1}, "(t.M.b): expected a bool, got 1"),
        ({"y": "text"}, "(t.M.y): expected bytes, got 'text'"),
        ({"e": 2}, "(t.M.e): 2 is no member of t.E, which is closed"),
        ({"kids": None}, "(t.M.kids): expected a list, got None"),
        ({"kids": "ab"}, "(t.M.kids): expected a list, got 'ab'"),
        ({"kids": ["good", 5]}, "(t.M.kids[1]): expected M, got 5"),
        ({"m": {"k": "good", 5: "good"}}, "(t.M.m[5]): expected a str, got 5"),
        ({"m": {"k": "bad"}}, "(t.M.m['k'].i): expected an int, got 'bad'"),
        ({"m": []}, "(t.M.m): expected a dict, got list"),
        ({"m": {"\ud800": "good"}}, "not Unicode text: a lone surrogate at index 0"),
        ({"o": "x"}, "(t.M.o): expected None or one of MOSub, MON, got 'x'"),
        ({"o": ("n", "x")}, "(t.M.o.n): expected an int, got 'x'"),
        ({"s": [0] * 9 + [1 << 40]}, "(t.M.s[9]): 1099511627776 is no i32"),
        ({"z": {1: None}}, "(t.M.z[1]): expected a bool, got None"),
        ({"r": None}, "(t.M.r): expected an int, got None"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_path(fields: dict[str, Any], message: str):
    classes, codec = kinds()
    cls, variants = classes.definitions["t.M"], classes.variants

    def real(value: Any) -> Any:
        if isinstance(value, tuple):
            return variants["t.M.o", 11](value[1])
        if isinstance(value, list):
            return [real(v) for v in value]
        if isinstance(value, dict):
            return {k: real(v) for k, v in value.items()}
        made = {"good": cls(r=1), "bad": cls(r=1, i="bad")}
        return made.get(value, value) if isinstance(value, str) else value

    with pytest.raises(EncodeError) as caught:
        codec.encode("t.M", cls(**({"r": 1} | real(fields))))
    names = {"MOSub": variants["t.M.o", 10].__name__, "MON": variants["t.M.o", 11].__name__}
    for name, actual in names.items():
        message = message.replace(name, actual)
    assert message in str(caught.value)


def test_something_else_than_the_message_is_refused():
    classes, codec = kinds()
    with pytest.raises(EncodeError, match=r"cannot encode \(t.M\): expected M, got None"):
        codec.encode("t.M", None)
    with pytest.raises(UsageError, match="no such message"):
        codec.encode("t.m", classes.definitions["t.M"](r=1))


def test_floats_that_round_into_f32_are_written():
    classes, codec = kinds()
    cls = classes.definitions["t.M"]
    for number, read in (
        (0.1, 0.10000000149011612),
        (3.4028235e38, 3.4028234663852886e38),
        (math.inf, math.inf),
    ):
        assert codec.decode("t.M", codec.encode("t.M", cls(r=1, f=number))).f == read


def nested(cls: Any, depth: int) -> Any:
    value = cls()
    for _ in range(depth - 1):
        value = cls(m=value)
    return value


@pytest.mark.parametrize("limit", [1, 5, 64, 100, 101, 1_000])
def test_depth_is_bounded_both_ways_at_the_same_place(limit: int):
    text, most = "message M { optional M m = 1; }", min(limit, 101)
    classes, codec = made(text, Limits(depth=limit))
    cls = classes.definitions["t.M"]
    data = codec.encode("t.M", nested(cls, most))
    assert codec.decode("t.M", data) == nested(cls, most)
    with pytest.raises(EncodeError, match=f"deeper than {most}"):
        codec.encode("t.M", nested(cls, most + 1))
    deeper = b"\x0a" + _varint(len(data)) + data
    with pytest.raises(WireError, match=f"deeper than {most}") as caught:
        codec.decode("t.M", deeper)
    assert caught.value.fault.rule is Rule.DEPTH
    assert caught.value.fault.path == ".".join(["m"] * most)


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def test_a_value_that_contains_itself_is_refused():
    classes, codec = made("message M { optional M m = 1; map<int32, M> n = 2; repeated M r = 3; }")
    for field in ("m", "n", "r"):
        value = classes.definitions["t.M"]()
        setattr(value, field, {"m": value, "n": {1: value}, "r": [value]}[field])
        with pytest.raises(EncodeError, match="deeper than 64"):
            codec.encode("t.M", value)


def test_map_entries_count_as_messages():
    schema = parse_text('syntax = "proto3"; message M { map<int32, M> m = 1; map<int32, int32> n = 2; }')
    classes = make_classes(schema)
    codec, generous = protobuf_codec(schema, classes, Limits(depth=3)), protobuf_codec(schema, classes)
    cls = classes.definitions["M"]
    for fits in (cls(m={1: cls()}), cls(n={1: 1})):
        assert codec.decode("M", codec.encode("M", fits)) == fits
    for deeper in (cls(m={1: cls(n={1: 1})}), cls(m={1: cls(m={1: cls()})})):
        with pytest.raises(EncodeError, match="deeper than 3"):
            codec.encode("M", deeper)
        fault = codec.verify("M", generous.encode("M", deeper))
        assert fault is not None
        assert fault.rule is Rule.DEPTH


def test_size_and_number_of_messages_are_bounded():
    classes, codec = made(
        "message M { repeated M r = 1; optional bytes b = 2; }", Limits(size=100, tables=10)
    )
    cls = classes.definitions["t.M"]
    assert codec.decode("t.M", codec.encode("t.M", cls(r=[cls()] * 9))) == cls(r=[cls()] * 9)
    fault = codec.verify("t.M", b"\x0a\x00" * 10)
    assert fault is not None
    assert (fault.rule, fault.path, fault.offset) == (Rule.TABLES, "r[9]", 18)
    fault = codec.verify("t.M", b"\x12\x62" + b"x" * 99)
    assert fault is not None
    assert fault.rule is Rule.TOO_LONG
    with pytest.raises(EncodeError, match="101 bytes, and at most 100"):
        codec.encode("t.M", cls(b=b"x" * 99))


def test_a_schema_that_the_runtime_refuses_is_a_usage_error():
    field = Field("a", Named("M"), 0, Presence.OPTIONAL)
    schema = Schema("x", Format.PROTO, (Record("M", RecordKind.MESSAGE, (field,)),))
    with pytest.raises(UsageError, match="the Protobuf runtime refuses the schema"):
        protobuf_codec(schema)


def test_a_long_chain_of_types_needs_no_recursion():
    text = "".join(f"message M{i} {{ optional M{i + 1} m = 1; }}" for i in range(1_200)) + "message M1200 {}"
    classes, codec = made(text)
    assert codec.encode("t.M0", classes.definitions["t.M0"]()) == b""
