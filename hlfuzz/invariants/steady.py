"""Tells a host function that answers the same call in two ways from a platform or a guest that does."""

from __future__ import annotations

from collections.abc import Sequence

from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import HostCall, Observation, changed_answer, observation_key
from hlfuzz.invariants.target import Reset, Target
from hlfuzz.model import Ok


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


def made_by_host(one: Sequence[Observation], two: Sequence[Observation], reset: Reset) -> bool:
    """Whether what differs in two runs of the same calls comes of a host function of the user's own, so that
    it does not confirm a fault. Under the reset level "memory" that is left open: nothing is confirmed
    there."""
    return reset == "strict" and changed_in(one, two) is not None


def changed_at_start(target: Target) -> tuple[HostCall, HostCall] | None:
    """The first host call of the guest's start function that a host function of the user's own answers in two
    ways in two sandboxes, in both; None: there is none."""
    asked = target.session("strict").asked_at_start if target.host else ()
    if not asked:
        return None
    with target.open(reset="strict") as other:
        return changed_answer(Observation(Ok(), asked), Observation(Ok(), other.asked_at_start))


def unsteady_host_function(target: Target, case: Case) -> str:
    """Name of a host function of the user's own that does not answer alike when the guest is started or the
    case run twice; "" when all do, or the case does not call the target's own methods."""
    methods = {e.name for e in target.guest.info.functions_exported}
    if not target.host or any(c.function not in methods for c in case.calls):
        return ""
    if (at_start := changed_at_start(target)) is not None:
        return at_start[0].function
    runs = (target.run(case, strict=True).observations for _ in range(2))
    changed = changed_in(*runs)
    return "" if changed is None else changed[1].function
