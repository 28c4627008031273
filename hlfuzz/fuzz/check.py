"""Runs the checkers of all invariants on one target and saves what they find."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from hlfuzz.fuzz.finding import save
from hlfuzz.fuzz.store import Store
from hlfuzz.invariants import Budget, Invariant, Row, Status, Target, examine

MAX_RUNS: Final = 2000
"""Cases a checker judges at most; more belong into a campaign."""


def check(
    target: Target,
    invariants: Sequence[Invariant],
    store: Store,
    *,
    seconds: float,
    seed: int,
    listener: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """One row for each invariant, in order; `listener` gets each as soon as it is there.

    `seconds` is for all of them together: what one does not use is for those after it, and each gets at least
    half of its part, whatever those before it took. Faults of violated invariants are saved in `store`.
    """
    rows: list[Row] = []
    deadline = time.monotonic() + seconds
    for at, invariant in enumerate(invariants):
        start = time.monotonic()
        fair = seconds / len(invariants)
        share = max((deadline - start) / (len(invariants) - at), fair / 2)
        verdict = examine(invariant, target, Random(f"{seed} {invariant.id}"), Budget(share, MAX_RUNS))
        finding = None
        if verdict.status is Status.VIOLATED and verdict.fault is not None:
            finding = save(store, target, verdict.fault, seed=seed).path
        subject = invariant.subject if verdict.fault is None else verdict.fault.subject
        rows.append(Row(invariant.id, subject, verdict, time.monotonic() - start, finding))
        listener(rows[-1])
    return rows
