"""Runs a finding again and says, call by call, what happens."""

from __future__ import annotations

from dataclasses import dataclass

from hlfuzz.fuzz.finding import Replay
from hlfuzz.fuzz.triage import judge_of
from hlfuzz.invariants import Fault, Observation, Subject, Target
from hlfuzz.model import Call


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a replayed case and what was seen."""

    call: Call
    observation: Observation


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of a replay.

    `fault` is None when the defect did not show. `runs`: each a title and its steps.
    """

    fault: Fault | None
    runs: tuple[tuple[str, tuple[Step, ...]], ...]


def replay(finding: Replay) -> Replayed:
    """Judges the finding's case again under strict reset, in sandboxes of its own."""
    target = finding.target
    judge = judge_of(finding.invariant)
    fault = judge.probe(target, finding.case, strict=True)
    if fault is None and finding.subject == Subject.PLATFORM:
        fault = judge.probe(target, finding.case)  # what strict reset cleans, memory reset may not
    if fault is not None and (fault.kind, fault.function) != (finding.kind, finding.function):
        fault = None
    return Replayed(fault, tuple(_runs(target, finding)))


def _runs(target: Target, finding: Replay) -> list[tuple[str, tuple[Step, ...]]]:
    case = finding.case
    methods = {e.name for e in target.guest.info.functions_exported}
    if any(c.function not in methods for c in case.calls):
        return []  # a platform check with a module of its own
    session = target.session("strict")
    if case.secret is not None:
        variants = zip(("first", "second"), case.variants(), strict=True)
        return [(f"one context, {n} secret", _steps(calls, session.sequence(calls))) for n, calls in variants]
    if case.context:
        alone = tuple(session.single(c) for c in case.calls)
        together = session.sequence(case.calls)
        return [
            ("one context", _steps(case.calls, together)),
            ("each call on its own", _steps(case.calls, alone)),
        ]
    return [("each call on its own", _steps(case.calls, session.run(case)))]


def _steps(calls: tuple[Call, ...], observations: tuple[Observation, ...]) -> tuple[Step, ...]:
    return tuple(Step(c, o) for c, o in zip(calls, observations, strict=False))
