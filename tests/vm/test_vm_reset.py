"""Nothing that a call did survives it: every kind of state, every way to run, track and reset."""

from __future__ import annotations

import messy_guest
import native
import pytest
from messy_guest import HOST, MESSES, WAT, leftovers, sight

DEADLINE = 0.02


@pytest.fixture(scope="module")
def messy():
    """The guest's bytes; each variant boots it anew, because tracking belongs to the snapshot."""
    import wasmtime

    return bytes(wasmtime.wat2wasm(WAT))


def test_each_mess_makes_a_difference_until_the_reset(guest, open_box, messy):
    """The looks see every mess: without that the tests below would prove nothing."""
    variant = type("V", (), {"transport": "exit", "reset": "strict", "tracking": "ring"})()
    box = open_box(guest(messy), HOST, variant, deadline=DEADLINE)
    for name in messy_guest.MESSES:
        if name in ("use_stack", "context", "poisoned context", "host writes", "trap"):
            continue
        before = sight(box)
        native.plant(box, native.NO_RESET)
        found = leftovers(box, before, MESSES[name])
        native.plant(box, 0)
        box.reset()
        assert found, name
        assert sight(box) == before


def test_nothing_survives_a_call(guest, open_box, messy, variant):
    box = open_box(guest(messy), HOST, variant, deadline=DEADLINE, verify=1)
    before = sight(box)
    for name, mess in MESSES.items():
        assert leftovers(box, before, mess) == [], name
    assert native.differing_pages(box) == 0
    stats = box.stats()
    assert stats.verify_failures == 0
    assert stats.verifies >= len(MESSES)
    assert stats.timeouts == 2
