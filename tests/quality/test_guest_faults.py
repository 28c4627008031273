"""Each planted fault of a guest is caught by the checker for it, made small, and blamed on the guest."""

from __future__ import annotations

from random import Random

import guests
import pytest

from hlfuzz.fuzz.crash import Crash
from hlfuzz.invariants import INVARIANTS, Budget, Case, Fault, Invariant, Kind, Status, Subject, Verdict
from hlfuzz.model import Call

BUDGET = Budget(60.0, 600)


def judge(invariant: str, wat: str, engine: str, **options: object) -> Verdict:
    with guests.target(wat, engine, **options) as target:  # type: ignore[arg-type]
        return INVARIANTS[invariant].check(target, Random(7), BUDGET)


def violated(verdict: Verdict) -> Fault:
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    assert verdict.fault.subject is Subject.GUEST
    return verdict.fault


def test_a_call_that_needs_an_earlier_one_is_found_with_the_call_it_needs(engine: str) -> None:
    fault = violated(judge("context-dependence", guests.NEEDS_INIT, engine))
    assert [c.function for c in fault.case.calls] == ["init", "use"]
    assert fault.case.calls[1].args == (0,)


def test_a_method_marked_stateful_is_not_accused_of_it(engine: str) -> None:
    verdict = judge("context-dependence", guests.NEEDS_INIT, engine, stateful=["use"])
    assert verdict.status is Status.HELD


def test_bytes_of_an_earlier_tenant_are_shown(engine: str) -> None:
    fault = violated(judge("tenant-independence", guests.LEAKS_EARLIER, engine))
    slot = fault.case.secret
    assert slot is not None
    assert fault.strength > 0
    leaked = [e.rpartition("b'")[2].rstrip("'") for e in fault.evidence]
    for secret, shown in zip((slot.first, slot.second), leaked, strict=True):
        assert len(shown) >= 4
        assert shown in (secret * 2).decode()


def crash(wat: str, engine: str, call: Call) -> Fault:
    with guests.target(wat, engine) as target:
        fault = Crash().probe(target, Case((call,), context=False), strict=True)
    assert fault is not None
    assert fault.subject is Subject.GUEST
    return fault


@pytest.mark.parametrize(
    ("wat", "data", "kind", "invariant"),
    [
        (guests.TRUSTS_LENGTH, b"\xff", Kind.TRAP, ""),
        (guests.NEVER_ENDS, b"long", Kind.TIMEOUT, ""),
        (guests.BAD_ALLOCATOR, b"any", Kind.VIOLATION, "abi-conformity"),
        (guests.BAD_BUFFER, b"any", Kind.VIOLATION, "abi-conformity"),
    ],
    ids=["trap", "timeout", "allocator", "buffer"],
)
def test_a_guest_that_fails_by_itself_is_blamed(
    wat: str, data: bytes, kind: Kind, invariant: str, engine: str
) -> None:
    fault = crash(wat, engine, Call("on_data", (data,)))
    assert (fault.kind, fault.invariant) == (kind, invariant)


@pytest.mark.parametrize("invariant", INVARIANTS.values(), ids=INVARIANTS)
@pytest.mark.parametrize(
    "wat",
    [guests.CLEAN_ECHO, guests.CLEAN_ARITHMETIC, guests.CLEAN_POINTERS],
    ids=["echo", "arithmetic", "pointers"],
)
def test_clean_guests_are_not_accused(invariant: Invariant, wat: str, engine: str) -> None:
    with guests.target(wat, engine, seeds=[b"hello", b"\x00\x04data"]) as target:
        applies = not invariant.unfit(target)
        verdict = invariant.check(target, Random(1), Budget(3.0, 60))
    assert verdict.status is (Status.HELD if applies else Status.NOT_APPLICABLE), verdict
