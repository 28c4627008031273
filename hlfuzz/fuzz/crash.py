"""Judges whether a guest fails by itself: it traps, does not end in time, or breaks its interface."""

from __future__ import annotations

from typing import ClassVar, Final

from hlfuzz.invariants import Case, Fault, Invariant, Kind, Observation, Subject, Target, observation_text
from hlfuzz.invariants.abi_conformity import AbiConformity, broken_promise
from hlfuzz.model import LimitExceeded, Timeout, Trap

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
    if isinstance(outcome, LimitExceeded):
        return Kind.LIMIT, "", outcome.limit, f"exceeded its limit: {outcome.message}"
    if (broken := broken_promise(observation)) is not None:
        return Kind.VIOLATION, AbiConformity.id, *broken
    return None
