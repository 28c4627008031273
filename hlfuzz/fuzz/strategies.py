"""The cases of a campaign that Hypothesis draws."""

from __future__ import annotations

from hypothesis import strategies as st

from hlfuzz.invariants import Case, Interface
from hlfuzz.invariants.drawing import drawn
from hlfuzz.invariants.generate import MAX_SEQUENCE
from hlfuzz.invariants.strategies import calls_of


def cases(interface: Interface, seeds: tuple[bytes, ...] = ()) -> st.SearchStrategy[Case]:
    """Single calls and sequences of one context. The interface must have a method."""
    one = st.one_of([calls_of(interface, m, seeds) for m in interface.methods])
    single = one.map(lambda call: Case((call,), context=False))
    sequence = st.lists(one, min_size=2, max_size=MAX_SEQUENCE).map(lambda many: Case(tuple(many)))
    return st.one_of(single, sequence)


def batch(interface: Interface, seeds: tuple[bytes, ...], number: int, count: int) -> list[Case]:
    """Up to `count` cases that Hypothesis draws; the same `number` gives the same cases."""
    return drawn(cases(interface, seeds), number, count)
