"""How long a checker looks, and when it accuses: not for nothing, and not for what shows only by chance."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import ClassVar

import pytest
import wasmtime

from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Config,
    Invariant,
    Status,
    Subject,
    Target,
    describe_interface,
)
from hlfuzz.invariants.base import UNSURE, Fault
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.model import Call


@pytest.fixture
def target() -> Iterator[Target]:
    guest = Guest.from_wasm(
        bytes(wasmtime.wat2wasm('(module (func (export "f") (result i32) (i32.const 1)))'))
    )
    with Target(guest, describe_interface(guest.info, Config()), engine="inprocess") as target:
        yield target


class ShowsSometimes(Invariant):
    """Its case number n shows a fault in the probes of which `shows[n]` is true; the last one holds on."""

    id: ClassVar[str] = "shows-sometimes"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "a fault shows when it is told to"

    def __init__(self, *shows: tuple[bool, ...]) -> None:
        self._shows_in = [list(s) for s in shows]

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        return (Case((Call("f", (n,)),)) for n in range(len(self._shows_in)))

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        (number,) = case.calls[0].args
        shows = (
            self._shows_in[number] if isinstance(number, int) and number < len(self._shows_in) else [False]
        )
        if not (shows.pop(0) if len(shows) > 1 else shows[0]):
            return None
        return self.violated(function="f", detail="", title=f"case {number}", evidence=(), case=case)


ONCE, NEVER, ALWAYS, TWICE = (True, False), (False,), (True,), (True, True, False)
PLENTY = Budget(60.0, 1000)


def test_a_checker_without_time_judges_one_case(target: Target) -> None:
    verdict = INVARIANTS["determinism"].check(target, Random(1), Budget(0.0, 100))
    assert (verdict.status, verdict.runs) == (Status.HELD, 1)


def test_what_shows_once_accuses_nobody_and_is_not_dropped(target: Target) -> None:
    verdict = ShowsSometimes(NEVER, ONCE, NEVER).check(target, Random(1), PLENTY)
    assert (verdict.status, verdict.runs) == (Status.INCONCLUSIVE, 3)
    assert "case 1" in verdict.detail


def test_what_shows_once_does_not_hide_what_shows_for_certain(target: Target) -> None:
    verdict = ShowsSometimes(ONCE, NEVER, ALWAYS).check(target, Random(1), PLENTY)
    assert (verdict.status, verdict.runs) == (Status.VIOLATED, 3)


def test_after_a_chance_showing_the_next_fault_must_show_once_more(target: Target) -> None:
    verdict = ShowsSometimes(ONCE, TWICE).check(target, Random(1), PLENTY)
    assert (verdict.status, verdict.runs) == (Status.INCONCLUSIVE, 2)


def test_a_checker_that_sees_chance_everywhere_gives_up(target: Target) -> None:
    verdict = ShowsSometimes(*[ONCE] * 10).check(target, Random(1), PLENTY)
    assert (verdict.status, verdict.runs) == (Status.INCONCLUSIVE, UNSURE)
