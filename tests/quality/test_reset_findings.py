"""A finding about a reset or about isolation is saved, and shows again in sandboxes of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from needs import require_kvm
from planted import Planted, reset

from hlfuzz.fuzz import Store, load, replay
from hlfuzz.fuzz.check import check
from hlfuzz.invariants import INVARIANTS, Status

CHOSEN = (
    "reset-of-wasm-forgets-vectors",
    "memory-reset-skips-a-page",
    "crash-leaves-vectors",
    "a-clone-shares-a-page",
)
FAULTS = [fault for fault in reset.FAULTS if fault.name in CHOSEN]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.name)
def test_it_shows_again_when_it_is_replayed_and_not_when_the_fault_is_mended(
    fault: Planted, tmp_path: Path
) -> None:
    require_kvm()
    with fault.open() as target:
        (row,) = check(target, [INVARIANTS[fault.invariant]], Store(tmp_path), seconds=20.0, seed=1)
        assert row.verdict.status is Status.VIOLATED
        assert row.finding is not None
        again = load(row.finding)
        with again.target:
            found = replay(again).fault
    assert found is not None
    mended = load(row.finding)
    with mended.target:
        assert replay(mended).fault is None


def test_all_that_were_chosen_are_there() -> None:
    assert {fault.name for fault in FAULTS} == set(CHOSEN)
