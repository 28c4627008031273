"""Values cross unchanged, to the bit, in both directions and in every position."""

from __future__ import annotations

import math
import random
import struct

import pytest

from hlfuzz import Float32, Float64, Sandbox, UsageError
from hlfuzz.model import value_bits

ECHO = """(module
  (func (export "i32") (param i32) (result i32) local.get 0)
  (func (export "i64") (param i64) (result i64) local.get 0)
  (func (export "f32") (param f32) (result f32) local.get 0)
  (func (export "f64") (param f64) (result f64) local.get 0)
  (func (export "v128") (param v128) (result v128) local.get 0)
  (func (export "none"))
  (func (export "many") (param i32 f32 i64 v128 f64) (result f64 v128 i64 f32 i32)
    local.get 4 local.get 3 local.get 2 local.get 1 local.get 0)
  (func (export "bits32") (param f32) (result i32) local.get 0 i32.reinterpret_f32)
  (func (export "bits64") (param f64) (result i64) local.get 0 i64.reinterpret_f64))"""

I32 = [0, 1, -1, 2**31 - 1, -(2**31)]
I64 = [0, 1, -1, 2**63 - 1, -(2**63)]
F32_BITS = [
    0,
    0x80000000,
    1,
    0x7F7FFFFF,
    0x7F800000,
    0xFF800000,
    0x7FC00000,
    0xFFC00001,
    0x7FA00001,
    0xFF800001,
]
F64_BITS = [0, 1 << 63, 1, 0x7FEFFFFFFFFFFFFF, 0x7FF0000000000000, 0x7FF8000000000000, 0xFFF0000000000001]


@pytest.fixture
def box(engine, guest):
    with Sandbox(guest(ECHO), engine=engine) as box:
        yield box


@pytest.mark.parametrize("value", I32)
def test_i32_comes_back_signed(box, value):
    assert box.call("i32", value) == value
    assert box.call("i32", value % 2**32) == value


@pytest.mark.parametrize("value", I64)
def test_i64_comes_back_signed(box, value):
    assert box.call("i64", value) == value
    assert box.call("i64", value % 2**64) == value


@pytest.mark.parametrize("bits", F32_BITS)
def test_f32_keeps_every_bit(box, bits):
    result = box.call("f32", Float32(bits))
    assert box.call("bits32", Float32(bits)) % 2**32 == bits
    if isinstance(result, Float32):
        assert math.isnan(result)
        assert result.bits == bits
    else:
        assert struct.pack("<f", result) == struct.pack("<I", bits)


@pytest.mark.parametrize("bits", F64_BITS)
def test_f64_keeps_every_bit(box, bits):
    result = box.call("f64", Float64(bits))
    assert box.call("bits64", Float64(bits)) % 2**64 == bits
    if isinstance(result, Float64):
        assert math.isnan(result)
        assert result.bits == bits
    else:
        assert struct.pack("<d", result) == struct.pack("<Q", bits)


def test_f32_arguments_are_rounded_to_the_nearest(box):
    assert box.call("f32", 0.1) == struct.unpack("<f", struct.pack("<f", 0.1))[0]
    assert box.call("f64", 7) == 7.0


def test_v128_is_sixteen_bytes(box):
    value = bytes(range(240, 256))
    assert box.call("v128", value) == value


def test_no_result_is_none_and_several_are_a_tuple(box):
    assert box.call("none") is None
    v = bytes(range(16))
    assert box.call("many", -1, 1.5, -(2**40), v, -0.0) == (-0.0, v, -(2**40), 1.5, -1)


def test_random_values_of_all_types_at_once(box):
    rng = random.Random(3)
    for _ in range(200):
        args = (
            rng.getrandbits(32) - 2**31,
            Float32(rng.getrandbits(32)),
            rng.getrandbits(64) - 2**63,
            rng.randbytes(16),
            Float64(rng.getrandbits(64)),
        )
        plain = [float(a) if isinstance(a, float) and not math.isnan(a) else a for a in args]
        assert [value_bits(v) for v in box.call("many", *args)] == [value_bits(v) for v in reversed(plain)]


@pytest.mark.parametrize(
    ("function", "value", "what"),
    [
        ("i32", 2**32, "outside"),
        ("i32", -(2**31) - 1, "outside"),
        ("i64", 2**64, "outside"),
        pytest.param("i64", 10**5000, "outside", id="huge"),
        ("i32", 1.0, "not an integer"),
        ("i32", "1", "not an integer"),
        ("i32", None, "not an integer"),
        ("i32", b"12", "two integer parameters"),
        ("f32", 1e300, "does not fit"),
        ("f32", "1", "not a number"),
        ("f64", 10**400, "does not fit"),
        ("f64", b"1", "not a number"),
        ("v128", b"short", "16 bytes"),
        ("v128", 1, "16 bytes"),
    ],
)
def test_a_wrong_argument_names_function_position_and_type(box, function, value, what):
    with pytest.raises(UsageError, match=what) as caught:
        box.call(function, value)
    assert repr(function) in str(caught.value)
    assert "argument 1" in str(caught.value)
    assert function in str(caught.value)


def test_bool_and_index_objects_are_integers(box):
    class Seven:
        def __index__(self) -> int:
            return 7

    assert box.call("i32", True) == 1
    assert box.call("i64", Seven()) == 7


@pytest.mark.parametrize("args", [(), (1, 2), (1, 2, 3)])
def test_a_wrong_number_of_arguments_is_refused(box, args):
    with pytest.raises(UsageError, match="arguments"):
        box.call("i32", *args)


def test_an_unknown_export_is_refused_with_the_nearest_names(box):
    with pytest.raises(UsageError, match="did you mean 'bits32'"):
        box.call("bits31", 1)


def test_an_export_that_is_no_function_is_refused(engine, guest):
    with (
        Sandbox(guest('(module (memory (export "m") 1))'), engine=engine) as box,
        pytest.raises(UsageError, match="is a memory, not a func"),
    ):
        box.call("m")


@pytest.mark.parametrize(
    ("signature", "text"),
    [("(param externref)", "parameter 1, externref"), ("(result funcref)", "result 1, funcref")],
)
def test_reference_types_are_refused_before_anything_runs(engine, guest, signature, text):
    wat = f"""(module (global $ran (export "ran") (mut i32) (i32.const 0))
      (func (export "f") {signature} (global.set $ran (i32.const 1)) unreachable))"""
    with Sandbox(guest(wat), engine=engine) as box, box.context() as context:
        with pytest.raises(UsageError, match=text):
            context.call("f", *([None] if "param" in signature else []))
        assert box.globals["ran"] == 0
        context.finish()
