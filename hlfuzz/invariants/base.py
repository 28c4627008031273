"""What every checker is: `Invariant`, the fault it reports, its verdict and the row of a check."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from hlfuzz.invariants.case import Case
from hlfuzz.invariants.events import Run
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.shrink import shrink
from hlfuzz.invariants.steady import unsteady_host_function
from hlfuzz.invariants.target import Target
from hlfuzz.model import Difference

SHRINK_SECONDS: Final = 2.0
UNSURE: Final = 4
"""Faults that did not show again, after which a check gives up the search for one that does."""


class Subject(StrEnum):
    """Who is accused when an invariant is violated."""

    PLATFORM = "platform"
    GUEST = "guest"
    HOST = "host"
    """A host function that the user gave: neither platform nor guest is to blame for what it answers."""


class Status(StrEnum):
    """What a checker concludes."""

    HELD = "held"
    VIOLATED = "violated"
    NOT_APPLICABLE = "not-applicable"
    INCONCLUSIVE = "inconclusive"
    """Something was seen once, and not again."""
    BROKEN = "broken"
    """The checker itself failed: nothing is known about the target."""


class Kind(StrEnum):
    """What a finding is."""

    TRAP = "trap"
    TIMEOUT = "timeout"
    VIOLATION = "violation"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Fault:
    """One case in which something is wrong.

    `invariant` is "" for a trap, timeout or exceeded limit, which violate none. `function` is the call that
    went wrong. `detail` is short and stable between runs: it distinguishes faults of one function. `evidence`
    is lines for people, `changes` bytes that a report shows before and after. `strength` ranks proofs of the
    same defect: a leak that shows the secret's bytes is stronger than a mere dependence.
    """

    kind: Kind
    invariant: str
    subject: Subject
    function: str
    detail: str
    title: str
    evidence: tuple[str, ...]
    case: Case
    strength: int = 0
    changes: tuple[Difference, ...] = ()

    @property
    def signature(self) -> str:
        """Identifies the defect, and is usable as a file name: what, where, and a hash of both and of the
        detail."""
        what = self.invariant or self.kind
        digest = hashlib.sha256(
            "\0".join((self.kind, self.invariant, self.function, self.detail)).encode()
        ).hexdigest()
        where = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in self.function)[:40]
        return f"{what}-{where or 'module'}-{digest[:8]}"


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one checker may run: seconds and cases, whichever is reached first."""

    seconds: float
    runs: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one checker concluded: `runs` cases, `detail` why where that is not plain, the smallest `fault` if
    violated."""

    status: Status
    runs: int
    detail: str = ""
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a check report.

    `finding` is the reproducer's file, when the invariant was violated and it was saved.
    """

    invariant: str
    subject: Subject
    verdict: Verdict
    seconds: float
    finding: Path | None = None


