"""How `check` divides its time: nobody is left without, whatever those before it took."""

from __future__ import annotations

import time
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest
import wasmtime

from hlfuzz.fuzz import Store, check
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    Budget,
    Case,
    Config,
    Fault,
    Invariant,
    Status,
    Subject,
    Target,
    Verdict,
    describe_interface,
)


class Spends(Invariant):
    """Takes more time than it was given."""

    id: ClassVar[str] = "spends"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "nothing"

    def __init__(self, clock: list[float], seconds: float) -> None:
        self._clock, self._seconds = clock, seconds
        self.given = 0.0

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        return None

    def check(self, target: Target, rng: Random, budget: Budget) -> Verdict:
        self.given = budget.seconds
        self._clock[0] += self._seconds
        return Verdict(Status.HELD, 1)


@pytest.mark.parametrize(
    ("spent", "given"),
    [
        ((1.0, 1.0, 1.0, 1.0), (2.5, 3.0, 4.0, 7.0)),  # what one leaves is for those after it
        ((30.0, 30.0, 0.0, 0.0), (2.5, 1.25, 1.25, 1.25)),
    ],
)
def test_each_checker_gets_time(
    spent: tuple[float, ...], given: tuple[float, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    checkers = [Spends(clock, seconds) for seconds in spent]
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm('(module (func (export "f")))')))
    with Target(guest, describe_interface(guest.info, Config()), engine="inprocess") as target:
        check(target, checkers, Store(tmp_path), seconds=10.0, seed=1)
    assert tuple(checker.given for checker in checkers) == pytest.approx(given)
