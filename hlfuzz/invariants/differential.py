"""differential (platform): the guest in the micro-VM does what it does in-process."""

from __future__ import annotations

from dataclasses import replace
from math import isnan
from typing import ClassVar, Final

from hlfuzz.errors import EnvironmentProblem
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import LOWEST_POINTER, Observation, difference, observation_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Ok, Timeout, Trap, Value

BUILDS: Final = range(LOWEST_POINTER, 256 << 20)
"""Addresses of either build: a native guest lies below 256 MiB (docs/native-guests.md)."""


class Differential(Invariant):
    """Compares values, traps, host calls, memory and globals of the engines `kvm` and `inprocess`; and, where
    the target names a native guest built from the same source, its answers with those of the Wasm guest.

    Not compared: the bits of a NaN (the Wasm specification leaves them open), what happens after a deadline,
    and the depth at which the stack ends (frames of two compilers differ in size). Of a native guest also
    memory and addresses are left out, and what kind of trap ends a call. Where only the native guest answers
    otherwise the guest is accused, not the platform: the two builds do not agree on what the source means.
    """

    id: ClassVar[str] = "differential"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "results, traps, host calls and memory are those of the in-process engine"
    observes: ClassVar[str] = (
        "Outcomes, host calls and their bytes, exported memories and globals at the end of a context, in "
        "both engines; outcomes and host calls of the native guest."
    )
    blind: ClassVar[str] = "What both engines do wrong alike: they share a compiler, though not a runtime."

    def unfit(self, target: Target) -> str:
        if target.guest.kind == "elf":
            return "a native guest runs in a micro-VM only"
        try:
            return "" if target.session().is_kvm else "needs the kvm engine beside the in-process one"
        except EnvironmentProblem as problem:
            return str(problem)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        ours = target.session("strict" if strict else "memory")
        return self._engines(target, ours, case) or self._builds(target, ours, case)

    def _engines(self, target: Target, ours: Session, case: Case) -> Fault | None:
        vm, vm_state = ours.sequence_with_memory(case.calls)
        reference, reference_state = target.peer.session().sequence_with_memory(case.calls)
        for at, (a, b) in enumerate(zip(vm, reference, strict=False)):
            if _undecided(a) or _undecided(b):
                return None
            if what := difference(_without_nans(a), _without_nans(b)):
                evidence = (f"kvm: {observation_text(a)}", f"inprocess: {observation_text(b)}")
                return self._fault(case, at, what, evidence)
            if _has_nan(a) or _has_nan(b):
                return None  # its bits may be in memory from here on
        if vm_state != reference_state:
            evidence = (
                f"kvm: SHA-256 {vm_state or 'none'}",
                f"inprocess: SHA-256 {reference_state or 'none'}",
            )
            return self._fault(case, len(case.calls) - 1, "memory or globals", evidence)
        return None

    def _builds(self, target: Target, ours: Session, case: Case) -> Fault | None:
        twin = target.twin
        if twin is None or any(twin.interface.method(c.function) is None for c in case.calls):
            return None
        wasm, native = ours.sequence(case.calls), twin.session().sequence(case.calls)
        for at, (a, b) in enumerate(zip(wasm, native, strict=False)):
            if _undecided(a) or _undecided(b) or _has_nan(a) or _has_nan(b):
                return None
            if isinstance(a.outcome, Trap) and isinstance(b.outcome, Trap):
                return None
            if what := difference(a, b, addresses=BUILDS):
                function = case.calls[at].function
                return self.violated(
                    function=function,
                    detail=f"native {what}",
                    title=f"{function} differs between the guest's Wasm and native builds ({what})",
                    evidence=(f"Wasm: {observation_text(a)}", f"native: {observation_text(b)}"),
                    case=Case(case.calls[: at + 1]),
                    subject=Subject.GUEST,
                )
        return None

    def _fault(self, case: Case, at: int, what: str, evidence: tuple[str, ...]) -> Fault:
        function = case.calls[at].function
        return self.violated(
            function=function,
            detail=what,
            title=f"{function} differs between the engines kvm and inprocess ({what})",
            evidence=evidence,
            case=Case(case.calls[: at + 1]),
        )


def _undecided(observation: Observation) -> bool:
    outcome = observation.outcome
    return isinstance(outcome, Timeout) or (isinstance(outcome, Trap) and outcome.code == "stack-overflow")


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and isnan(value)


def _has_nan(observation: Observation) -> bool:
    values = observation.outcome.values if isinstance(observation.outcome, Ok) else ()
    return any(map(_is_nan, values)) or any(_is_nan(v) for c in observation.host_calls for v in c.args)


def _without_nans(observation: Observation) -> Observation:
    if not _has_nan(observation):
        return observation
    outcome = observation.outcome
    if isinstance(outcome, Ok):
        outcome = Ok(tuple(map(_same_nan, outcome.values)))
    calls = (replace(c, args=tuple(map(_same_nan, c.args))) for c in observation.host_calls)
    return Observation(outcome, tuple(calls))


def _same_nan(value: Value) -> Value:
    return b"nan".ljust(16) if _is_nan(value) else value
