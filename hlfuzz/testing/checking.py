"""Judges what a test with `@hlfuzz.invariants` called: the fixture `hlfuzz_checked`."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Final, NoReturn

import pytest

from hlfuzz.errors import Finding, HlfuzzError, UsageError
from hlfuzz.fuzz.check import MAX_RUNS
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Case,
    Fault,
    Invariant,
    Secret,
    Status,
    Subject,
    Target,
    Verdict,
    examine,
)
from hlfuzz.invariants.case import vector_index
from hlfuzz.invariants.decorator import MARK
from hlfuzz.invariants.generate import SECRET_BYTES
from hlfuzz.invariants.generate import Generator as CaseGenerator
from hlfuzz.invariants.registry import broken_text
from hlfuzz.invariants.steady import unsteady_host_function
from hlfuzz.model import Call
from hlfuzz.sandbox import Provider
from hlfuzz.testing.cases import with_cases
from hlfuzz.testing.fixtures import plainly, setting_of
from hlfuzz.testing.recorded import RecordedSandbox
from hlfuzz.testing.text import keep_finding

MAX_DERIVED: Final = 8
"""Cases with a secret that are made of one recorded case."""

_active: list[Checking] = []


def active() -> Checking | None:
    """That of the test that is running, if it uses the fixture."""
    return _active[-1] if _active else None


def open_checking(item: pytest.Item, guest: Guest, host: Mapping[str, Provider]) -> Generator[Checking]:
    """For `hlfuzz_checked`."""
    with plainly():
        target = setting_of(item).open(guest, host)
    with target:
        _active.append(Checking(item, target))
        try:
            yield _active[-1]
        finally:
            _active.pop()


class Checking:
    """The checkers of one test, and the target on which they run its calls again, in other sandboxes."""

    def __init__(self, item: pytest.Item, target: Target) -> None:
        self.target = target
        self._item = item
        self._state = setting_of(item).state
        marked = [one for mark in item.iter_markers(MARK) for one in mark.args]
        checkers: dict[str, Invariant] = {checker.id: checker for checker in marked}
        # Known before the body runs: to generate a case inside of an example would nest two Hypothesis tests.
        self._checkers = {checker: _judges_own_cases(checker, target) for checker in checkers.values()}
        self._examples = 0
        self._broken = ""

    @property
    def box(self) -> RecordedSandbox | None:
        """The test's own sandbox, if it uses one. Raises: UsageError for one that does not record."""
        box = getattr(self._item, "funcargs", {}).get("hlfuzz_sandbox")
        if box is not None and not isinstance(box, RecordedSandbox):
            raise UsageError(
                f"the fixture hlfuzz_sandbox is not the plugin's ({self._item.nodeid}): its calls are not "
                "recorded; override hlfuzz_guest and hlfuzz_host, or mark the test, instead"
            )
        return box

    def begin_example(self) -> None:
        """The next example starts from a fresh sandbox."""
        if (box := self.box) is not None:
            box.restart()

    def judge_example(self, cases: Sequence[Case]) -> None:
        """Probe one example's calls: those that it made, else `cases`. Hypothesis makes small what fails.

        Raises: Finding.
        """
        self._examples += 1
        box = self.box
        made = (box.cases() if box is not None else []) or list(cases)
        for checker, own in self._checkers.items():
            if self._broken:
                return  # that is for `judge` to tell: Hypothesis would make it small, as if it were a finding
            with plainly():
                try:
                    fault = self._probe(checker, own, made)
                except HlfuzzError:
                    raise
                except Exception as error:
                    self._broken = broken_text(checker, error)
                    return
            if fault is not None:
                raise self._finding(fault, len(made))

    def judge(self) -> None:
        """Judge what the test called, or generated calls when it called nothing.

        Raises: Finding for a violated invariant. The test fails when a checker is broken, and is skipped when
        one cannot be asked here and the others have found nothing.
        """
        if not self._checkers:
            return
        unasked: list[str] = []
        self._note(invariant=",".join(c.id for c in self._checkers), seed=self._state.seed)
        with plainly():
            box = self.box
            cases = [] if box is None else box.cases()
        unsure: list[str] = []
        if self._broken:
            self._fail_as_broken(self._broken)
        for checker, own in self._checkers.items():
            with plainly():
                verdict = self._verdict(checker, own, cases)
            self._conclude(checker, verdict)
            if verdict.status is Status.NOT_APPLICABLE:
                unasked.append(f"{checker.id}: {verdict.detail}")
            if verdict.status is Status.INCONCLUSIVE:
                unsure.append(f"{checker.id}: {verdict.detail}")
        if unsure:
            self._note(verdict=Status.INCONCLUSIVE)
            pytest.xfail(f"inconclusive: {'; '.join(unsure)}")
        if unasked:
            self._note(verdict=Status.NOT_APPLICABLE)
            pytest.skip("; ".join(unasked))
        self._note(verdict=Status.HELD)

    def _verdict(self, checker: Invariant, own: bool, cases: Sequence[Case]) -> Verdict:
        if reason := checker.unfit(self.target):
            return Verdict(Status.NOT_APPLICABLE, 0, reason)
        if self._examples and not own:
            return Verdict(Status.HELD, self._examples)  # each of them was judged
        seed = Random(f"{self._state.seed} {checker.id}")
        budget = Budget(self._state.time / len(INVARIANTS), MAX_RUNS)
        verdict = Verdict(Status.HELD, 0)
        if cases:
            given = [d for case in cases for d in _derived(case, self.target, seed)] if own else cases
            verdict = examine(with_cases(checker, given), self.target, seed, budget) if given else verdict
        if verdict.status is Status.HELD and (own or not cases):
            # Its cases are not of the kind that a test makes, so the test's calls alone would show nothing.
            again = examine(checker, self.target, seed, budget)
            verdict = replace(again, runs=again.runs + verdict.runs)
        return verdict

    def _conclude(self, checker: Invariant, verdict: Verdict) -> None:
        if verdict.status is Status.BROKEN:
            self._fail_as_broken(verdict.detail)
        if verdict.status is Status.VIOLATED:
            assert verdict.fault is not None
            raise self._finding(verdict.fault, verdict.runs)

    def _fail_as_broken(self, text: str) -> NoReturn:
        self._note(verdict=Status.BROKEN)
        pytest.fail(text, pytrace=False)

    def _probe(self, checker: Invariant, own: bool, cases: Sequence[Case]) -> Fault | None:
        """The first fault that also shows under strict reset."""
        if checker.unfit(self.target):
            return None  # `judge` says so when all examples have passed
        if own:
            rng = Random(0)
            cases = [derived for case in cases for derived in _derived(case, self.target, rng)]
        for case in cases:
            fault = checker.probe(self.target, case)
            fault = fault and checker.probe(self.target, fault.case, strict=True)
            if fault is None:
                continue
            unsteady = unsteady_host_function(self.target, fault.case)
            if unsteady and fault.subject is not Subject.HOST:
                raise UsageError(
                    f"host function {unsteady} gave two answers to the same call (hlfuzz_host): give one "
                    "whose answers follow from what it is asked"
                )
            return fault
        return None

    def _finding(self, fault: Fault, runs: int) -> Finding:
        named = setting_of(self._item).target
        finding, path = keep_finding(
            self.target,
            fault,
            self._state.store(named.name if named is not None else self.target.guest.name),
            seed=self._state.seed,
            runs=runs,
            module=None if named is None else named.module,
        )
        self._note(verdict=Status.VIOLATED, signature=fault.signature, finding=path)
        return finding

    def _note(self, **properties: object) -> None:
        mine = {f"hlfuzz.{name}": str(value) for name, value in properties.items()}
        kept = [(name, value) for name, value in self._item.user_properties if name not in mine]
        self._item.user_properties[:] = [*kept, *mine.items()]


