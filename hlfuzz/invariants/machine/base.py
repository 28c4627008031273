"""What all rules of the machine share: the sandboxes so far, the pool, and the comparison after each step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple

from hlfuzz.errors import HlfuzzError, HlfuzzWarning, UsageError
from hlfuzz.invariants.experiments.lab import Lab
from hlfuzz.invariants.machine.model import BoxModel, Refusal
from hlfuzz.invariants.machine.real import Box, Host, State, agree, agree_seen
from hlfuzz.invariants.target import EngineName, Reset
from hlfuzz.sandbox import LeasedSandbox, Pool, Sandbox, Snapshot, why_no_kvm

MOST_BOXES: Final = 3
"""Sandboxes open at once, leases included."""
POOL_SIZE: Final = 2
MOST_SNAPSHOTS: Final = 6
MOST_SPINS: Final = 1
"""Endless loops in one run: each takes as long as a deadline."""

VALUES: Final = st.integers(1, 7)
"""What is noted: of a table, a place in it."""


def nothing() -> MultipleResults[Any]:
    """What a rule gives that was refused."""
    return multiple()


class Machine(RuleBasedStateMachine):
    """The options, and what there is at a moment."""

    engine: ClassVar[EngineName] = "auto"
    """As in `Sandbox`."""
    reset: ClassVar[Reset] = "strict"
    """As in `Sandbox`."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Further options of `Sandbox`: transport, deadline, …"""

    boxes: Bundle[Box] = Bundle("boxes")
    ended: Bundle[Box] = Bundle("ended")
    states: Bundle[State] = Bundle("states")

    def __init__(self) -> None:
        super().__init__()
        self.lab = Lab(self.engine, self.reset)
        self.host = Host(self.lab)
        self.all_boxes: list[Box] = []
        self.pool: Pool | None = None
        self.snapshots = self.spins = 0
        self.is_kvm = self.engine == "kvm" or (self.engine == "auto" and not why_no_kvm())

    @property
    def open_boxes(self) -> list[Box]:
        """Those that are not closed."""
        return [box for box in self.all_boxes if not box.model.is_closed]

    @property
    def has_room(self) -> bool:
        """Whether one more sandbox may be opened."""
        return len(self.open_boxes) < MOST_BOXES

    def add(self, real: Sandbox, model: BoxModel) -> Box:
        """A sandbox that takes part from here on."""
        box = Box(real, model)
        self.all_boxes.append(box)
        return box

    def take(self, refusal: Refusal, box: Box, take: Callable[[], Snapshot]) -> State | None:
        """A snapshot of the state as it is now, which a sandbox made from it begins with."""
        self.snapshots += 1
        real = agree("snapshot()", refusal or (None if self.is_kvm else UsageError), take)
        if real is None:
            return None
        with self.lab.open(snapshot=real, **self.options) as clone:
            agree_seen(Box(clone, BoxModel(box.model.now)))
        return State(real, box.model.now)

    def verify(self, box: Box) -> None:
        """All of the VM's RAM must be as in the snapshot, right after a reset."""
        pages = box.real.verify() if self.is_kvm else 0
        assert not pages, f"{pages} pages of the VM's RAM differ from the snapshot after a reset"

    @invariant()
    def agrees(self) -> None:
        for box in self.open_boxes:
            agree_seen(box)
        assert not self.host.wrong, self.host.wrong

    def teardown(self) -> None:
        # How a sandbox ends is for the rules: an error here would hide what was found before.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HlfuzzWarning)
            for box in self.open_boxes:
                with suppress(HlfuzzError):
                    if isinstance(box.real, LeasedSandbox):
                        box.real.pool.release(box.real)
                    else:
                        box.real.close()
            if self.pool is not None:
                with suppress(HlfuzzError):
                    self.pool.close()
        assert not self.host.wrong, self.host.wrong
