"""Python values to Wasm values."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlfuzz import Float32, Float64, FuncType, ValType
from hlfuzz.sandbox.engines.inprocess.crossing import lift, lower, lowered
from hlfuzz.sandbox.values import canonical, canonical_results


@given(st.integers(-(2**70), 2**70), st.sampled_from([(ValType.I32, 32), (ValType.I64, 64)]))
def test_integers_are_taken_in_signed_or_unsigned_range_and_come_out_signed(value, type_and_bits):
    type_, bits = type_and_bits
    if -(2 ** (bits - 1)) <= value < 2**bits:
        result = canonical(value, type_)
        assert -(2 ** (bits - 1)) <= result < 2 ** (bits - 1)
        assert (result - value) % 2**bits == 0
    else:
        with pytest.raises(ValueError, match="outside"):
            canonical(value, type_)


@given(st.integers(0, 2**32 - 1))
def test_an_f32_survives_lowering_and_lifting(bits):
    value = canonical(Float32(bits), ValType.F32)
    (raw,) = lower([value], [ValType.F32])
    (back,) = lift([raw], [ValType.F32])
    assert (
        back.bits if isinstance(back, Float32) else struct.unpack("<I", struct.pack("<f", back))[0]
    ) == bits


@given(st.binary(min_size=16, max_size=16), st.integers(0, 2**64 - 1))
def test_a_row_of_values_survives_lowering_and_lifting(vector, bits):
    types = [ValType.V128, ValType.I32, ValType.F64, ValType.V128]
    values = [vector, 7, canonical(Float64(bits), ValType.F64), vector[::-1]]
    raw = lower(values, types)
    assert len(raw) == len(lowered(types)) == 6
    back = lift(raw, types)
    assert [repr(v) for v in back] == [repr(v) for v in values]


@pytest.mark.parametrize(
    ("results", "returned", "expected"),
    [
        ((), None, ()),
        ((ValType.I32,), 2**32 - 1, (-1,)),
        ((ValType.I32, ValType.F64), (1, 2), (1, 2.0)),
        ((ValType.I32, ValType.F64), [1, 2], (1, 2.0)),
    ],
)
def test_host_results_are_made_canonical(results, returned, expected):
    assert canonical_results(returned, FuncType((), results)) == expected


@pytest.mark.parametrize(
    ("results", "returned", "message"),
    [
        ((), 0, "expected None"),
        ((ValType.I32,), None, "expected i32"),
        ((ValType.I32,), (1,), "expected i32"),
        ((ValType.I32, ValType.I64), 1, r"expected a tuple \(i32, i64\)"),
        ((ValType.I32, ValType.I64), (1,), r"expected a tuple \(i32, i64\)"),
        ((ValType.I32, ValType.I64), (1, "x"), r"expected a tuple \(i32, i64\): 'x' is not an integer"),
    ],
)
def test_wrong_host_results_say_what_was_expected(results, returned, message):
    with pytest.raises(ValueError, match=message):
        canonical_results(returned, FuncType((), results))
