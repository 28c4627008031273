"""The checkers by id: those that come with hlfuzz, and those that users add."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from random import Random
from traceback import extract_tb, format_exception_only
from typing import Final

from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.invariants.base import Budget, Invariant, Status, Subject, Verdict
from hlfuzz.invariants.target import Target

INVARIANTS: Final[dict[str, Invariant]] = {}
"""Every checker by its id, in the order of a report."""


def register(invariant: Invariant) -> Invariant:
    """Add a checker: from then on it runs with the others, and is known by its id. Returns it.

    Raises `UsageError`: it is no `Invariant`, its id is taken or malformed, or it does not say whom it
    accuses and what it promises.
    """
    if isinstance(invariant, type):
        name = invariant.__name__
        raise UsageError(f"a class in the place of a checker ({name}): write register({name}())")
    kind = type(invariant).__name__
    if not isinstance(invariant, Invariant):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"not an invariant ({kind}): pass an instance of a subclass of Invariant")
    id_ = getattr(invariant, "id", "")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", str(id_)):
        raise UsageError(f"id {id_!r} is not usable ({kind}.id): use lower-case words joined by hyphens")
    if not isinstance(getattr(invariant, "subject", None), Subject) or not getattr(invariant, "doc", ""):
        raise UsageError(f"says too little of itself ({kind}): give it subject = Subject.… and doc = '…'")
    known = INVARIANTS.get(id_)
    if known is not None and type(known) is not type(invariant):
        raise UsageError(f"id {id_!r} is taken by {type(known).__name__} ({kind}.id): choose another")
    INVARIANTS[id_] = invariant
    return invariant


def choose(ids: Iterable[str], where: str) -> list[Invariant]:
    """The checkers of these ids; `where` names the place that a message points to. Raises `UsageError`."""
    __tracebackhide__ = True
    chosen: list[Invariant] = []
    for id_ in ids:
        if id_ not in INVARIANTS:
            near = difflib.get_close_matches(id_, INVARIANTS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(INVARIANTS)}"
            raise UsageError(f"unknown invariant {id_!r} ({where}): {hint}")
        chosen.append(INVARIANTS[id_])
    return chosen


def examine(invariant: Invariant, target: Target, rng: Random, budget: Budget) -> Verdict:
    """The verdict of a checker; `Status.BROKEN` when it raised, which accuses nobody but the checker.

    Raises `HlfuzzError` where the checker could not do its work for another reason: no KVM, a bad module.
    """
    try:
        return invariant.check(target, rng, budget)
    except HlfuzzError:
        raise
    except (Exception, SystemExit) as error:
        return Verdict(Status.BROKEN, 0, broken_text(invariant, error))


def broken_text(invariant: Invariant, error: BaseException) -> str:
    """What is told of a checker that raised: its own bug, with file and line."""
    place = extract_tb(error.__traceback__)[-1]
    what = "".join(format_exception_only(error)).strip()
    return (
        f"{type(invariant).__name__} raised {what} ({Path(place.filename).name}:{place.lineno}): "
        "mend the checker; this says nothing about the target"
    )
