"""Judges whether a guest fails by itself: it traps, does not end in time, or breaks its interface."""

from __future__ import annotations

from typing import ClassVar, Final

from hlfuzz.invariants import Case, Fault, Invariant, Kind, Observation, Subject, Target, observation_text
from hlfuzz.model import LimitExceeded, Ok, Timeout, Trap, Violation

ABI_CONFORMITY: Final = "abi-conformity"
PATIENCE: Final = 4
"""A timeout is confirmed with this many times the deadline, so that a busy machine accuses nobody."""


class Crash(Invariant):
    """The guest must answer every call.

    A trap by itself is the guest's failure and violates no platform invariant.
    """

    id: ClassVar[str] = "crash"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "no input makes the guest trap, run past its deadline or break its interface"

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        observations = target.session("strict" if strict else "memory").run(case)
        fault = first_crash(case, observations)
        if fault is not None and strict and fault.kind is Kind.TIMEOUT:
            with target.open(reset="strict", deadline=target.deadline * PATIENCE) as patient:
                return first_crash(case, patient.run(case))
        return fault


def first_crash(case: Case, observations: tuple[Observation, ...]) -> Fault | None:
    """The fault of the first observation that is one, with the case cut down to the calls before it."""
    for at, observation in enumerate(observations):
        if (found := _crash(observation)) is not None:
            kind, invariant, detail, what = found
            function = case.calls[at].function
            kept = Case(case.calls[: at + 1]) if case.context else Case((case.calls[at],), context=False)
            return Fault(
                kind=kind,
                invariant=invariant,
                subject=Subject.GUEST,
                function=function,
                detail=detail,
                title=f"{function} {what}",
                evidence=(observation_text(observation),),
                case=kept,
            )
    return None


def _crash(observation: Observation) -> tuple[Kind, str, str, str] | None:
    outcome = observation.outcome
    if isinstance(outcome, Trap):
        site = outcome.frames[0].name if outcome.frames else ""
        detail = f"{outcome.code} in {site}" if site else outcome.code
        return Kind.TRAP, "", detail, f"trapped: {detail}"
    if isinstance(outcome, Timeout):
        return Kind.TIMEOUT, "", "", f"did not end within {outcome.deadline_us / 1000:g} ms of CPU time"
    if isinstance(outcome, Violation):
        return Kind.VIOLATION, ABI_CONFORMITY, "", outcome.message
    if isinstance(outcome, LimitExceeded):
        return Kind.LIMIT, "", outcome.limit, f"exceeded its limit: {outcome.message}"
    if not isinstance(outcome, Ok):
        return None  # a host function of the user's failed, or the guest ended itself
    for call in observation.host_calls:
        if call.problem:
            return Kind.VIOLATION, ABI_CONFORMITY, call.function, f"gave {call.function} a {call.problem}"
    return None
