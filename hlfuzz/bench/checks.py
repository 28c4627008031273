"""Rows of the checkers: what events cost over bare calls, and how soon a failing sequence is small."""

from __future__ import annotations

import time
from random import Random
from typing import ClassVar, Final

from hlfuzz.bench.machines import WASM
from hlfuzz.bench.row import Row, Samples, timed
from hlfuzz.guest import Guest
from hlfuzz.invariants import Case, Config, Problem, Run, Subject, Target, TraceInvariant, describe_interface
from hlfuzz.invariants.shrink import shrink
from hlfuzz.model import Call

OVERHEAD: Final = 2.0
"""What a case may cost: so many times its bare calls."""
CALLS: Final = 50
SHRINK_SECONDS: Final = 20.0

_ADD: Final = Call("add", (1, 2))


class _TwoCalls(TraceInvariant):
    """Fails where one addition is followed by another, however far apart."""

    id: ClassVar[str] = "bench-two-calls"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "the measured failure"

    def judge(self, target: Target, run: Run) -> Problem | None:
        first = second = -1
        for called in run.calls:
            if called.call.args == (20, 22):
                first = called.at
            elif called.call.args[1] == -7 and first >= 0:
                second = called.at
        return Problem("add", "the measured failure") if second > first >= 0 else None


def _target() -> Target:
    guest = Guest.from_wasm(WASM, name="the benchmark's guest")
    interface = describe_interface(guest.info, Config(), stub_imports=True)
    return Target(guest, interface, engine="kvm", deadline=0.5)


def rows(rounds: int, block: int) -> list[Row]:
    """Events over bare calls, and shrinking, both on a micro-VM with memory reset."""
    with _target() as target:
        return [_events(target, rounds, block), _shrinking(target, max(rounds // 4, 3))]


def _events(target: Target, rounds: int, block: int) -> Row:
    case = Case((_ADD,) * CALLS, context=False)
    box = target.session().box

    def bare() -> None:
        for call in case.calls:
            box.try_call(call.function, *call.args)

    cases = max(block // CALLS, 5)
    timed(bare, cases)
    timed(lambda: target.run(case), cases)
    plain: list[list[int]] = []
    taken: list[list[int]] = []
    for _ in range(rounds):
        plain.append(timed(bare, cases))
        taken.append(timed(lambda: target.run(case), cases))
    samples = Samples(tuple(taken), tuple(plain))
    return samples.row(
        f"{CALLS} checked calls, with events",
        floor=samples.floor,
        ratio=samples.ratio,
        target=f"≤ {OVERHEAD:g} × bare calls",
        ok=samples.ratio <= OVERHEAD,
    )


def _shrinking(target: Target, count: int) -> Row:
    invariant = _TwoCalls()
    seconds: list[float] = []
    for seed in range(count):
        rng = Random(seed)
        calls = [Call("add", (rng.randrange(1, 1 << 30), rng.randrange(1 << 30))) for _ in range(CALLS)]
        calls[rng.randrange(5, 20)] = Call("add", (20, 22))
        calls[rng.randrange(25, CALLS)] = Call("add", (4, -7))
        fault = invariant.probe(target, Case(tuple(calls)), strict=True)
        assert fault is not None
        start = time.monotonic()
        small = shrink(fault, lambda case: invariant.probe(target, case, strict=True), SHRINK_SECONDS)
        seconds.append(time.monotonic() - start)
        assert len(small.case.calls) == 2
    seconds.sort()
    middle = seconds[len(seconds) // 2]
    return Row(
        f"{CALLS} failing calls made small",
        "s",
        middle,
        seconds[-1],
        count,
        target=f"≤ {SHRINK_SECONDS:g} s",
        ok=seconds[-1] <= SHRINK_SECONDS,
    )
