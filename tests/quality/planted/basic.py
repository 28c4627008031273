"""Guests that fail in the plainest ways."""

from __future__ import annotations

from functools import partial

import guests

from hlfuzz.invariants import Subject
from planted import Planted

FAULTS = (
    Planted(
        "relies-on-wiped-state",
        "context-dependence",
        Subject.GUEST,
        "a method answers only after another one, whose state is wiped in between",
        partial(guests.target, guests.NEEDS_INIT, "kvm"),
    ),
    Planted(
        "sends-earlier-bytes",
        "tenant-independence",
        Subject.GUEST,
        "a buffer in memory is sent before it is filled: it holds what the call before it was given",
        partial(guests.target, guests.LEAKS_EARLIER, "kvm"),
    ),
)
