"""`Slot`: one sandbox of a pool, with what is counted of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from hlfuzz.sandbox.box import Sandbox
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.pool.histogram import Histogram


@dataclass(slots=True)
class Counters:
    """What is counted of a sandbox, or of several."""

    resets: int = 0
    held: Histogram = field(default_factory=Histogram)
    """Durations of its leases that ended. One that has not is known by the slot's gate."""

    def merge(self, other: Counters) -> None:
        """Count what `other` has counted."""
        self.resets += other.resets
        self.held.merge(other.held)


class Slot:
    """Belongs to one thread at a time: the leasing one, or whoever took it out of the idle ones. So its
    counters need no lock."""

    __slots__ = ("box", "counters", "gate", "since_ns")

    def __init__(self, box: Sandbox, now_ns: int) -> None:
        self.box = box
        self.gate: Gate | None = None
        """The gate of the lease, whose owner is the thread that leased; None while idle."""
        self.since_ns = now_ns
        """Start of the lease, or of being idle (`time.monotonic_ns`)."""
        self.counters = Counters()
