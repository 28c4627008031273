"""Lets the n-th native operation of a kind fail, for checks of what that leaves behind."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from hlfuzz.vmm.library import lib

Point: TypeAlias = Literal["kvm", "run", "memory", "timer", "file"]
"""Kinds of operations: making and changing a VM, running its vCPU, mappings and memory files, the deadline's
timer, snapshot files."""

_BITS: Final[dict[Point, int]] = {
    "kvm": lib.HL_POINT_KVM,
    "run": lib.HL_POINT_RUN,
    "memory": lib.HL_POINT_MEMORY,
    "timer": lib.HL_POINT_TIMER,
    "file": lib.HL_POINT_FILE,
}


KICK: Final[int] = lib.HL_KICK
"""In the place of an errno: the operation is made, and a kick (hlfuzz.h, "Threads and signals") is pending
when it begins. Of use with "run" only."""


@dataclass(slots=True)
class Failing:
    """What happened in a `failing` block, once it has ended: `count` operations, and whether the n-th was one
    of them."""

    nth: int
    count: int = 0

    @property
    def hit(self) -> bool:
        """Whether an operation was made to fail."""
        return 0 < self.nth <= self.count


@contextmanager
def failing(points: tuple[Point, ...], nth: int = 0, error: int = 0) -> Generator[Failing]:
    """In the block, the `nth` operation of these kinds that this thread makes fails with the errno `error`,
    and is not made; `nth` 0: none fails, they are counted.

    What the threads of a sandbox do that was opened in such a block (`spin`, `dispatch`) counts as this
    thread's, in later blocks too."""
    found = Failing(nth)
    lib.hl_test_inject(sum(_BITS[point] for point in points), nth, error)
    try:
        yield found
    finally:
        found.count = lib.hl_test_inject(0, 0, 0)
