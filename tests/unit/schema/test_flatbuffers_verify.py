"""Every rule of the FlatBuffers verifier, with its field and byte offset, on a buffer changed by hand."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hlfuzz.errors import UsageError
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.wire.base import Limits, Rule, WireError
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, flatbuffers_codec

TEXT = """
enum Color : ubyte { Red, Green, Blue }
enum Bits : ushort (bit_flags) { a, b, z = 9 }
struct Part { c: Color; many: [Color:2]; }
struct Point { x: int; p: [Part:2]; y: double; }
union U { Leaf, text: string, Point }
table Leaf { n: int; s: string; }
table Root { s: string; req: string (required); c: Color = Green; b: Bits; p: Point; ps: [Point]; cs: [Color];
             u: U; us: [U]; kids: [Leaf]; names: [string]; longs: [long]; next: Root;
             nest: [ubyte] (nested_flatbuffer: "Leaf"); }
root_type Root;
file_identifier "TEST";
"""


@pytest.fixture(scope="module")
def codec() -> FlatBuffersCodec:
    return flatbuffers_codec(parse_text(TEXT))


def make(codec: FlatBuffersCodec, **fields: Any) -> bytearray:
    root = codec.classes.definitions["Root"]
    return bytearray(codec.encode("Root", root(**{"req": "r", **fields})))


def names(codec: FlatBuffersCodec) -> tuple[Any, ...]:
    d = codec.classes.definitions
    return d["Leaf"], d["Part"], d["Point"], d["Color"]


def field(data: bytes, slot: int) -> tuple[int, int]:
    """Positions of a root field: its entry in the vtable, and the field itself."""
    root = struct.unpack_from("<I", data, 0)[0]
    vtable = root - struct.unpack_from("<i", data, root)[0]
    entry = vtable + 4 + 2 * slot
    return entry, root + struct.unpack_from("<H", data, entry)[0]


def target(data: bytes, at: int) -> int:
    return at + struct.unpack_from("<I", data, at)[0]


def refused(codec: FlatBuffersCodec, data: bytes, rule: Rule, path: str, offset: int) -> None:
    fault = codec.verify("Root", bytes(data))
    assert fault is not None
    assert (fault.rule, fault.path, fault.offset) == (rule, path, offset)
    with pytest.raises(WireError) as error:
        codec.decode("Root", bytes(data))
    assert error.value.fault == fault
    assert "not a valid Root" in str(error.value)


def root_of(data: bytes) -> int:
    return struct.unpack_from("<I", data, 0)[0]


def test_buffers_shorter_than_the_smallest_table_are_refused(codec):
    data = make(codec)
    for length in range(12):
        refused(codec, data[:length], Rule.TOO_SHORT, "", 0)


def test_buffers_longer_than_the_limit_are_refused():
    codec = flatbuffers_codec(parse_text(TEXT), limits=Limits(size=100))
    assert codec.verify("Root", bytes(101)).rule is Rule.TOO_LONG


def test_another_file_identifier_is_refused(codec):
    data = make(codec)
    data[4:8] = b"NOPE"
    refused(codec, data, Rule.IDENTIFIER, "", 4)
    assert codec.verify("Leaf", codec.encode("Leaf", names(codec)[0]())) is None


@pytest.mark.parametrize("offset", [0, 0x8000_0000, 0xFFFF_FFFF, 5000])
def test_a_root_offset_that_leads_nowhere_is_refused(codec, offset):
    data = make(codec)
    data[0:4] = struct.pack("<I", offset)
    refused(codec, data, Rule.BOUNDS, "", 0)


def test_a_table_must_be_aligned(codec):
    data = make(codec)
    root = root_of(data) + 2
    data[0:4] = struct.pack("<I", root)
    refused(codec, data, Rule.ALIGNMENT, "", root)


@pytest.mark.parametrize("distance", [-4000, 4000, 0x7FFF_FFFF, 1])
def test_a_vtable_outside_the_buffer_is_refused(codec, distance):
    data = make(codec)
    root = root_of(data)
    data[root : root + 4] = struct.pack("<i", distance)
    refused(codec, data, Rule.VTABLE, "", root)


@pytest.mark.parametrize("size", [0, 2, 7, 60000])
def test_a_vtable_with_an_impossible_size_is_refused(codec, size):
    data = make(codec)
    vtable = field(data, -2)[0]
    data[vtable : vtable + 2] = struct.pack("<H", size)
    refused(codec, data, Rule.VTABLE, "", vtable)


@pytest.mark.parametrize("size", [0, 3, 60000])
def test_a_table_with_an_impossible_size_is_refused(codec, size):
    data = make(codec)
    entry = field(data, -1)[0]
    data[entry : entry + 2] = struct.pack("<H", size)
    refused(codec, data, Rule.VTABLE, "", entry)


@pytest.mark.parametrize("offset", [1, 3, 200, 0xFFFC])
def test_a_field_outside_its_table_is_refused(codec, offset):
    data = make(codec, s="x")
    entry, _ = field(data, 0)
    data[entry : entry + 2] = struct.pack("<H", offset)
    refused(codec, data, Rule.FIELD_BOUNDS, "s", entry)


def test_a_field_must_be_aligned(codec):
    data = make(codec, s="x", p=None)
    entry, _ = field(data, 0)
    data[entry : entry + 2] = struct.pack("<H", 6)
    refused(codec, data, Rule.ALIGNMENT, "s", root_of(data) + 6)


def test_a_required_field_must_be_there(codec):
    data = make(codec)
    entry, _ = field(data, 1)
    data[entry : entry + 2] = b"\0\0"
    refused(codec, data, Rule.REQUIRED, "req", root_of(data))


def test_a_string_must_end_in_a_zero_byte(codec):
    data = make(codec, s="four")
    start = target(data, field(data, 0)[1])
    data[start + 8] = 1
    refused(codec, data, Rule.STRING_TERMINATOR, "s", start + 8)


def test_a_string_that_ends_the_buffer_has_no_terminator(codec):
    data = make(codec, req="four")
    start = target(data, field(data, 1)[1])
    refused(codec, data[: start + 8], Rule.STRING_TERMINATOR, "req", start + 8)


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        (b"ok\xff", 2),
        (b"\xc0\x80", 0),
        (b"a\xed\xa0\x80", 1),
        (b"\xf4\x90\x80\x80", 0),
        (b"ab\xe2\x82", 2),
        ("é".encode() + b"\x80", 2),
    ],
)
def test_a_string_must_be_utf8(codec, text, bad):
    data = make(codec, s="x" * len(text))
    start = target(data, field(data, 0)[1]) + 4
    data[start : start + len(text)] = text
    refused(codec, data, Rule.UTF8, "s", start + bad)


@pytest.mark.parametrize("length", [1 << 31, 0xFFFF_FFFF, 500])
def test_a_string_longer_than_the_buffer_is_refused(codec, length):
    data = make(codec, s="x")
    start = target(data, field(data, 0)[1])
    data[start : start + 4] = struct.pack("<I", length)
    refused(codec, data, Rule.BOUNDS, "s", start)


def test_a_vector_whose_size_overflows_is_refused(codec):
    data = make(codec, longs=[1])
    start = target(data, field(data, 13)[1])
    data[start : start + 4] = struct.pack("<I", 0x2000_0001)
    refused(codec, data, Rule.BOUNDS, "longs", start)


def test_elements_must_be_aligned(codec):
    data = make(codec, longs=[1, 2])
    at = field(data, 13)[1]
    start = target(data, at)
    data[at : at + 4] = struct.pack("<I", start - at + 4)
    data[start + 4 : start + 8] = struct.pack("<I", 1)
    refused(codec, data, Rule.ALIGNMENT, "longs", start + 8)


def test_enum_values_are_checked_wherever_they_are(codec):
    leaf, part, point, color = names(codec)
    del leaf
    some = point(1, [part(color.Red, [color.Green, color.Blue])] * 2, 2.0)
    data = make(codec, c=color.Blue, b=3, p=some, ps=[some, some], cs=[color.Red, color.Blue])
    at = {
        "c": field(data, 2)[1],
        "p.p[1].many[0]": field(data, 4)[1] + 4 + 3 + 1,
        "ps[1].p[0].c": target(data, field(data, 5)[1]) + 4 + 24 + 4,
        "cs[1]": target(data, field(data, 6)[1]) + 4 + 1,
    }
    for path, position in at.items():
        damaged = data.copy()
        damaged[position] = 9
        refused(codec, damaged, Rule.ENUM, path, position)
    damaged = data.copy()
    position = field(data, 3)[1]
    damaged[position : position + 2] = struct.pack("<H", 4)
    refused(codec, damaged, Rule.ENUM, "b", position)


def test_a_boolean_that_is_neither_0_nor_1_is_true():
    codec = flatbuffers_codec(parse_text("table T { b: bool; v: [bool]; }"))
    cls = codec.classes.definitions["T"]
    data = bytearray(codec.encode("T", cls(b=True, v=[True, False])))
    data[field(data, 0)[1]] = 7
    data[target(data, field(data, 1)[1]) + 4] = 0x80
    assert codec.decode("T", bytes(data)) == cls(b=True, v=[True, False])


def test_a_union_needs_tag_and_value_of_a_known_variant(codec):
    leaf = names(codec)[0]
    variant = codec.classes.variants["U", 1]
    data = make(codec, u=variant(leaf(n=5)))
    tag_entry, tag = field(data, 7)
    value_entry, value = field(data, 8)
    unknown, no_value, no_tag, zero = (data.copy() for _ in range(4))
    unknown[tag] = 4
    refused(codec, unknown, Rule.UNION, "u", tag)
    no_value[value_entry : value_entry + 2] = b"\0\0"
    refused(codec, no_value, Rule.UNION, "u", tag)
    no_tag[tag_entry : tag_entry + 2] = b"\0\0"
    refused(codec, no_tag, Rule.UNION, "u", value)
    zero[tag] = 0
    refused(codec, zero, Rule.UNION, "u", value)


def test_faults_inside_a_union_name_the_field_in_it(codec):
    leaf = names(codec)[0]
    data = make(codec, u=codec.classes.variants["U", 1](leaf(s="x")))
    position = bytes(data).index(b"\x01\0\0\0x\0") + 4
    data[position] = 0xFF
    refused(codec, data, Rule.UTF8, "u.s", position)


def test_vectors_of_unions_need_as_many_tags_as_values(codec):
    text = codec.classes.variants["U", 2]
    data = make(codec, us=[text("a"), None, text("b")])
    assert codec.decode("Root", bytes(data)).us == [text("a"), None, text("b")]
    tags = target(data, field(data, 9)[1])
    values = target(data, field(data, 10)[1])
    fewer, unknown, alone = (data.copy() for _ in range(3))
    fewer[tags] = 2
    refused(codec, fewer, Rule.UNION, "us", values)
    unknown[tags + 4 + 2] = 200
    refused(codec, unknown, Rule.UNION, "us[2]", tags + 6)
    entry = field(data, 9)[0]
    alone[entry : entry + 2] = b"\0\0"
    refused(codec, alone, Rule.UNION, "us", root_of(data))


def test_elements_of_a_vector_are_named_by_index(codec):
    leaf = names(codec)[0]
    data = make(codec, kids=[leaf(), leaf(s="x")], names=["a", "b"])
    kids = target(data, field(data, 11)[1])
    zero = data.copy()
    zero[kids + 8 : kids + 12] = bytes(4)
    refused(codec, zero, Rule.BOUNDS, "kids[1]", kids + 8)
    name = data.copy()
    second = target(name, target(name, field(name, 12)[1]) + 8)
    name[second + 4] = 0xFF
    refused(codec, name, Rule.UTF8, "names[1]", second + 4)


def test_a_nested_buffer_is_verified_as_a_buffer_of_its_own(codec):
    leaf = names(codec)[0]
    inner = codec.encode("Leaf", leaf(s="inner"))
    data = make(codec, nest=inner)
    start = target(data, field(data, 15)[1]) + 4
    assert data[start : start + len(inner)] == inner
    short, text, out = (data.copy() for _ in range(3))
    short[start - 4 : start] = struct.pack("<I", 11)
    refused(codec, short, Rule.NESTED, "nest", start - 4)
    position = bytes(text).index(b"inner")
    text[position] = 0xFF
    refused(codec, text, Rule.UTF8, "nest.s", position)
    # Inside the outer buffer, but not inside the nested one.
    out[start : start + 4] = struct.pack("<I", len(inner))
    refused(codec, out, Rule.BOUNDS, "nest", start)


def test_tables_nest_as_deep_as_the_limit_and_no_deeper(codec):
    root = codec.classes.definitions["Root"]
    value = None
    for _ in range(64):
        value = root(req="r", next=value)
    data = codec.encode("Root", value)
    assert codec.verify("Root", data) is None
    shallow = flatbuffers_codec(parse_text(TEXT), limits=Limits(depth=63))
    fault = shallow.verify("Root", data)
    assert fault.rule is Rule.DEPTH
    assert fault.path == ".".join(["next"] * 63)


def test_a_table_that_contains_itself_is_refused():
    codec = flatbuffers_codec(parse_text("table T { kids: [T]; }"))
    cls = codec.classes.definitions["T"]
    loop = bytearray(codec.encode("T", cls(kids=[cls(), cls()])))
    kids = target(loop, field(loop, 0)[1])
    # Offsets are unsigned: one that leads backwards is refused before it is followed.
    loop[kids + 4 : kids + 8] = struct.pack("<i", root_of(loop) - kids - 4)
    fault = codec.verify("T", bytes(loop))
    assert (fault.rule, fault.path, fault.offset) == (Rule.BOUNDS, "kids[0]", kids + 4)


def shared_tree(levels: int, width: int) -> bytes:
    """Tables of `table T { kids: [T]; }` where each vector holds one table `width` times."""
    vtable = struct.pack("<4H", 6, 8, 4, 0)
    first = 4 + len(vtable)
    level = 8 + 4 + 4 * width
    out = bytearray(struct.pack("<I", first) + vtable)
    for i in range(levels):
        table = first + i * level
        out += struct.pack("<iI", table - 4, 4)
        out += struct.pack("<I", width if i < levels - 1 else 0)
        for k in range(width):
            out += struct.pack("<I", table + level - (table + 12 + 4 * k))
    return bytes(out)


def test_shared_tables_cannot_explode():
    codec = flatbuffers_codec(parse_text("table T { kids: [T]; }"))
    assert codec.verify("T", shared_tree(4, 3)) is None
    data = shared_tree(30, 4)
    fault = codec.verify("T", data)
    assert fault.rule is Rule.TABLES


def test_shared_strings_cannot_explode():
    codec = flatbuffers_codec(parse_text("table T { s: [string]; }"))
    cls = codec.classes.definitions["T"]
    count, length = 20_000, 40_000
    data = bytearray(codec.encode("T", cls(s=[""] * count + ["x" * length])))
    start = target(data, field(data, 0)[1]) + 4
    last = target(data, start + 4 * count)
    for i in range(count):
        data[start + 4 * i : start + 4 * i + 4] = struct.pack("<I", last - start - 4 * i)
    fault = codec.verify("T", bytes(data))
    assert fault.rule is Rule.TABLES


def test_the_limit_of_tables_counts_them_all():
    text = "table T { kids: [T]; }"
    writer = flatbuffers_codec(parse_text(text))
    cls = writer.classes.definitions["T"]
    data = writer.encode("T", cls(kids=[cls()] * 4))
    for tables, fits in ((5, True), (4, False)):
        codec = flatbuffers_codec(parse_text(text), limits=Limits(tables=tables))
        assert (codec.verify("T", data) is None) is fits


@pytest.mark.parametrize("depth", [0, 65])
def test_a_depth_limit_outside_of_1_to_64_is_refused(depth):
    with pytest.raises(UsageError, match="depth limit"):
        flatbuffers_codec(parse_text(TEXT), limits=Limits(depth=depth))


def test_bytes_are_copied_before_they_are_looked_at(codec):
    data = make(codec, s="text")
    before = codec.decode("Root", bytes(data))
    assert codec.decode("Root", data) == before
    assert codec.decode("Root", memoryview(data)) == before
    with pytest.raises(TypeError):
        codec.verify("Root", 100)


def test_fields_that_overlap_are_read_each_by_itself():
    codec = flatbuffers_codec(parse_text("table T { a: int; b: int; c: ushort; }"))
    cls = codec.classes.definitions["T"]
    data = bytearray(codec.encode("T", cls(a=5, b=6, c=7)))
    first, second = field(data, 0)[0], field(data, 1)[0]
    data[second : second + 2] = data[first : first + 2]
    assert codec.decode("T", bytes(data)) == cls(a=5, b=5, c=7)


def test_fields_of_a_newer_schema_are_passed_over():
    old = flatbuffers_codec(parse_text("table T { a: int = 3; }"))
    new = flatbuffers_codec(parse_text("table T { a: int = 3; b: string; c: [long]; }"))
    data = new.encode("T", new.classes.definitions["T"](a=9, b="x", c=[1]))
    assert old.decode("T", data).a == 9
    assert new.decode("T", old.encode("T", old.classes.definitions["T"]())).c == []


def test_every_one_byte_change_is_refused_or_can_be_read(codec):
    leaf, part, point, color = names(codec)
    some = point(1, [part(color.Red, [color.Green, color.Blue])] * 2, 2.0)
    text = codec.classes.variants["U", 2]
    data = make(codec, s="x", p=some, ps=[some], u=text("u"), us=[text("v")], kids=[leaf(s="y")], longs=[7])
    read = codec.reader("Root")
    accepted = 0
    for position in range(len(data)):
        for value in (0, 1, 4, 0x7F, 0xFF, data[position] ^ 2):
            changed = bytes(data[:position]) + bytes([value]) + bytes(data[position + 1 :])
            if codec.verify("Root", changed) is None:
                read(changed)
                accepted += 1
    assert 0 < accepted < 6 * len(data)
