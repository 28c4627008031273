"""What kind of thing a call did: an input that made a guest do what it had not done is worth more tries."""

from __future__ import annotations

from hlfuzz.invariants.observe import Observation, outcome_key
from hlfuzz.model import Call, Ok


def behaviour(call: Call, observation: Observation) -> tuple[object, ...]:
    """What a call did, hashable: exact for small results, by magnitude for others and for buffer sizes."""
    outcome = observation.outcome
    if isinstance(outcome, Ok):
        result: tuple[object, ...] = tuple(
            (v if -16 <= v <= 16 else v.bit_length()) if isinstance(v, int) else type(v).__name__
            for v in outcome.values
        )
    else:
        result = outcome_key(outcome)
    shape = tuple(
        (c.function, len(c.data).bit_length() if c.data is not None else -1)
        for c in observation.host_calls[:8]
    )
    return (call.function, result, shape)
