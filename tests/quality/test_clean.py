"""No checker accuses a guest without a fault."""

from __future__ import annotations

import os
from random import Random

import pytest
from clean import CLEAN, Clean
from needs import missing, require_kvm

from hlfuzz.invariants import INVARIANTS, Budget, Status, examine

BUDGET = Budget(0.15, 20)
"""For each checker and guest; `make fault-table` takes longer, with ten seeds."""


@pytest.mark.programs("npm", "gcc", "g++")
@pytest.mark.parametrize("clean", CLEAN, ids=lambda c: c.name)
def test_a_clean_guest_is_not_accused(clean: Clean) -> None:
    if clean.native or os.environ.get("CI") == "true":
        require_kvm()
    try:
        target = clean.open()
    except Exception as error:
        if type(error).__name__ in ("NpmUnavailable", "SystemExit"):
            missing(str(error))
        raise
    wrong: list[str] = []
    with target:
        for invariant in INVARIANTS.values():
            verdict = examine(invariant, target, Random(1), BUDGET)
            if verdict.status not in (Status.HELD, Status.NOT_APPLICABLE):
                wrong.append(f"{invariant.id}: {verdict}")
    assert wrong == []


def test_there_are_as_many_clean_guests_as_promised() -> None:
    assert len(CLEAN) >= 20
