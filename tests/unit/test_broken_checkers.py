"""A checker of a user's that fails in any way is reported as its own bug, and accuses nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import ClassVar

import pytest

from hlfuzz import Guest
from hlfuzz.errors import UsageError
from hlfuzz.invariants import (
    Budget,
    Case,
    Config,
    Invariant,
    Problem,
    Run,
    Status,
    Subject,
    Target,
    TraceInvariant,
    describe_interface,
    examine,
)


class WithoutText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def index(run: Run) -> Problem | None:
    return [][len(run.calls)]


def ends(run: Run) -> Problem | None:
    raise SystemExit(0)


def without_text(run: Run) -> Problem | None:
    raise WithoutText


def wrong_answer(run: Run) -> Problem | None:
    return "a leak"  # type: ignore[return-value]


@pytest.fixture
def target(guest: Callable[..., Guest]) -> Iterator[Target]:
    module = guest('(module (func (export "f")))')
    with Target(module, describe_interface(module.info, Config()), engine="inprocess") as target:
        yield target


def checker(judges: Callable[[Run], Problem | None]) -> Invariant:
    class Checker(TraceInvariant):
        id: ClassVar[str] = "broken-on-purpose"
        subject: ClassVar[Subject] = Subject.GUEST
        doc: ClassVar[str] = "nothing"

        def judge(self, target: Target, run: Run) -> Problem | None:
            return judges(run)

    return Checker()


@pytest.mark.parametrize(
    ("judges", "what"),
    [(index, "IndexError"), (ends, "SystemExit"), (without_text, "WithoutText"), (wrong_answer, "str")],
    ids=["raises", "exits", "raises without a text", "returns nonsense"],
)
def test_a_checker_that_fails_is_broken_and_no_finding(
    judges: Callable[[Run], Problem | None], what: str, target: Target
) -> None:
    verdict = examine(checker(judges), target, Random(1), Budget(5, 5))
    assert (verdict.status, verdict.fault) == (Status.BROKEN, None)
    assert what in verdict.detail
    assert ".py:" in verdict.detail


def test_a_checker_that_is_interrupted_is_not_taken_for_a_broken_one(target: Target) -> None:
    def interrupted(run: Run) -> Problem | None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        examine(checker(interrupted), target, Random(1), Budget(5, 5))


def test_a_case_that_no_checker_can_run_is_refused_as_the_users_mistake(target: Target) -> None:
    class Wrong(TraceInvariant):
        id: ClassVar[str] = "wrong-case"
        subject: ClassVar[Subject] = Subject.GUEST
        doc: ClassVar[str] = "nothing"

        def cases(self, target: Target, generator: object) -> object:  # type: ignore[override]
            from hlfuzz.model import Call

            yield Case((Call("no_such_export"),))

        def judge(self, target: Target, run: Run) -> Problem | None:
            return None

    with pytest.raises(UsageError, match="no_such_export"):
        examine(Wrong(), target, Random(1), Budget(5, 5))
