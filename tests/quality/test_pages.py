"""The pages that are written by `make fault-table` are not stale."""

from __future__ import annotations

import fault_table
from planted import planted

from hlfuzz.invariants import INVARIANTS

FAULTS_PAGE = fault_table.ROOT / "docs" / "planted-faults.md"


def test_the_page_of_invariants_says_what_the_checkers_say() -> None:
    text = fault_table.INVARIANTS_PAGE.read_text("utf-8")
    assert fault_table.with_invariants(text) == text, "run make fault-table"


def test_every_checker_says_what_it_looks_at_and_what_it_cannot_see() -> None:
    mute = [i.id for i in INVARIANTS.values() if not i.observes or not i.blind or not type(i).__doc__]
    assert mute == []


def test_the_page_of_planted_faults_has_a_line_for_each_and_none_was_missed() -> None:
    rows = [r for r in FAULTS_PAGE.read_text("utf-8").splitlines() if r.startswith("| `")]
    assert [r.split("`")[1] for r in rows] == [f.name for f in planted()], "run make fault-table"
    assert [r for r in rows if "| 10/10 |" not in r] == []


def test_as_many_faults_are_planted_as_promised() -> None:
    assert len(planted()) >= 40
