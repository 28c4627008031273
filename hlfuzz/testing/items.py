"""The tests of `pytest --hlfuzz=TARGET`: one for each invariant of each target, without any test code."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any, Final

import pytest

from hlfuzz.errors import Finding, HlfuzzError, UsageError
from hlfuzz.fuzz.check import MAX_RUNS
from hlfuzz.invariants import (
    Budget,
    Invariant,
    ProjectTarget,
    Status,
    Target,
    Verdict,
    examine,
)
from hlfuzz.invariants.settings.tables import suggestion
from hlfuzz.testing.cases import kept_cases, with_cases
from hlfuzz.testing.options import ROOT
from hlfuzz.testing.state import State
from hlfuzz.testing.text import keep_finding

_TIMER_SHARE: Final = 0.5
"""Of the time that pytest-timeout leaves to a test, a checker uses this much at most: it ends by itself."""


class Clock:
    """Divides the time of one target over its tests: what one does not use is for those after it, and one
    that takes longer does not take it from them."""

    def __init__(self, seconds: float) -> None:
        self._total = self._left = seconds
        self._fair = 0.0
        self._tests = 0

    def expect(self, tests: int) -> None:
        """So many tests are to come."""
        self._tests = tests
        self._fair = self._total / tests

    def share(self) -> float:
        """Seconds for the next test."""
        return max(self._left / max(self._tests, 1), self._fair)

    def spend(self, seconds: float) -> None:
        """A test took so long."""
        self._left -= seconds
        self._tests -= 1


class Root(pytest.Collector):
    """What contains the targets: its name is the first part of every id."""

    def __init__(self, *, state: State, targets: Sequence[ProjectTarget], **options: Any) -> None:
        super().__init__(**options)
        self._state = state
        self._targets = targets

    def collect(self) -> Iterator[TargetNode]:
        for target in self._targets:
            yield TargetNode.from_parent(  # pyright: ignore[reportUnknownMemberType]
                self, name=target.name, state=self._state, target=target
            )


class TargetNode(pytest.Collector):
    """One target with its checkers."""

    def __init__(self, *, state: State, target: ProjectTarget, **options: Any) -> None:
        super().__init__(**options)
        self.target = target
        self.clock = Clock(state.time)
        self._state = state
        self._told: dict[str, str] = {}

    def tell(self, problem: str, test: str) -> str:
        """The message of a test that could not ask: the problem, or which test has told it already."""
        first = self._told.setdefault(problem, test)
        return problem if first == test else f"the same error as {first}"

    def collect(self) -> Iterator[InvariantItem]:
        for invariant in self._state.invariants(self.target):
            yield InvariantItem.from_parent(  # pyright: ignore[reportUnknownMemberType]
                self, name=invariant.id, state=self._state, invariant=invariant, place=self
            )


class InvariantItem(pytest.Item):
    """One invariant of one target. Its setup asks the checker, its call says the verdict: a checker that
    cannot do its work is so an error of the test, and no failure of the target."""

    def __init__(self, *, state: State, invariant: Invariant, place: TargetNode, **options: Any) -> None:
        super().__init__(**options)  # pyright: ignore[reportUnknownMemberType]
        self._state = state
        self._invariant = invariant
        self._place = place
        self._verdict: Verdict | None = None
        self._finding: Finding | None = None
        self._unread = ""

    @property
    def clock(self) -> Clock:
        """The time that it shares with the other tests of its target."""
        return self._place.clock

    def setup(self) -> None:
        start = time.monotonic()
        try:
            self._examine()
        finally:
            self.clock.spend(time.monotonic() - start)

    def runtest(self) -> None:
        verdict = self._verdict
        assert verdict is not None
        if self._finding is not None:
            raise self._finding
        if verdict.status is Status.NOT_APPLICABLE:
            raise pytest.skip.Exception(verdict.detail, _use_item_location=True)
        if verdict.status is Status.INCONCLUSIVE:
            pytest.xfail(f"inconclusive: {verdict.detail}")

    def reportinfo(self) -> tuple[Any, int, str]:
        return self._place.target.module, 0, f"{self._place.name}: {self.name}"

    def _examine(self) -> None:
        invariant, seed = self._invariant, self._state.seed
        self._note(invariant=invariant.id, subject=invariant.subject, target=self._place.name, seed=seed)
        try:
            self._state.refuse_without_kvm()
            target = self._state.open(self._place.target)
            verdict = self._ask(target)
            if verdict.status is Status.VIOLATED:
                self._finding = self._keep(target, verdict)
        except HlfuzzError as error:
            problem = self._place.tell(f"{type(error).__name__}: {error}", self.nodeid)
            raise pytest.fail.Exception(problem, pytrace=False) from None
        self._verdict = verdict
        self._note(verdict=verdict.status, runs=verdict.runs)
        if verdict.status is Status.BROKEN:
            pytest.fail(verdict.detail, pytrace=False)
        doubts = [doubt for doubt in (self._unread, verdict.detail) if doubt]
        if verdict.status is Status.HELD and doubts:
            self._note(doubt="; ".join(doubts))

    def _ask(self, target: Target) -> Verdict:
        """What was found earlier is tried first, so that a failure stays one until it is mended."""
        budget = Budget(self._seconds(), MAX_RUNS)
        rng = Random(f"{self._state.seed} {self._invariant.id}")
        kept, self._unread = kept_cases(self._state.store(self._place.name), self._invariant, target)
        if kept:
            again = examine(with_cases(self._invariant, kept), target, rng, budget)
            if again.status is not Status.HELD:
                return again
        return examine(self._invariant, target, rng, budget)

    def _seconds(self) -> float:
        limit = _timer(self)
        share = self.clock.share()
        return share if limit is None else min(share, limit * _TIMER_SHARE)

    def _keep(self, target: Target, verdict: Verdict) -> Finding:
        fault = verdict.fault
        assert fault is not None
        finding, path = keep_finding(
            target,
            fault,
            self._state.store(self._place.name),
            seed=self._state.seed,
            runs=verdict.runs,
            module=self._place.target.module,
        )
        self._note(signature=fault.signature, finding=path)
        return finding

    def _note(self, **properties: object) -> None:
        """Properties of the report, which JUnit documents have too."""
        self.user_properties += [(f"hlfuzz.{name}", str(value)) for name, value in properties.items()]


def _timer(item: pytest.Item) -> float | None:
    """Seconds after which pytest-timeout ends the test; None without such a limit."""
    mark = item.get_closest_marker("timeout")
    config = item.config
    if mark is not None:
        value = mark.args[0] if mark.args else mark.kwargs.get("timeout")
    elif not config.pluginmanager.has_plugin("timeout"):
        return None
    else:
        value = config.getoption("timeout", None)
        if value is None:
            value = os.environ.get("PYTEST_TIMEOUT") or config.getini("timeout")
    try:
        limit = float(str(value))
    except ValueError:
        return None
    return limit if limit > 0 else None


def invariant_items(session: pytest.Session, state: State, wanted: Sequence[str]) -> list[pytest.Item]:
    """The tests of all chosen targets; of those that `wanted` names by id, only these where it names any.

    Raises: UsageError for an unknown target or invariant.
    """
    root = Root.from_parent(  # pyright: ignore[reportUnknownMemberType]
        session, name=ROOT, nodeid=ROOT, state=state, targets=state.chosen()
    )
    items: list[pytest.Item] = [item for target in root.collect() for item in target.collect()]
    chosen = _named(items, wanted) if wanted else items
    report = pytest.CollectReport(root.nodeid, "passed", None, list(chosen))
    session.ihook.pytest_collectreport(report=report)  # by which the terminal counts
    return chosen


def _named(items: Sequence[pytest.Item], wanted: Sequence[str]) -> list[pytest.Item]:
    found: dict[str, pytest.Item] = {}
    for name in wanted:
        named = [item for item in items if f"{item.nodeid}::".startswith(f"{name.rstrip(':')}::")]
        if not named:
            raise UsageError(
                f"no test {name!r} (command line): {suggestion(name, [i.nodeid for i in items])}"
            )
        found.update((item.nodeid, item) for item in named)
    return list(found.values())


def divide_time(items: Sequence[pytest.Item]) -> None:
    """Each target's time is for those of its tests that are left after deselection."""
    left = [item for item in items if isinstance(item, InvariantItem)]
    for item in left:
        item.clock.expect(sum(other.clock is item.clock for other in left))
