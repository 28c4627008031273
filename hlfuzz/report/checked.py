"""What a check showed, as text that every report is written from: gathered while the target is still open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hlfuzz.fuzz import Runs, calls_text, steps_of
from hlfuzz.invariants import (
    INVARIANTS,
    Case,
    Fault,
    Observation,
    Row,
    Status,
    Subject,
    Target,
    observation_text,
)
from hlfuzz.model import Ok, Trap
from hlfuzz.report.hexdump import Dump, compare
from hlfuzz.report.reproducer import as_test, shown_test

MAX_COMPARISONS: Final = 4
"""Pairs of buffers shown of one finding; the first ones tell what the others repeat."""


SHOWN_BYTES: Final = 32
"""Of each buffer in the list of what calls did; comparisons show more."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a finding's case, and what its caller saw."""

    call: str
    saw: str


@dataclass(frozen=True, slots=True)
class ShownRun:
    """The case made once in one way: `title` says which."""

    title: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same bytes in two runs, or before and after: `what` they are, and the name of each side."""

    what: str
    left: str
    right: str
    dump: Dump


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the guest's source: `file` as the compiler wrote it, `line` from 1."""

    file: str
    line: int


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A violated invariant, for people: `calls` are the smallest case, `test` a pytest file that fails."""

    signature: str
    kind: str
    title: str
    function: str
    how: str
    calls: tuple[str, ...]
    evidence: tuple[str, ...]
    runs: tuple[ShownRun, ...]
    comparisons: tuple[Comparison, ...]
    source: Source | None
    test: str
    path: Path | None
    test_path: Path | None

    @property
    def shown_test(self) -> str:
        """The test, cut where it is long."""
        return shown_test(self.test, self.test_path)


@dataclass(frozen=True, slots=True)
class CheckedRow:
    """One invariant: what it promises, looks at and cannot see, and what came of checking it."""

    invariant: str
    subject: Subject
    promise: str
    observes: str
    blind: str
    status: Status
    runs: int
    seconds: float
    detail: str
    finding: ShownFinding | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A whole check. `module` is the guest's file, None when it came from memory; `environment` are facts of
    the machine by name."""

    guest: str
    module: Path | None
    sha256: str
    size: int
    engine: str
    seed: int
    seconds: float
    rows: tuple[CheckedRow, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def count(self, status: Status) -> int:
        """How many invariants had that verdict."""
        return sum(row.status is status for row in self.rows)

    @property
    def findings(self) -> tuple[tuple[CheckedRow, ShownFinding], ...]:
        """The violated invariants with their findings."""
        return tuple((row, row.finding) for row in self.rows if row.finding is not None)


def gather(
    target: Target,
    rows: Sequence[Row],
    *,
    seed: int,
    module: Path | None = None,
    environment: Sequence[tuple[str, str]] = (),
) -> Checked:
    """Everything that reports show of a check; runs the case of each finding once more to show its calls."""
    return Checked(
        guest=target.guest.name,
        module=module,
        sha256=target.guest.digest,
        size=target.guest.info.size,
        engine=target.session().box.engine,
        seed=seed,
        seconds=sum(row.seconds for row in rows),
        rows=tuple(_row(target, row, seed, module) for row in rows),
        environment=tuple(environment),
    )


def _row(target: Target, row: Row, seed: int, module: Path | None) -> CheckedRow:
    verdict = row.verdict
    known = INVARIANTS.get(row.invariant)
    fault = verdict.fault if verdict.status is Status.VIOLATED else None
    return CheckedRow(
        invariant=row.invariant,
        subject=fault.subject if fault else row.subject,
        promise=known.doc if known else "",
        observes=known.observes if known else "",
        blind=known.blind if known else "",
        status=verdict.status,
        runs=verdict.runs,
        seconds=row.seconds,
        detail=verdict.detail,
        finding=_finding(target, fault, row.finding, seed, module) if fault else None,
    )


def _finding(target: Target, fault: Fault, path: Path | None, seed: int, module: Path | None) -> ShownFinding:
    runs = steps_of(target, fault.case)
    return ShownFinding(
        signature=fault.signature,
        kind=fault.kind,
        title=fault.title,
        function=fault.function,
        how=how(fault.case),
        calls=calls_text(target, fault.case),
        evidence=fault.evidence,
        runs=tuple(
            ShownRun(
                title,
                tuple(
                    Step(target.call_text(s.call), observation_text(s.observation, limit=SHOWN_BYTES))
                    for s in steps
                ),
            )
            for title, steps in runs
        ),
        comparisons=(*_changes(fault), *_comparisons(runs))[:MAX_COMPARISONS],
        source=_source(runs),
        test=as_test(target, fault, seed=seed, module=module),
        path=path,
        test_path=None if path is None else path.with_suffix(".py"),
    )


def how(case: Case) -> str:
    """How the calls of a case are made, for people."""
    if len(case.calls) == 1 and not case.secret:
        return "one call"
    where = f" over {len(set(case.boxes))} sandboxes" if len(set(case.boxes)) > 1 else ""
    kind = "in one call context" if case.context else "each reset right after it"
    slot = case.secret
    secret = "" if slot is None else f", a tenant's secret of {slot.length} bytes in call {slot.call + 1}"
    return f"{len(case.calls)} calls{where}, {kind}{secret}"


def _changes(fault: Fault) -> Iterator[Comparison]:
    for change in fault.changes:
        dump = compare(change.before, change.after, change.address)
        yield Comparison(change.place or "memory", "in the snapshot", "now", dump)


def _comparisons(runs: Runs) -> Iterator[Comparison]:
    """The buffers in which two runs of the same calls differ."""
    if len(runs) != 2:
        return
    (left, a), (right, b) = runs
    for at, (one, two) in enumerate(zip(a, b, strict=False), 1):
        for (name, x), (_, y) in zip(_buffers(one.observation), _buffers(two.observation), strict=False):
            if x != y:
                yield Comparison(f"{name}, call {at}", left, right, compare(x, y))


def _buffers(observation: Observation) -> list[tuple[str, bytes]]:
    """Every byte string that the caller of a call can see."""
    found = [(f"sent to {c.function}", c.data) for c in observation.host_calls if c.data is not None]
    if isinstance(observation.outcome, Ok):
        found += [("result", v) for v in observation.outcome.values if isinstance(v, bytes)]
    return found


def _source(runs: Runs) -> Source | None:
    """Where the first trap of a run happened, as far as the module has debug information."""
    for _, steps in runs:
        for step in steps:
            outcome = step.observation.outcome
            if isinstance(outcome, Trap):
                for frame in outcome.frames:
                    if frame.line:
                        return Source(frame.file, frame.line)
    return None
