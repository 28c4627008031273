"""Says who has the sandboxes of a pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from hlfuzz.sandbox.pool.slot import Slot


def still_leased(slots: Sequence[Slot], size: int) -> str:
    """How many of `size` sandboxes are leased, and since when the one that was leased first."""
    leased = [(slot.since_ns, gate.owner) for slot in slots if (gate := slot.gate) is not None]
    if not leased:
        return f"0 of {size} are leased"
    since, ident = min(leased)
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return (
        f"{len(leased)} of {size} are leased, the first for {(time.monotonic_ns() - since) / 1e9:.3f} s, by "
        f"{names.get(ident, 'a thread that has ended')}"
    )