class Invariant(ABC):
    """A property of a platform or a guest with a checker.

    A subclass gives `id`, `subject`, `doc` and `probe`; `cases` and `unfit` where the defaults do not fit. A
    probe must judge one case from a fresh state, so that the same method serves checking, shrinking and
    reproducing. What can be seen in one run of a case is less work as a `TraceInvariant`.
    """

    id: ClassVar[str]
    """Short and lower case, with hyphens: what users choose it by."""
    subject: ClassVar[Subject]
    """Who is accused when it is violated."""
    doc: ClassVar[str]
    """The promise, in one line."""
    observes: ClassVar[str] = ""
    """What the checker looks at."""
    blind: ClassVar[str] = ""
    """What it cannot see."""

    @abstractmethod
    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        """Judges one case; `strict` uses the strict reset level.

        Returns the fault, or None when the property held.
        """

    def violated(
        self,
        *,
        function: str,
        detail: str,
        title: str,
        evidence: tuple[str, ...],
        case: Case,
        strength: int = 0,
        changes: tuple[Difference, ...] = (),
        subject: Subject | None = None,
    ) -> Fault:
        """The fault of a case in which this invariant did not hold; the fields are those of `Fault`.
        `subject`, if it is not the one that the invariant usually accuses."""
        return Fault(
            kind=Kind.VIOLATION,
            invariant=self.id,
            subject=subject or self.subject,
            function=function,
            detail=detail,
            title=title,
            evidence=evidence,
            case=case,
            strength=strength,
            changes=changes,
        )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        """Cases worth judging, without end; an empty iterator means that there are none."""
        while (case := generator.sequence()) is not None:
            yield case

    def unfit(self, target: Target) -> str:
        """Why the property cannot be checked on this target; "" when it can."""
        return ""

    def check(self, target: Target, rng: Random, budget: Budget) -> Verdict:
        """Judges generated cases, at least one, until the budget is used or a fault is found, which is then
        made small."""
        if reason := self.unfit(target):
            return Verdict(Status.NOT_APPLICABLE, 0, reason)
        deadline = time.monotonic() + budget.seconds
        runs = 0
        unsure: list[Verdict] = []
        generator = Generator.of(target, rng)
        for case in self.cases(target, generator):
            if runs and (runs >= budget.runs or time.monotonic() >= deadline):
                break
            runs += 1
            with target.heard_by(generator.note):
                fault = self.probe(target, case)
            if fault is None:
                continue
            verdict = self.confirm(target, fault, runs)
            if verdict.fault is None or (verdict.status is Status.VIOLATED and not unsure):
                return verdict
            # What showed by chance in one case may show for certain in another. Chances add up, though: each
            # that came to nothing asks for one showing more.
            if verdict.status is Status.VIOLATED and self._shows(target, verdict.fault, len(unsure)):
                return verdict
            unsure.append(verdict)
            if len(unsure) == UNSURE:
                break
        if unsure:
            return replace(unsure[0], runs=runs)
        return (
            Verdict(Status.HELD, runs, self._doubt(target))
            if runs
            else Verdict(Status.NOT_APPLICABLE, 0, "no method that it could call")
        )

    def _shows(self, target: Target, fault: Fault, times: int) -> bool:
        return all(self.probe(target, fault.case, strict=True) is not None for _ in range(times))

    def _doubt(self, target: Target) -> str:
        """Why a guest that was not found wanting may have been judged on too little; "" when nothing is known
        of that."""
        if self.subject is Subject.PLATFORM or target.seeds or target.schema or not target.interface.vectors:
            return ""
        return (
            "only inputs guessed from the guest's own bytes were tried: give some that it understands "
            "(a corpus), or a schema"
        )

    def confirm(self, target: Target, fault: Fault, runs: int) -> Verdict:
        """The verdict on a fault: violated with the smallest case if it shows again under strict reset, and
        no host function that answers the same call in two ways may have brought it about."""
        unsteady = "" if fault.subject is Subject.HOST else unsteady_host_function(target, fault.case)
        if unsteady:
            return Verdict(
                Status.INCONCLUSIVE,
                runs,
                f"host function {unsteady} gave two answers to the same call, which may be why "
                f"{fault.title}: give one whose answers follow from what it is asked",
            )
        again = self.probe(target, fault.case, strict=True)
        if again is None:
            return Verdict(
                Status.INCONCLUSIVE, runs, f"seen once and not again under strict reset: {fault.title}", fault
            )
        small = shrink(
            again, lambda case: self.probe(target, case, strict=True), SHRINK_SECONDS, target.simpler_fields
        )
        return Verdict(Status.VIOLATED, runs, small.title, small)


@dataclass(frozen=True, slots=True)
class Problem:
    """What a `TraceInvariant` has against a run: the fields are those of `Fault`."""

    function: str
    title: str
    evidence: tuple[str, ...] = ()
    detail: str = ""
    strength: int = 0
    changes: tuple[Difference, ...] = ()


class TraceInvariant(Invariant):
    """An invariant that shows in the events of one run: a subclass gives its names and `judge`."""

    @abstractmethod
    def judge(self, target: Target, run: Run) -> Problem | None:
        """Looks at everything that happened in one run; None when the property held."""

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        """Runs the case and judges its events."""
        problem = self.judge(target, target.run(case, strict=strict))
        if problem is None:
            return None
        return self.violated(
            function=problem.function,
            detail=problem.detail,
            title=problem.title,
            evidence=problem.evidence,
            case=case,
            strength=problem.strength,
            changes=problem.changes,
        )
