"""Tells a host function that answers the same call in two ways from a platform or a guest that does."""

from __future__ import annotations

from collections.abc import Sequence

from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import HostCall, Observation, changed_answer, observation_key
from hlfuzz.invariants.target import Target


def changed_in(
    one: Sequence[Observation], two: Sequence[Observation]
) -> tuple[int, HostCall, HostCall] | None:
    """The first host call that was answered in two ways in two runs of the same calls: the number of the
    guest's call, and the host call in both runs; None: whatever differs, no host function began it."""
    for at, (a, b) in enumerate(zip(one, two, strict=False)):
        if (answers := changed_answer(a, b)) is not None:
            return at, *answers
        if observation_key(a) != observation_key(b):
            return None
    return None


def unsteady_host_function(target: Target, case: Case) -> str:
    """Name of a host function of the user's own that does not answer alike when the case is run twice; ""
    when all do, or the case does not call the target's own methods."""
    methods = {e.name for e in target.guest.info.functions_exported}
    if not target.host or any(c.function not in methods for c in case.calls):
        return ""
    runs = (target.run(case, strict=True).observations for _ in range(2))
    changed = changed_in(*runs)
    return "" if changed is None else changed[1].function
