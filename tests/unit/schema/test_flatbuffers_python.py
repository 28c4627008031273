"""The PyPI package flatbuffers reads what we encode, and we read what it builds."""

from __future__ import annotations

import importlib
import sys

import flatbuffers
from flatc import run
from random_values import RandomValues

from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.wire.flatbuffers import flatbuffers_codec

_VALUES = 300
# What the generated object API can do: no arrays of structs, no table that refers to itself, no field `i`.
_TEXT = """
namespace builder;
enum Sparse : short { A = -5, B = 0, C = 900 }
enum Bits : ubyte (bit_flags) { x, y, z = 5 }
struct Inner { d: double; b: Bits; }
struct Point (force_align: 16) { x: byte; c: Sparse; i: Inner; }
table Item { name: string (required); points: [Point]; one: Point; n: long = -3; }
table Other { f: float; s: string; }
union U { Item, Other }
table Root { fa: [bool]; fb: [byte]; fc: [ushort]; fd: [uint]; fe: [long]; ff: [float]; fg: [double];
             fh: [Sparse]; fi: [Bits]; fs: [string]; fp: [Point]; ft: [Item]; one: Point; bits: Bits; fu: U;
             fo: int = null; fq: [ulong] (required); fk: bool = true; fx: double = 0.5; }
root_type Root;
"""


def test_the_python_runtime_and_we_read_each_other(tmp_path, monkeypatch):
    tmp_path.joinpath("s.fbs").write_text(_TEXT, encoding="utf-8")
    accepted, output = run("--python", "--gen-object-api", "-o", tmp_path, tmp_path / "s.fbs")
    assert accepted, output
    monkeypatch.syspath_prepend(tmp_path)
    codec = flatbuffers_codec(parse_text(_TEXT))
    values = RandomValues(codec.schema, codec.classes, seed=5)
    try:
        generated = importlib.import_module("builder.Root").RootT
        for _ in range(_VALUES):
            value = values.record("builder.Root")
            theirs = generated.InitFromPackedBuf(codec.encode("builder.Root", value))
            builder = flatbuffers.Builder()
            builder.Finish(theirs.Pack(builder))
            assert codec.decode("builder.Root", bytes(builder.Output())) == value
    finally:
        for module in [m for m in sys.modules if m.split(".")[0] == "builder"]:
            del sys.modules[module]
