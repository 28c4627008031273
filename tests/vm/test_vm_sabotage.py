"""A damaged reset is seen by the very checks of `test_vm_reset`: without this they could be blind."""

from __future__ import annotations

import native
import pytest
from messy_guest import HOST, MESSES, WAT, leftovers, sight
from variants import Variant

from hlfuzz import HlfuzzError

DEADLINE = 0.02
VISIBLE_WITHOUT_VERIFY = (
    "set_globals", "set_references", "write_memory", "fill_memory", "grow_memory", "set_table", "grow_table",
    "drop_segments", "everything", "then_trap", "then_throw", "then_host", "then_host_fails", "then_nested",
)  # fmt: skip


@pytest.fixture(params=["exit", "spin"])
def way(request: pytest.FixtureRequest) -> Variant:
    return Variant(request.param, "strict" if request.param == "exit" else "memory", "ring")


@pytest.fixture
def messy(guest):
    return guest(WAT)


def test_a_reset_that_does_nothing_is_seen_in_every_kind_of_state(open_box, messy, way):
    box = open_box(messy, HOST, way, deadline=DEADLINE)
    for name in VISIBLE_WITHOUT_VERIFY:
        before = sight(box)
        native.plant(box, native.NO_RESET)
        found = leftovers(box, before, MESSES[name])
        assert found, f"{name}: the check is blind"
        assert native.differing_pages(box) > 0
        native.plant(box, 0)
        box.reset()
        assert sight(box) == before


@pytest.mark.parametrize("fault", [native.SKIP_PAGE, native.FORGET_NEW_PAGES])
def test_a_reset_that_forgets_pages_is_seen(open_box, messy, way, fault):
    box = open_box(messy, HOST, way, deadline=DEADLINE)
    before = sight(box)
    native.plant(box, fault)
    found = []
    for mess in ("fill_memory", "grow_memory", "everything", "then_trap"):
        found += leftovers(box, before, MESSES[mess])
        found += [mess] * (native.differing_pages(box) > 0)
    assert found


def test_verification_ends_a_sandbox_whose_reset_fails(open_box, messy, way):
    box = open_box(messy, HOST, way, deadline=DEADLINE, verify=1)
    before = sight(box)
    native.plant(box, native.NO_RESET)
    assert any(
        "state-reset violated by the platform" in text for text in leftovers(box, before, MESSES["trap"])
    )
    assert box.stats().verify_failures == 1
    with pytest.raises(HlfuzzError, match="cannot go on"):
        box.call("trap")
    box.close()
    assert leftovers(open_box(messy, HOST, way, verify=1), before, MESSES["trap"]) == []


def test_the_same_checks_are_quiet_on_a_sound_reset(open_box, messy, way):
    box = open_box(messy, HOST, way, deadline=DEADLINE, verify=1)
    before = sight(box)
    for name in VISIBLE_WITHOUT_VERIFY:
        assert leftovers(box, before, MESSES[name]) == [], name
