"""Runs a campaign's cases on one long-lived sandbox and judges each by what its kind can show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hlfuzz.fuzz.crash import first_crash
from hlfuzz.invariants import INVARIANTS, Case, Fault, Invariant, Observation, Target
from hlfuzz.invariants.context_dependence import ContextDependence
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.inputs.novelty import behaviour
from hlfuzz.model import Call

MAX_BEHAVIOURS: Final = 20_000
"""Behaviours remembered; beyond, nothing counts as new."""

_PLATFORM: Final = ("state-reset", "determinism", "memory-isolation")


@dataclass(frozen=True, slots=True)
class Judged:
    """What one case showed: a fault, and byte vectors that made the guest behave in a new way."""

    fault: Fault | None
    novel: tuple[bytes, ...] = ()


_NOTHING: Final = Judged(None)


class Executor:
    """Judges cases under `memory` reset. Remembers behaviours, which stand in for code coverage."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._context = ContextDependence()
        self._tenants = INVARIANTS["tenant-independence"]
        self._platform: tuple[Invariant, ...] = ()
        self._seen: set[tuple[object, ...]] = set()

    def warm_up(self) -> None:
        """Opens the sandbox and finds out which platform invariants can be checked on this engine."""
        self._target.session()
        self._platform = tuple(INVARIANTS[i] for i in _PLATFORM if not INVARIANTS[i].unfit(self._target))

    def seed_cases(self, seeds: tuple[bytes, ...]) -> Iterator[Case]:
        """Each seed as the argument of each byte-vector method that takes nothing else."""
        for method in self._target.interface.vectors:
            if not method.scalars:
                yield from (Case((Call(method.name, (seed,)),), context=False) for seed in seeds)

    def judge(self, case: Case) -> Judged:
        """Runs one case.

        A pair of tenants is compared, a context is compared with single calls, a single call is watched.
        """
        if case.secret is not None:
            return Judged(self._tenants.probe(self._target, case))
        session = self._target.session()
        observations = session.run(case)
        fault = first_crash(case, observations)
        novel = self._novel(case.calls, observations)
        if fault is None and case.context:
            fault = self._context.compare(self._target, session, case, observations)
        return Judged(fault, novel) if fault is not None or novel else _NOTHING

    def platform_faults(self, generator: Generator) -> Iterator[Fault]:
        """Checks the platform's invariants on one sequence."""
        case = generator.sequence() or generator.single()
        for invariant in self._platform:
            if (fault := invariant.probe(self._target, case)) is not None:
                yield fault

    def _novel(self, calls: tuple[Call, ...], observations: tuple[Observation, ...]) -> tuple[bytes, ...]:
        found: list[bytes] = []
        for call, observation in zip(calls, observations, strict=False):
            if not call.args or not isinstance(data := call.args[0], bytes):
                continue
            shown = behaviour(call, observation)
            if shown not in self._seen and len(self._seen) < MAX_BEHAVIOURS:
                self._seen.add(shown)
                found.append(data)
        return tuple(found)
