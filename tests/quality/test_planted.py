"""Each planted fault is caught by the checker for it, and blamed on who is at fault."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from needs import require_kvm
from planted import Planted, planted

from hlfuzz.invariants import INVARIANTS, Budget, Status

FAULTS = planted()
BUDGET = Budget(60.0, 100_000)
"""What the promise allows for one fault."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_a_planted_fault_is_caught_by_its_checker(fault: Planted) -> None:
    if fault.kvm:
        require_kvm()
    with fault.open() as target:
        verdict = INVARIANTS[fault.invariant].check(target, Random(1), BUDGET)
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    assert verdict.fault.subject is fault.subject, verdict.fault.title


def test_every_invariant_has_a_fault_that_it_must_catch() -> None:
    assert {f.invariant for f in FAULTS} == set(INVARIANTS)


def test_names_of_planted_faults_are_unique() -> None:
    assert [name for name, count in Counter(f.name for f in FAULTS).items() if count > 1] == []
