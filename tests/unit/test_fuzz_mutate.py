"""The mutator finds length fields, stays within bounds, and repeats itself for the same seed."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hlfuzz.invariants.inputs.mutate import MAX_INPUT_BYTES, Mutator, length_fields


def test_the_lengths_of_a_tls_record_are_found() -> None:
    hello = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a" + bytes(42)
    fields = length_fields(hello)
    assert (3, 2, True) in fields  # record
    assert (6, 3, True) in fields  # handshake message


def test_text_has_no_length_fields() -> None:
    assert length_fields(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n") == ()


@given(st.lists(st.binary(max_size=64), max_size=5), st.integers(0, 1000))
def test_any_pool_gives_vectors_within_the_limit(pool: list[bytes], number: int) -> None:
    mutator = Mutator(Random(number), pool, lambda: b"word")
    again = Mutator(Random(number), pool, lambda: b"word")
    for _ in range(10):
        for seed in pool:
            data = mutator.vector(seed)
            assert len(data) <= MAX_INPUT_BYTES
            assert again.vector(seed) == data


def test_a_length_field_gets_its_extremes_soon() -> None:
    hello = b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a" + bytes(42)
    mutator = Mutator(Random(1), [hello], lambda: b"word")
    seen = {mutator.vector(hello)[6:9] for _ in range(3000)}
    assert b"\xff\xff\xff" in seen
