"""Observations: what counts as a difference and what does not."""

from __future__ import annotations

import pytest

from hlfuzz.invariants import HostCall, Observation
from hlfuzz.invariants.observe import bytes_text, difference, observation_key
from hlfuzz.model import Exited, Float64, Ok, Timeout, Trap

NAN = Float64(0x7FF8000000000001)


@pytest.mark.parametrize(
    ("a", "b", "what"),
    [
        (Ok((1,)), Ok((1,)), ""),
        (Ok((1,)), Ok((2,)), "values"),
        (Ok((0.0,)), Ok((-0.0,)), "values"),
        (Ok((NAN,)), Ok((NAN,)), ""),
        (Ok(()), Trap("unreachable"), "outcome"),
        (Trap("unreachable", "here"), Trap("unreachable", "there"), ""),
        (Trap("unreachable"), Trap("stack-overflow"), "outcome"),
        (Exited(0), Exited(0), ""),
        (Exited(0), Exited(1), "outcome"),
        (Timeout(1), Timeout(2), ""),
    ],
)
def test_outcomes_differ_by_what_the_caller_can_tell(a: object, b: object, what: str) -> None:
    assert difference(Observation(a), Observation(b)) == what  # type: ignore[arg-type]


def test_the_bytes_of_a_buffer_count_and_not_its_address() -> None:
    here = Observation(Ok(), (HostCall("env.write", (1024, 2), b"ok"),))
    there = Observation(Ok(), (HostCall("env.write", (2048, 2), b"ok"),))
    other = Observation(Ok(), (HostCall("env.write", (1024, 2), b"no"),))
    assert difference(here, there) == ""
    assert observation_key(here) == observation_key(there)
    assert difference(here, other) == "host-data"


def test_two_addresses_are_the_same_answer_only_where_they_can_be_addresses() -> None:
    a, b = Observation(Ok((4096,))), Observation(Ok((4112,)))
    assert difference(a, b) == "values"
    assert difference(a, b, addresses=range(1024, 65536)) == ""
    assert difference(a, b, addresses=range(1024, 4100)) == "values"
    assert difference(Observation(Ok((1,))), Observation(Ok((2,))), addresses=range(1024, 65536)) == "values"


def test_a_packed_result_may_hold_another_address_but_no_other_length() -> None:
    def packed(address: int, length: int) -> Observation:
        return Observation(Ok((address << 32 | length,)))

    assert difference(packed(4096, 5), packed(4112, 5), addresses=range(1024, 65536)) == ""
    assert difference(packed(4096, 5), packed(4112, 6), addresses=range(1024, 65536)) == "values"
    assert difference(packed(4096, 5), packed(4112, 5)) == "values"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "b''"),
        (b"abc", "b'abc'"),
        (b"\x1d" + bytes(63), r"b'\x1d' + b'\x00' * 63"),
        (bytes(7) + b"x", r"b'\x00\x00\x00\x00\x00\x00\x00x'"),
        (b"x" * 1000, "b'x' * 1000"),
        (b"ab" * 30, f"{b'ab' * 8!r}… (60 bytes)"),
        (b"ab" * 8 + bytes(100) + b"c", f"{b'ab' * 8!r} + b'\\x00' * 100… (117 bytes)"),
        (b"ab" * 8, repr(b"ab" * 8)),
    ],
)
def test_bytes_are_written_as_python_with_runs_as_products(data: bytes, text: str) -> None:
    assert bytes_text(data, limit=16) == text
    if "…" not in text:
        assert eval(text) == data
