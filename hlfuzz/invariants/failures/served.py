"""After something failed: is the sandbox at its snapshot, and does it answer as one that was never used?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from hlfuzz.errors import HlfuzzError
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import (
    Observation,
    changed_answer,
    observation_key,
    observation_text,
    outcome_text,
)
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Outcome, Timeout

Found: TypeAlias = tuple[int, str]
"""Number of the call that went wrong, and what was wrong."""


Ends: TypeAlias = Mapping[str, Callable[[Outcome], bool]]
"""For functions that cannot return: is this how a call of it must end?"""


def judge_guest_failure(target: Target, case: Case, ends: Ends, strict: bool) -> Found | None:
    """Runs calls of which some trap or do not end: the outcome must be the one that a fresh sandbox has, and
    later calls must not notice."""
    session = target.session("strict" if strict else "memory")
    found = _judge(target, session, case, ends)
    if found is not None:
        target.drop(session)
    return found


def _judge(target: Target, session: Session, case: Case, ends: Ends) -> Found | None:
    try:
        seen = session.run(case)
    except HlfuzzError as error:
        return len(case.calls) - 1, f"it ends the sandbox: {error}"
    with target.open() as fresh:
        expected = fresh.run(case)
        if len(seen) != len(expected):
            return len(
                seen
            ) - 1, f"a fresh sandbox makes {len(expected)} of these calls, this one {len(seen)}"
        for at, (one, other) in enumerate(zip(seen, expected, strict=True)):
            if differs(one, other) and steady(target, case, at, other):
                return at, f"{observation_text(one)}, but in a fresh sandbox it {observation_text(other)}"
            wanted = ends.get(case.calls[at].function)
            if wanted is not None and not wanted(one.outcome):
                return at, f"it {outcome_text(one.outcome)}"
    return not_served(target, session, case)


def not_served(target: Target, session: Session, case: Case) -> Found | None:
    """What shows in the session, between calls, that an earlier one has left something behind: in its memory,
    or in how it answers the case's calls."""
    pristine = "" if session.vm is not None else target.pristine_digest
    with target.open() as fresh:
        expected = {call: fresh.single(call) for call in case.calls}
    last = len(case.calls) - 1
    try:
        if changed := _changed(session, pristine):
            return last, f"{changed} afterwards"
        for call, wanted in expected.items():
            if isinstance(wanted.outcome, Timeout):
                continue
            found = session.single(call)
            if differs(found, wanted) and steady(target, Case((call,), context=False), 0, wanted):
                return case.calls.index(call), (
                    f"the next call of {call.function} {observation_text(found)}, but in a fresh sandbox it "
                    f"{observation_text(wanted)}"
                )
            if changed := _changed(session, pristine):
                return case.calls.index(call), f"{changed} after a call of {call.function}"
    except HlfuzzError as error:
        return last, f"the sandbox does not serve the next call: {error}"
    return None


def steady(target: Target, case: Case, at: int, seen: Observation) -> bool:
    """Whether call `at` of the case is answered as `seen` again in one more fresh sandbox: host functions of
    the user's may answer as they like, and that is no fault of the platform."""
    with target.open() as other:
        again = other.run(case)
    return at < len(again) and not differs(again[at], seen)


def _changed(session: Session, pristine: str) -> str:
    if session.vm is not None:
        pages = session.vm.verify()
        return f"{pages} pages of the VM's memory differ from the snapshot" if pages else ""
    return "" if session.state_digest() == pristine else "a memory or global is not what it was at first"


def differs(one: Observation, other: Observation) -> bool:
    """Whether two observations of the same call differ; a timeout on one side only may be a busy machine, and
    what follows from another answer of the user's own host function is none of the platform's."""
    if isinstance(one.outcome, Timeout) is not isinstance(other.outcome, Timeout):
        return False
    return observation_key(one) != observation_key(other) and changed_answer(one, other) is None
