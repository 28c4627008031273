"""Inputs are made of a guest's own bytes and of what did something new; the same seed makes the same."""

from __future__ import annotations

from contextlib import nullcontext
from random import Random

import wasmtime

from hlfuzz.guest import Dictionary, Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Case,
    Config,
    Fault,
    Observation,
    Status,
    Target,
    describe_interface,
)
from hlfuzz.invariants.context_dependence import ContextDependence
from hlfuzz.invariants.inputs.mutate import insert, length_fields
from hlfuzz.invariants.inputs.source import MAX_KEPT, Inputs
from hlfuzz.model import Call, Ok, Timeout, ValType

KNOWN = Dictionary(words=(b"UPGRADE", b"\x89MAGIC"), numbers=(0x31464C48, -77, 200))
WAT = """(module (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param $p i32) (param $n i32) (result i32)
    (i32.and (local.get $n) (i32.const 15))))"""


def inputs(seed: int, **given: object) -> Inputs:
    return Inputs(Random(seed), **given)  # type: ignore[arg-type]


def answered(data: bytes, *values: int) -> tuple[Call, Observation]:
    return Call("on_data", (data,)), Observation(Ok(values))


def test_words_and_numbers_of_the_guest_come_up_in_both_byte_orders() -> None:
    source = inputs(1, dictionary=KNOWN)
    made = b"\n".join(source.vector() for _ in range(2000))
    for expected in (b"UPGRADE", b"\x89MAGIC", b"HLF1", b"1FLH"):
        assert made.count(expected) > 20, expected


def test_integers_are_now_and_then_those_that_the_code_compares_with() -> None:
    source = inputs(1, dictionary=KNOWN)
    assert {0x31464C48, -77, 200} <= {source.scalar(ValType.I32) for _ in range(300)}
    assert {0x31464C48, -77, 200} <= {source.scalar(ValType.I64) for _ in range(300)}


def test_without_words_there_are_still_blocks_behind_their_length() -> None:
    source = inputs(1)
    framed = [d for d in (source.vector() for _ in range(2000)) if len(d) > 8 and length_fields(d)]
    assert len(framed) > 200


def test_what_did_something_new_is_kept_and_what_did_not_is_not() -> None:
    source = inputs(1)
    source.note(*answered(b"the first that did it", 3))
    source.note(*answered(b"the second that did it", 3))
    source.note(Call("on_data", (b"how far it came is chance",)), Observation(Timeout(1000)))
    made = b"".join(source.vector() for _ in range(500))
    assert b"the first that did it" in made
    assert b"the second" not in made
    assert b"chance" not in made


def test_the_inputs_kept_are_bounded() -> None:
    source = inputs(1)
    for number in range(20 * MAX_KEPT):
        source.note(Call(f"f{number}", (b"%d" % number,)), Observation(Ok((number,))))
    assert len(source._pool) == MAX_KEPT


def test_the_same_seed_and_the_same_notes_make_the_same_inputs() -> None:
    one, other = inputs(7, dictionary=KNOWN), inputs(7, dictionary=KNOWN)
    for number in range(300):
        first, second = one.vector(), other.vector()
        assert first == second
        one.note(*answered(first, number % 40))
        other.note(*answered(second, number % 40))


def test_bytes_that_are_put_in_count_in_the_lengths_before_them() -> None:
    data = bytearray(b"\x16\x03\x01\x00\x0a" + bytes(10))
    insert(data, 9, bytes(20), length_fields(bytes(data)))
    assert data[:5] == b"\x16\x03\x01\x00\x1e"
    assert len(data) == 35


def target() -> Target:
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(WAT)), name="guest")
    return Target(guest, describe_interface(guest.info, Config()), engine="inprocess")


class Watching(ContextDependence):
    """Writes down the cases that it judges."""

    def __init__(self) -> None:
        self.judged: list[Case] = []

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        self.judged.append(case)
        target.session().sequence(case.calls)
        return None


def test_a_check_learns_from_what_its_calls_did_and_tries_the_same_for_a_seed() -> None:
    first, again, deaf = Watching(), Watching(), Watching()
    for checker in (first, again, deaf):
        with target() as opened:
            if checker is deaf:
                opened.heard_by = lambda listener: nullcontext()  # type: ignore[assignment,method-assign,return-value]
            assert checker.check(opened, Random(3), Budget(60, 60)).status is Status.HELD
    assert first.judged == again.judged
    assert first.judged != deaf.judged
    taken = [c.args[0] for case in first.judged for c in case.calls]
    assert len(taken) - len(set(taken)) > 5  # what did something new was tried again as it is


def test_calls_that_confirm_and_shrink_teach_a_check_nothing() -> None:
    with target() as opened:
        heard: list[Call] = []
        with opened.heard_by(lambda call, seen: heard.append(call)):
            opened.session().single(Call("on_data", (b"in",)))
        INVARIANTS["context-dependence"].probe(opened, Case((Call("on_data", (b"out",)),) * 2))
        assert [c.args for c in heard] == [(b"in",)]