def _judges_own_cases(checker: Invariant, target: Target) -> bool:
    """Does it judge only cases that no test makes: with a secret, several sandboxes, an experiment?"""
    generator = CaseGenerator.of(target, Random(0))
    try:
        case = next(iter(checker.cases(target, generator)), None)
    except Exception:
        return False  # the checker is broken, as its verdict will say
    if case is None:
        return True
    exported = {e.name for e in target.guest.info.functions_exported}
    plain = case.secret is None and case.injection is None and not case.boxes
    return not plain or any(call.function not in exported for call in case.calls)


def _derived(case: Case, target: Target, rng: Random) -> list[Case]:
    """The case with a secret in each of its byte vectors in turn: from another tenant of its context, and
    from a tenant of another sandbox. With a schema it takes the place of a field's content."""
    calls = case.calls if len(case.calls) > 1 else case.calls * 2
    made: list[Case] = []
    for at in range(len(calls)):
        one = _with_secret(calls, at, target, rng)
        if one is not None:
            made += [one, replace(one, boxes=tuple(int(n == at) for n in range(len(calls))))]
    return made[:MAX_DERIVED]


def _with_secret(calls: tuple[Call, ...], at: int, target: Target, rng: Random) -> Case | None:
    generator = CaseGenerator(target.interface, rng)
    first, second = generator.secret(), generator.secret()
    typed = target.interface.typed
    if typed is not None:
        from hlfuzz.invariants.typed.source import carry

        found = carry(typed, calls[at], first, rng)
        if found is None:
            return None
        sender, offset = found
        slot = Secret(at, offset, SECRET_BYTES, first, second)
        return Case((*calls[:at], sender, *calls[at + 1 :]), secret=slot)
    index = vector_index(calls[at])
    size = len(calls[at].args[index]) if index >= 0 else 0  # type: ignore[arg-type]
    return Case(calls, secret=Secret(at, 0, size, first, second)) if size >= SECRET_BYTES else None
