"""Generated Rust compiles without a warning, reads what Python writes, and writes what Python reads."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from random import Random

import pytest
from cargo import Program, roots, rustc, write
from hypothesis import HealthCheck, Phase, given, settings
from native_schemas import SCHEMAS, mutate
from proto_values import same
from random_values import RandomValues
from schema_strategies import schemas

from hlfuzz.generate.rust import generate
from hlfuzz.schema.canonical import canonical, schema_id
from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.ir import Format, Schema
from hlfuzz.schema.load import load
from hlfuzz.schema.values import Classes, make_classes
from hlfuzz.schema.wire.base import Codec
from hlfuzz.schema.wire.flatbuffers import flatbuffers_codec
from hlfuzz.schema.wire.protobuf import protobuf_codec

INVALID = 2
WASM = ("-A", "explicit_builtin_cfgs_in_flags", "--cfg", 'target_arch="wasm32"')
"""There is no Wasm target in every installation: what is compiled only for it is at least type-checked."""

PROTO3 = """
syntax = "proto3"; package p;
enum Color { NONE = 0; RED = 1; BLUE = -7; ALSO_RED = 1; option allow_alias = true; }
message Leaf { string name = 1; int32 self = 2; }
message Root {
  bool a = 1; int32 b = 2; sint32 c = 3; uint32 d = 4;
  fixed32 e = 5; sfixed32 f = 6; int64 g = 7; sint64 h = 8;
  uint64 i = 9; fixed64 j = 10; sfixed64 k = 11; float l = 12; double m = 13; string n = 14; bytes o = 15;
  Color p = 16; Leaf q = 17; Root next = 18; optional int32 maybe = 19; optional Color shade = 20;
  repeated int32 ints = 21; repeated sint64 zigs = 22; repeated double doubles = 23;
  repeated Color colors = 24;
  repeated string texts = 25; repeated Leaf leaves = 26; repeated bytes blobs = 27;
  map<string, int32> counts = 28; map<int64, Leaf> by_id = 29; map<bool, Color> shades = 30;
  map<sint32, bytes> raw = 31;
  oneof body { string text = 40; Leaf leaf = 41; uint32 number = 42; Color tint = 43;
    Root root = 44; bool on = 45; }
  repeated int32 loose = 50 [packed = false];
}
"""
PROTO2 = """
syntax = "proto2"; package p;
enum Color { RED = 3; BLUE = 1; }
enum Zero { NONE = 0; ONE = 1; }
message Leaf { required string name = 1; optional Color color = 2 [default = BLUE]; }
message Root {
  required int32 id = 1; optional Leaf leaf = 2; repeated Leaf leaves = 3; repeated Color colors = 4;
  repeated Color packed_colors = 5 [packed = true]; map<int32, Zero> by_id = 6; map<string, Leaf> named = 7;
  optional group Inner = 8 { optional int32 x = 1; optional Leaf leaf = 2; }
  repeated group Many = 9 { required bool y = 1; }
  oneof body { Leaf one = 10; Color tint = 11; group Third = 12 { optional string z = 1; } }
  optional string text = 13; optional bytes blob = 14; repeated string texts = 15;
}
"""


def check(
    schema: Schema, classes: Classes, codec: Codec, folder: Path, *, values: int, mutations: int
) -> None:
    """Values survive the way through Rust; mutated buffers are accepted by both sides or by none."""
    program = Program(schema, folder)
    made = RandomValues(schema, classes, seed=1, depth=2, longest=2)
    random = Random(2)
    cases = [(name, made.record(name)) for name in roots(schema) for _ in range(values)]
    buffers = [(name, codec.encode(name, value)) for name, value in cases]
    for (name, value), (status, payload) in zip(cases, program.run(buffers), strict=True):
        assert status == 0, payload
        assert codec.verify(name, payload) is None
        assert same(codec.decode(name, payload), codec.decode(name, codec.encode(name, value)))
    mutated = [(name, mutate(data, random)) for name, data in buffers for _ in range(mutations)]
    accepted = 0
    for (name, data), (status, payload) in zip(mutated, program.run(mutated), strict=True):
        fault = codec.verify(name, data)
        assert (status == 0) == (fault is None), (name, data.hex(), fault, payload)
        if fault is None:
            assert same(codec.decode(name, payload), codec.decode(name, data)), (name, data.hex())
            accepted += 1
        else:
            assert status == INVALID
            assert payload.decode()
    assert len(mutated) // 100 < accepted < len(mutated)


@pytest.mark.parametrize("name", SCHEMAS)
def test_flatbuffers_go_through_rust_and_mutations_get_the_verdict_of_the_host(
    name: str, tmp_path: Path
) -> None:
    schema = parse_text(SCHEMAS[name][1], name=name)
    codec = flatbuffers_codec(schema)
    check(schema, codec.classes, codec, tmp_path, values=100, mutations=30)


@pytest.mark.parametrize("text", [PROTO3, PROTO2], ids=["proto3", "proto2"])
def test_protobuf_goes_through_rust_and_mutations_get_the_verdict_of_the_host(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "it.proto").write_text(text)
    schema = load(tmp_path / "it.proto")
    classes = make_classes(schema)
    check(schema, classes, protobuf_codec(schema, classes), tmp_path, values=100, mutations=30)


SERVICES = """
namespace net;
table Request { data:[ubyte]; }
table Response { verdict:int; }
rpc_service FilterGuest { OnData(Request):Response; type(Request):Response; }
rpc_service FilterHost { Log(Response):Request; }
"""
GUEST = """
#![no_std]
mod it_hl;
#[derive(Default)]
pub struct Filter(i32);
impl it_hl::FilterGuest for Filter {
    fn on_data(&mut self, request: it_hl::Request) -> Result<it_hl::Response, it_hl::wire::Error> {
        self.0 += 1;
        if request.data.is_empty() {
            return Err("no data".into());
        }
        let asked = it_hl::FilterHost::log(&it_hl::Response { verdict: self.0 })?;
        Ok(it_hl::Response { verdict: asked.data.len() as i32 })
    }
    fn r#type(&mut self, _: it_hl::Request) -> Result<it_hl::Response, it_hl::wire::Error> {
        Err(it_hl::wire::Error::new(16, "an error of its own"))
    }
}
it_hl::export_filter_guest!(crate::it_hl, Filter);
"""


@pytest.mark.parametrize("edition", ["2021", "2024"])
@pytest.mark.parametrize("options", [(), WASM], ids=["host", "wasm"])
def test_a_guest_compiles_without_a_standard_library(
    edition: str, options: tuple[str, ...], tmp_path: Path
) -> None:
    write(parse_text(SERVICES, name="it"), tmp_path)
    (tmp_path / "guest.rs").write_text(GUEST)
    rustc(tmp_path / "guest.rs", "--crate-type", "lib", "--edition", edition, *options)


def test_the_handshake_is_in_the_module() -> None:
    schema = parse_text(SERVICES, name="it")
    text = generate(schema)["it_hl.rs"]
    literal = text[text.index('= *b"\\\n') + 7 : text.index('";', text.index('= *b"\\\n'))]
    found = literal.replace("\\\n", "").replace('\\"', '"').replace("\\x0a", "\n").replace("\\x22", '"')
    assert found == f"hlfuzz.v1 {schema_id(schema)}\n{canonical(schema)}"
    assert f"static INTERFACE: [u8; {len(found)}]" in text


def test_raw_interfaces_are_refused_by_name() -> None:
    with pytest.raises(SchemaError, match="takes FlatBuffers and Protobuf schemas"):
        generate(Schema("it", Format.RAW))


def test_any_schema_gives_code_that_compiles(tmp_path: Path) -> None:
    found: list[Schema] = []

    @settings(
        max_examples=10,
        phases=[Phase.generate],
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(schemas((Format.FBS, Format.PROTO)))
    def collect(schema: Schema) -> None:
        found.append(schema)

    collect()
    modules = [write(dataclasses.replace(s, name=f"m{i}"), tmp_path) for i, s in enumerate(found)]
    text = "#![no_std]\n" + "".join(f"pub mod {module};\n" for module in modules)
    (tmp_path / "all.rs").write_text(text)
    rustc(tmp_path / "all.rs", "--crate-type", "lib", "--edition", "2024", "--emit", "metadata")
    rustc(tmp_path / "all.rs", "--crate-type", "lib", "--edition", "2024", "--emit", "metadata", *WASM)
