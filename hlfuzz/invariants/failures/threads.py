"""Failures in the threads that a sandbox has: that of a spinning vCPU, and that of a dispatched sandbox."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from hlfuzz.errors import EnvironmentProblem, HlfuzzError
from hlfuzz.invariants.case import Case, Injection
from hlfuzz.invariants.experiments.lab import Unkept, drive
from hlfuzz.invariants.failures.served import Found, differs
from hlfuzz.invariants.failures.steps import unclear
from hlfuzz.invariants.guests.patient import PREFIX, open_patient
from hlfuzz.invariants.observe import Observation, observation_text, outcome_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Ok, Outcome
from hlfuzz.sandbox import Dispatcher
from hlfuzz.vmm import KICK, Point, failing

SPIN: Final = "vcpu-thread"
DISPATCH: Final = "dispatch-thread"
POINTS: Final = (SPIN, DISPATCH)
"""`Injection.point` of what this module does: whose thread it happens in."""

_ERRORS: Final = {"interrupted": errno.EINTR, "kick": KICK, "ENOMEM": errno.ENOMEM}
"""Kinds, and what the operation ends with."""
_FATAL: Final = "ENOMEM"
"""After this one the sandbox cannot go on, and says so."""
_RUN: Final[tuple[Point, ...]] = ("run",)
_OPERATIONS: Final[dict[str, dict[str, tuple[Point, ...]]]] = {
    SPIN: {"interrupted": _RUN, "kick": _RUN, "ENOMEM": _RUN},
    DISPATCH: {"interrupted": ("run", "kvm"), "kick": _RUN, "ENOMEM": ("run", "kvm", "timer", "memory")},
}
"""Which operations are meant."""
_INTERRUPTED: Final = 4
_FAILING: Final = 8
_PATIENCE_SECONDS: Final = 2.0
"""Deadline of calls that must not reach it."""
_LATER: Final = 3
"""A busy machine may keep one of so many calls from ending in time, not all."""

_CALLS: Final = (Call("ask", (1,)), Call("note", (4,)), Call("trap"))
_QUICK: Final = Call("note", (1,))


@dataclass(frozen=True, slots=True)
class _Bench:
    """A sandbox with a thread of its own, and how its calls are made."""

    session: Session
    dispatcher: Dispatcher | None

    def make(self, call: Call) -> Observation:
        """Raises `HlfuzzError`, and `Unkept` when a dispatched call does not come back."""
        work: Callable[[], Observation] = lambda: self.session.single(call)  # noqa: E731
        if self.dispatcher is None:
            return work()
        return drive(self.dispatcher, self.session.box.submit_work(work))


def cases() -> Iterator[Case]:
    """Each kind of failure, in each kind of thread."""
    calls = tuple(replace(c, function=PREFIX + c.function) for c in _CALLS)
    for at in range(_FAILING):
        for point in POINTS:
            for kind in _ERRORS:
                if at < _INTERRUPTED or (kind == _FATAL and point == DISPATCH):
                    yield Case(calls, context=False, injection=Injection(point, kind, at))


def judge(target: Target, case: Case, injection: Injection) -> Found | None:
    """Runs the case on `patient` in a sandbox with a thread of that kind, while an operation of it is
    interrupted or fails. None also where no CPU is free for a spinning vCPU."""
    if injection.point not in POINTS or injection.kind not in _ERRORS:
        return None
    plain = target.session("strict").run(case)
    bench = _open(target, injection.point)
    if bench is None:
        return None
    with bench.session:
        try:
            return _judge(bench, case, plain, injection)
        except Unkept as wrong:
            return 0, str(wrong)


def _open(target: Target, point: str) -> _Bench | None:
    dispatcher = Dispatcher() if point == DISPATCH else None
    transport = "exit" if dispatcher is not None else "spin"
    with failing(_RUN):  # only the threads of a sandbox that is opened so can be reached later
        try:
            session = open_patient(
                target, deadline=_PATIENCE_SECONDS, transport=transport, dispatch=dispatcher
            )
        except EnvironmentProblem as problem:
            if problem.reason == "cpu":
                return None
            raise
    return _Bench(session, dispatcher)


def _judge(bench: _Bench, case: Case, plain: tuple[Observation, ...], injection: Injection) -> Found | None:
    points = _OPERATIONS[injection.point][injection.kind]
    seen, errors = list[Observation](), list[str]()
    with failing(points, injection.at + 1, _ERRORS[injection.kind]) as found:
        try:
            for call in case.calls:
                seen.append(bench.make(call))
        except HlfuzzError as error:
            errors.append(str(error))
    last = min(len(seen), len(case.calls) - 1)
    later = list[Outcome]()
    for _ in range(_LATER):  # a vCPU that could not be run again after a call shows in the next one
        try:
            later.append(bench.make(_QUICK).outcome)
        except HlfuzzError as error:
            errors.append(str(error))
        else:
            if errors:
                return last, f"a call said that it cannot go on ({errors[0]}), and the next one worked"
    if errors:
        fatal = injection.kind == _FATAL and found.hit
        wrong = unclear(errors[0], _FATAL) if fatal else f"an interruption ends the sandbox: {errors[0]}"
        return (last, wrong) if wrong else None
    for at, (one, wanted) in enumerate(zip(seen, plain, strict=True)):
        if differs(one, wanted):
            return at, f"with that it {observation_text(one)}, and else {observation_text(wanted)}"
    if not any(isinstance(outcome, Ok) for outcome in later):
        return last, f"the calls after it {outcome_text(later[-1])}"
    return None
