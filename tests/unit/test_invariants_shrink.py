"""Shrinking ends at the smallest case, keeps the defect, and stops in time."""

from __future__ import annotations

import pytest

from hlfuzz.invariants import Case, Fault, Kind, Secret, Subject
from hlfuzz.invariants.shrink import shrink
from hlfuzz.model import Call


def fault(case: Case, function: str = "f", strength: int = 0) -> Fault:
    return Fault(Kind.TRAP, "", Subject.GUEST, function, "", "", (), case, strength)


def test_calls_bytes_and_numbers_that_do_not_matter_go() -> None:
    def probe(case: Case) -> Fault | None:
        last = case.calls[-1]
        failing = last.function == "f" and b"BUG" in last.args[0] and last.args[1] != 0  # type: ignore[operator]
        return fault(case) if failing else None

    noise = Call("g", (b"x" * 300, 5))
    start = Case((noise, noise, Call("f", (b"a" * 100 + b"BUG" + b"b" * 200, -1000))))
    small = shrink(fault(start), probe, 5.0).case
    assert small == Case((Call("f", (b"BUG", 1)),), context=False)


def test_another_defect_or_a_weaker_proof_is_not_accepted() -> None:
    def probe(case: Case) -> Fault | None:
        data = case.calls[0].args[0]
        assert isinstance(data, bytes)
        if len(data) < 4:
            return fault(case, function="g")
        return fault(case, strength=1 if len(data) >= 8 else 0)

    start = Case((Call("f", (bytes(100),)),), context=False)
    assert len(shrink(fault(start, strength=1), probe, 5.0).case.calls[0].args[0]) == 8  # type: ignore[arg-type]


def test_the_secret_stays_on_its_bytes() -> None:
    def probe(case: Case) -> Fault | None:
        slot = case.secret
        assert slot is not None
        data = case.variants()[0][slot.call].args[0]
        assert isinstance(data, bytes)
        return fault(case) if b"S" * 32 in data and data.startswith(b"H") else None

    data = b"H" + b"x" * 50 + bytes(40) + b"tail"
    start = Case((Call("open"), Call("f", (data,))), secret=Secret(1, 51, 40, b"S" * 32, b"T" * 32))
    small = shrink(fault(start), probe, 5.0).case
    assert small.secret is not None
    assert len(small.calls) == 1
    assert len(small.calls[0].args[0]) == 33  # type: ignore[arg-type]


def test_it_stops_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("hlfuzz.invariants.shrink.time.monotonic", lambda: clock[0])

    def slow(case: Case) -> Fault | None:
        clock[0] += 1.0
        return None

    shrink(fault(Case((Call("f", (bytes(4000),)),), context=False)), slow, 10.0)
    assert clock[0] == 110.0
