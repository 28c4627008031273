"""Values and outcomes as data."""

from __future__ import annotations

import copy
import math
import pickle
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlfuzz import Float32, Float64, HostError, Ok, Trap, ValType
from hlfuzz.model import same_outcome, value_bits


@given(st.integers(0, 2**32 - 1))
def test_float32_is_the_float_with_these_bits(bits):
    value = Float32(bits)
    plain = struct.unpack("<f", struct.pack("<I", bits))[0]
    assert value.bits == bits
    assert math.isnan(value) if math.isnan(plain) else float(value) == plain
    assert value == Float32(bits)
    assert hash(value) == hash(Float32(bits))
    assert pickle.loads(pickle.dumps(value)).bits == copy.deepcopy(value).bits == bits


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_float64s_are_equal_when_their_bits_are(a, b):
    assert (Float64(a) == Float64(b)) == (a == b)
    assert (Float64(a) != Float64(b)) == (a != b)


@given(st.floats(allow_nan=False))
def test_a_bit_float_equals_the_number_it_is_and_hashes_like_it(value):
    bits = struct.unpack("<Q", struct.pack("<d", value))[0]
    assert Float64(bits) == value
    assert hash(Float64(bits)) == hash(value)


def test_a_bit_float_is_written_with_its_bits():
    assert repr(Float32(0x7FC00001)) == "Float32(0x7fc00001)"
    assert repr(Float64(1)) == "Float64(0x0000000000000001)"


@pytest.mark.parametrize("bits", [-1, 2**32])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(struct.error):
        Float32(bits)


def test_value_bits_tell_apart_what_wasm_tells_apart():
    values = [
        0,
        0.0,
        -0.0,
        1,
        Float32(0x7FC00000),
        Float32(0x7FC00001),
        Float64(0x7FF8000000000000),
        bytes(16),
    ]
    assert len({value_bits(v) for v in values}) == len(values)


def test_same_outcome_compares_to_the_bit_and_ignores_messages():
    assert same_outcome(Ok((Float32(0x7FC00001),)), Ok((Float32(0x7FC00001),)))
    assert not same_outcome(Ok((0.0,)), Ok((-0.0,)))
    assert not same_outcome(Ok((0,)), Ok((0.0,)))
    assert same_outcome(Trap("unreachable", "one"), Trap("unreachable", "two"))
    assert not same_outcome(Trap("unreachable"), Ok())
    assert same_outcome(HostError("e.f", "m", ValueError()), HostError("e.f", "m", None))


def test_unknown_types_are_references():
    assert ValType.parse("i32") is ValType.I32
    assert ValType.parse("(ref null 3)") is ValType.REF
    assert [t for t in ValType if t.is_reference] == [
        ValType.FUNCREF,
        ValType.EXTERNREF,
        ValType.EXNREF,
        ValType.REF,
    ]
