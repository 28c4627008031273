"""What the FlatBuffers encoder writes, and how it says that a value does not fit."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from hlfuzz.errors import UsageError
from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.ir import Field, Format, Number, Presence, Record, RecordKind, Scalar, Schema
from hlfuzz.schema.values import make_classes
from hlfuzz.schema.wire.base import EncodeError, Limits
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, flatbuffers_codec

TEXT = """
enum Color : byte { Red, Green }
enum Bits : ubyte (bit_flags) { a, b }
struct Inner { n: ushort; }
struct Pair { c: Color; d: [Inner:2]; }
union U { Leaf, text: string, Pair }
table Leaf { n: int; small: ubyte; }
table Root { flag: bool; n: ushort = 7; f: float; g: double = nan; c: Color; bits: Bits; o: long = null;
             s: string; v: [ubyte]; w: [short]; p: Pair; ps: [Pair]; u: U; us: [U]; kid: Leaf; kids: [Leaf];
             next: Root; many: [Root]; req: [string] (required); nest: [ubyte] (nested_flatbuffer: "Leaf"); }
root_type Root;
"""


@pytest.fixture(scope="module")
def codec() -> FlatBuffersCodec:
    return flatbuffers_codec(parse_text(TEXT))


class Names:
    """The classes of `TEXT`."""

    def __init__(self, codec: FlatBuffersCodec) -> None:
        d = codec.classes.definitions
        self.root, self.leaf, self.pair, self.inner = d["Root"], d["Leaf"], d["Pair"], d["Inner"]
        self.color, self.bits = d["Color"], d["Bits"]
        self.u_leaf, self.u_text, self.u_pair = (codec.classes.variants["U", tag] for tag in (1, 2, 3))


@pytest.fixture
def t(codec) -> Names:
    return Names(codec)


def refuse(codec: FlatBuffersCodec, t: Names, message: str, **fields: Any) -> None:
    with pytest.raises(EncodeError) as error:
        codec.encode("Root", t.root(**{"req": [], **fields}))
    assert str(error.value) == message


def test_a_value_that_does_not_fit_is_refused_with_its_path_and_range(codec, t):
    pair = t.pair(t.color.Red, [t.inner(1), t.inner(2)])
    refuse(codec, t, "n: 65536 does not fit u16; 0…65535", n=65536)
    refuse(codec, t, "n: -1 does not fit u16; 0…65535", n=-1)
    refuse(codec, t, "n: 1.5 is no int", n=1.5)
    refuse(codec, t, "n: None is no int", n=None)
    refuse(codec, t, "o: '1' is no int", o="1")
    refuse(codec, t, "flag: 2 is no bool", flag=2)
    refuse(codec, t, "flag: 'yes' is no bool", flag="yes")
    refuse(codec, t, "f: 1e+39 does not fit f32", f=1e39)
    refuse(codec, t, "g: 'x' is no float", g="x")
    refuse(codec, t, "c: 5 is no value of Color: Red, Green", c=5)
    refuse(codec, t, "bits: 4 has bits that Bits does not declare; all declared: 3", bits=4)
    refuse(codec, t, "s: b'x' is no str", s=b"x")
    refuse(codec, t, "s: 'a\\ud800' is not valid Unicode: surrogates not allowed at 1", s="a\ud800")
    refuse(codec, t, "v: 'text' is no bytes", v="text")
    refuse(codec, t, "v: 5 is no bytes", v=5)
    refuse(codec, t, "v: list is no bytes", v=[1, 2])
    refuse(codec, t, "w[2]: 40000 does not fit i16; -32768…32767", w=[1, 2, 40000])
    refuse(codec, t, "w: 5 is no list", w=5)
    refuse(codec, t, "w: None is no list", w=None)
    refuse(codec, t, "p: 5 is no Pair", p=5)
    refuse(codec, t, "ps[1].d: 1 elements; it has 2", ps=[pair, t.pair(t.color.Red, [t.inner(1)])])
    bad = t.pair(t.color.Red, [t.inner(1), t.inner(70000)])
    refuse(codec, t, "ps[0].d[1].n: 70000 does not fit u16; 0…65535", ps=[bad])
    refuse(codec, t, "p.c: 9 is no value of Color: Red, Green", p=t.pair(9, []))
    refuse(codec, t, "u: Leaf is no variant of U: ULeaf, UText, UPair", u=t.leaf())
    refuse(codec, t, "u.small: 256 does not fit u8; 0…255", u=t.u_leaf(t.leaf(small=256)))
    refuse(codec, t, "u: 5 is no str", u=t.u_text(5))
    refuse(codec, t, "us[1].d: 0 elements; it has 2", us=[t.u_text(""), t.u_pair(t.pair(0, []))])
    refuse(codec, t, "us[0]: 'x' is no variant of U: ULeaf, UText, UPair", us=["x"])
    refuse(codec, t, "kid: Root is no Leaf", kid=t.root(req=[]))
    refuse(codec, t, "kids[0]: None is no Leaf", kids=[None])
    refuse(
        codec,
        t,
        "kids[1].n: 2147483648 does not fit i32; -2147483648…2147483647",
        kids=[t.leaf(), t.leaf(n=1 << 31)],
    )
    refuse(codec, t, "req: None, but the field is required", req=None)
    refuse(codec, t, "req[0]: None is no str", req=[None])
    refuse(
        codec,
        t,
        "many[0].next.n: -5 does not fit u16; 0…65535",
        many=[t.root(req=[], next=t.root(req=[], n=-5))],
    )


def test_a_root_of_another_type_is_refused(codec, t):
    with pytest.raises(EncodeError, match="Leaf is no Root"):
        codec.encode("Root", t.leaf())
    with pytest.raises(UsageError, match="'Nope' is no table"):
        codec.encode("Nope", t.leaf())
    with pytest.raises(UsageError, match="'Pair' is no table"):
        codec.encode("Pair", t.pair(0, []))


def test_a_long_value_is_shown_shortened(codec, t):
    with pytest.raises(EncodeError) as error:
        codec.encode("Root", t.root(req=[], n="x" * 10_000))
    assert len(str(error.value)) < 100


def test_a_nested_buffer_that_its_reader_would_refuse_is_refused(codec, t):
    good = codec.encode("Leaf", t.leaf(n=5))
    value = t.root(req=[], nest=good)
    assert codec.decode("Root", codec.encode("Root", value)) == value
    refuse(
        codec,
        t,
        "nest: no valid nested buffer: 4 bytes; the shortest buffer has 12 (the root, byte 0)",
        nest=good[:4],
    )


def test_a_value_that_contains_itself_is_refused(codec, t):
    value = t.root(req=[])
    value.next = value
    with pytest.raises(EncodeError, match="nested more than 64 deep"):
        codec.encode("Root", value)
    value.next = None
    value.many = [value, value]
    with pytest.raises(EncodeError, match=r"deep|tables"):
        codec.encode("Root", value)


def test_a_value_of_too_many_tables_is_refused():
    codec = flatbuffers_codec(parse_text(TEXT), limits=Limits(tables=3))
    t = Names(codec)
    assert codec.encode("Root", t.root(req=[], kids=[t.leaf()] * 2))
    with pytest.raises(EncodeError, match="more than 3 tables"):
        codec.encode("Root", t.root(req=[], kids=[t.leaf()] * 3))


def test_a_buffer_over_the_size_limit_is_refused():
    codec = flatbuffers_codec(parse_text(TEXT), limits=Limits(size=200))
    t = Names(codec)
    for fields in ({"v": bytes(300)}, {"s": "x" * 300}, {"w": [1] * 150}, {"req": ["x"] * 60}):
        with pytest.raises(EncodeError, match="more than 200 bytes"):
            codec.encode("Root", t.root(**{"req": [], **fields}))


def test_fields_equal_to_their_defaults_are_not_written(codec, t):
    empty = codec.encode("Root", t.root(req=[]))
    same = t.root(req=[], flag=False, n=7, f=-0.0, g=float("nan"), c=t.color.Red, v=b"", w=[], us=[])
    assert codec.encode("Root", same) == empty
    for fields in ({"n": 0}, {"o": 0}, {"g": 0.0}, {"s": ""}, {"bits": t.bits.a}):
        assert len(codec.encode("Root", t.root(req=[], **fields))) > len(empty)
    assert codec.decode("Root", codec.encode("Root", t.root(req=[], o=0))).o == 0
    assert codec.decode("Root", empty).o is None


def test_layouts_that_are_alike_share_a_vtable(codec, t):
    one = len(codec.encode("Root", t.root(req=[], kids=[t.leaf(n=1)])))
    two = len(codec.encode("Root", t.root(req=[], kids=[t.leaf(n=1), t.leaf(n=2)])))
    # An offset of 4 bytes, a table of 8, and no vtable.
    assert two - one == 12


def test_what_a_sequence_or_buffer_is_called_does_not_matter(codec, t):
    plain = codec.encode("Root", t.root(req=["a"], v=b"xyz", w=[1, 2]))
    assert codec.encode("Root", t.root(req=("a",), v=bytearray(b"xyz"), w=(1, 2))) == plain
    assert codec.encode("Root", t.root(req=["a"], v=memoryview(b"xyz"), w=range(1, 3))) == plain


def test_numbers_are_aligned_to_their_size_and_to_force_align():
    schema = parse_text("""
        struct Wide (force_align: 16) { x: ubyte; }
        table T { s: string; a: [long]; b: [ubyte] (force_align: 32); w: [Wide]; one: Wide; d: double; }
    """)
    codec = flatbuffers_codec(schema)
    d = codec.classes.definitions
    for length in range(9):
        value = d["T"](s="s" * length, a=[0x1122334455667788], b=b"\xab" * 32, w=[d["Wide"](0xCD)], d=-1.0)
        data = codec.encode("T", value)
        assert data.index(struct.pack("<q", 0x1122334455667788)) % 8 == 0
        assert data.index(b"\xab" * 32) % 32 == 0
        assert data.index(b"\xcd") % 16 == 0
        assert codec.decode("T", data) == value


@pytest.mark.parametrize("attribute", ["vector64", "offset64"])
def test_64_bit_offsets_are_refused_by_name(attribute):
    schema = parse_text(f"table T {{ a: [ubyte] ({attribute}); }}")
    with pytest.raises(SchemaError, match=f"'a' has the attribute {attribute}"):
        flatbuffers_codec(schema)


def test_a_schema_of_another_language_is_refused():
    with pytest.raises(SchemaError, match="not FlatBuffers"):
        flatbuffers_codec(Schema("s", Format.PROTO))


def test_hostile_names_do_not_become_code():
    name = "a=print('x');\n b"
    field = Field(name, Number(Scalar.I32), 0, Presence.IMPLICIT, 0)
    schema = Schema("s", Format.FBS, (Record("T", RecordKind.TABLE, (field,)),))

    class T:
        """Takes any attribute."""

    setattr(T, name, 5)
    classes = make_classes(Schema("s", Format.FBS))
    codec = flatbuffers_codec(schema, type(classes)({"T": T}, {}))
    again = codec.decode("T", codec.encode("T", T()))
    assert getattr(again, name) == 5


def test_tables_of_300_fields_and_of_none(codec):
    fields = " ".join(f"f{i}: {('int', 'string', 'ubyte', 'double')[i % 4]};" for i in range(300))
    codec = flatbuffers_codec(parse_text(f"table Big {{ {fields} }} table Empty {{ }}"))
    big, empty = (codec.classes.definitions[n] for n in ("Big", "Empty"))
    value = big(**{f"f{i}": (i, str(i), i % 256, i / 2)[i % 4] for i in range(300)})
    assert codec.decode("Big", codec.encode("Big", value)) == value
    assert codec.decode("Big", codec.encode("Big", big(f299=1.0))) == big(f299=1.0)
    assert codec.decode("Empty", codec.encode("Empty", empty())) == empty()


def test_a_table_over_65535_bytes_is_refused():
    structs = "struct S { x: [long:1000]; }"
    fields = " ".join(f"f{i}: S;" for i in range(9))
    codec = flatbuffers_codec(parse_text(f"{structs} table T {{ {fields} }}"))
    s, t = (codec.classes.definitions[n] for n in ("S", "T"))
    with pytest.raises(EncodeError, match="a table holds 65535"):
        codec.encode("T", t(**{f"f{i}": s([0] * 1000) for i in range(9)}))
    codec.encode("T", t(**{f"f{i}": s([0] * 1000) for i in range(8)}))


def test_deprecated_fields_are_carried_but_required_of_nobody():
    codec = flatbuffers_codec(parse_text("table T { a: string (deprecated); b: int; }"))
    cls = codec.classes.definitions["T"]
    assert codec.decode("T", codec.encode("T", cls(a="old", b=1))) == cls(a="old", b=1)


def test_an_absent_string_with_a_default_reads_as_it():
    codec = flatbuffers_codec(parse_text('table T { s: string = "abc"; }'))
    cls = codec.classes.definitions["T"]
    assert cls().s == "abc"
    for text in ("abc", "", "x"):
        assert codec.decode("T", codec.encode("T", cls(s=text))) == cls(s=text)
    with pytest.raises(EncodeError, match="s: None is no str"):
        codec.encode("T", cls(s=None))


def test_the_order_of_a_keyed_vector_is_the_callers():
    codec = flatbuffers_codec(parse_text("table K { id: int (key); } table T { ks: [K]; }"))
    k, t = codec.classes.definitions["K"], codec.classes.definitions["T"]
    value = t(ks=[k(id=3), k(id=1), k(id=2)])
    assert codec.decode("T", codec.encode("T", value)) == value
