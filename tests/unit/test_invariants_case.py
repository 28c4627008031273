"""Cases survive the way to JSON and back, and the secret's window moves nothing but its own bytes."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlfuzz.errors import UsageError
from hlfuzz.invariants import Case, Secret, case_from_json, case_to_json
from hlfuzz.model import Call, Float32, Float64, value_bits

values = st.one_of(
    st.integers(-(1 << 63), (1 << 64) - 1),
    st.floats(allow_nan=False),
    st.sampled_from((math.nan, -math.nan)),
    st.binary(max_size=64),
    st.integers(0, (1 << 32) - 1).map(Float32),
    st.integers(0, (1 << 64) - 1).map(Float64),
)
calls = st.builds(Call, st.text(max_size=12), st.lists(values, max_size=4).map(tuple))


@given(st.lists(calls, min_size=1, max_size=5), st.booleans())
def test_a_case_is_the_same_after_json(many: list[Call], context: bool) -> None:
    case = Case(tuple(many), context)
    again = case_from_json(json.loads(json.dumps(case_to_json(case))))
    assert [c.function for c in again.calls] == [c.function for c in case.calls]
    for old, new in zip(case.calls, again.calls, strict=True):
        assert [value_bits(v) for v in new.args] == [value_bits(v) for v in old.args]
    assert again.context == case.context


@given(st.binary(min_size=1, max_size=80), st.integers(0, 90), st.integers(0, 90))
def test_the_secret_fills_its_window_only(data: bytes, offset: int, length: int) -> None:
    filled = Secret(0, offset, length, b"A" * 32, b"B" * 32).fill(data, b"secret")
    assert len(filled) == len(data)
    assert filled[:offset] == data[:offset]
    assert filled[offset + length :] == data[offset + length :]


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"calls": [{"function": 1, "args": []}], "context": True},
        {"calls": [{"function": "f", "args": [{"bytes": "xx"}]}], "context": True},
        {"calls": [{"function": "f", "args": [{"f32": "ffffffffff"}]}], "context": True},
        {"calls": [{"function": "f", "args": [True]}], "context": True},
        {
            "calls": [{"function": "f", "args": []}],
            "context": True,
            "secret": {"call": 5, "offset": 0, "length": 1, "first": "aa", "second": "bb"},
        },
    ],
)
def test_a_malformed_case_is_refused(document: object) -> None:
    with pytest.raises(UsageError):
        case_from_json(document)
