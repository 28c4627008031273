"""What follows from chance: WASI's clock and random numbers, and runs that do not repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call

REPEATS: Final = 2
"""How often both sides of a difference must come out again as they did before somebody is accused: what is
one of two by chance passes for a dependence once in 32."""

_GOES_ON: Final = frozenset({"clock_time_get", "random_get", "poll_oneoff"})
"""WASI functions whose answers depend on how often they were called since the reset (`hlfuzz.Wasi`)."""


def times_asked(target: Target, session: Session, calls: Sequence[Call]) -> int:
    """How often these calls, made in one context, ask WASI for the time or for random numbers.

    Both go on from call to call: a guest whose answers hold them has kept nothing itself.
    """
    if target.wasi is None or not calls:
        return 0
    session.sequence(calls)
    return sum(1 for asked in session.box.wasi.trace if asked.function in _GOES_ON)
