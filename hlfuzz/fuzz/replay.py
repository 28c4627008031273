"""Runs a finding again and says, call by call, what happens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from hlfuzz.fuzz.finding import Replay
from hlfuzz.fuzz.triage import judge_of
from hlfuzz.invariants import Case, Fault, Observation, Subject, Target
from hlfuzz.model import Call


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a replayed case and what was seen."""

    call: Call
    observation: Observation


Runs: TypeAlias = tuple[tuple[str, tuple[Step, ...]], ...]
"""Ways in which one case was run, each a title and its steps."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """The outcome of a replay.

    `fault` is None when the defect did not show.
    """

    fault: Fault | None
    runs: Runs


def replay(finding: Replay) -> Replayed:
    """Judges the finding's case again under strict reset, in sandboxes of its own."""
    target = finding.target
    judge = judge_of(finding.invariant)
    fault = judge.probe(target, finding.case, strict=True)
    if fault is None and finding.subject == Subject.PLATFORM:
        fault = judge.probe(target, finding.case)  # what strict reset cleans, memory reset may not
    if fault is not None and (fault.kind, fault.function) != (finding.kind, finding.function):
        fault = None
    return Replayed(fault, steps_of(target, finding.case))


def steps_of(target: Target, case: Case) -> Runs:
    """Runs a case under strict reset in each way that tells something: with either secret, or with and
    without a context. Nothing where the case is an experiment of a checker with a module of its own."""
    methods = {e.name for e in target.guest.info.functions_exported}
    if any(c.function not in methods for c in case.calls):
        return ()
    if case.boxes or case.injection is not None:
        shown = [("as it was found", case)]
        if case.secret is not None:
            filled = (replace(case, calls=calls) for calls in case.variants())
            shown = list(zip(("with the first secret", "with the second secret"), filled, strict=True))
        runs = ((title, target.run(variant, strict=True)) for title, variant in shown)
        return tuple((title, tuple(Step(c.call, c.observation) for c in run.calls)) for title, run in runs)
    session = target.session("strict")
    if case.secret is not None:
        pairs = zip(("first", "second"), case.variants(), strict=True)
        return tuple((f"with the {n} secret", _steps(calls, session.sequence(calls))) for n, calls in pairs)
    if case.context:
        alone = tuple(session.single(c) for c in case.calls)
        together = session.sequence(case.calls)
        return (
            ("in one context", _steps(case.calls, together)),
            ("each call on its own", _steps(case.calls, alone)),
        )
    return (("each call on its own", _steps(case.calls, session.run(case))),)


def _steps(calls: tuple[Call, ...], observations: tuple[Observation, ...]) -> tuple[Step, ...]:
    return tuple(Step(c, o) for c, o in zip(calls, observations, strict=False))
