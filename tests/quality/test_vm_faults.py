"""Faults planted in the native reset are caught by `state-reset`, on a real micro-VM."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import guests
import pytest

from hlfuzz.invariants import INVARIANTS, Budget, Session, Status, Subject, Target
from hlfuzz.sandbox import why_no_kvm

SKIPS_A_PAGE = 1
FORGETS_GROWN_MEMORY = 4
DOES_NOTHING = 8
"""Bits of `hl_test_fault` (hlfuzz.h)."""

GROWS = """(module (memory (export "memory") 1 9)
  (func (export "grow") (result i32) (drop (memory.grow (i32.const 1)))
    (i32.store8 (i32.const 65540) (i32.add (i32.load8_u (i32.const 65540)) (i32.const 1)))
    (i32.load8_u (i32.const 65540))))"""


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """From here on every sandbox that a target opens has that fault."""
    if reason := why_no_kvm():
        pytest.skip(reason)
    from hlfuzz.vmm.library import lib

    open_sound = Target.open

    def plant(fault: int) -> None:
        def open_faulty(self: Target, **options: Any) -> Session:
            session = open_sound(self, **options)
            engine: Any = session.box._engine
            assert lib.hl_test_fault(engine._machine.pointer, fault) == lib.HL_DONE
            return session

        monkeypatch.setattr(Target, "open", open_faulty)

    return plant


@pytest.mark.parametrize(
    ("fault", "wat"),
    [
        (SKIPS_A_PAGE, guests.COUNTS),
        (FORGETS_GROWN_MEMORY, GROWS),
        (DOES_NOTHING, guests.COUNTS),
        (DOES_NOTHING, GROWS),
    ],
)
def test_a_sabotaged_reset_is_found(plant: Callable[[int], None], fault: int, wat: str) -> None:
    with guests.target(wat, "kvm") as target:
        assert target.pristine_digest  # of a sound sandbox
        if fault == SKIPS_A_PAGE and target.session(role="look").vm is None:
            pytest.skip("this build cannot compare the VM's RAM with its snapshot")
        plant(fault)
        verdict = INVARIANTS["state-reset"].check(target, Random(1), Budget(5.0, 60))
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    assert verdict.fault.subject is Subject.PLATFORM
