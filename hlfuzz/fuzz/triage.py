"""What becomes of a fault: known, not repeatable, or confirmed under strict reset, made small, saved."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.fuzz.crash import Crash
from hlfuzz.fuzz.finding import SavedFinding, save
from hlfuzz.fuzz.store import Store, read_json
from hlfuzz.invariants import (
    INVARIANTS,
    Case,
    Fault,
    Invariant,
    Kind,
    Subject,
    Target,
    case_from_json,
    choose,
)
from hlfuzz.invariants.shrink import drop_calls, shrink

SHRINK_SECONDS: Final = 1.5
MAX_LOOKS: Final = 6
"""How often faults that look alike before shrinking are confirmed and shrunk; later ones only count."""

CRASH: Final = Crash()


def judge_of(invariant: str) -> Invariant:
    """Who probes a fault: the checker of that invariant; the crash judge for "", a trap or timeout.

    Raises: UsageError for an invariant that is not registered.
    """
    if not invariant:
        return CRASH
    (checker,) = choose([invariant], "checker of a finding; name its file under checkers in pyproject.toml")
    return checker


class Triage:
    """Keeps the findings of one campaign by signature.

    `unconfirmed` counts faults that did not show again.
    """

    def __init__(self, target: Target, store: Store, *, seed: int | None = None) -> None:
        self.findings: dict[str, SavedFinding] = {}
        self.unconfirmed = 0
        self._target = target
        self._store = store
        self._seed = seed
        self._looks: Counter[tuple[str, ...]] = Counter()

    def handle(self, fault: Fault, *, shrink_seconds: float = SHRINK_SECONDS) -> SavedFinding | None:
        """Saves a fault that is new, or smaller than the one kept under its signature.

        Returns it when it is new.
        """
        look = (fault.kind, fault.invariant, fault.function, fault.detail if fault.kind is Kind.TRAP else "")
        if self._looks[look] >= (1 if fault.kind is not Kind.VIOLATION else MAX_LOOKS):
            return None
        self._looks[look] += 1
        confirmed = self._confirm(fault)
        if confirmed is None:
            self.unconfirmed += 1
            self._looks[look] -= 1 if self.unconfirmed < MAX_LOOKS else 0
            return None
        judge = judge_of(confirmed.invariant)

        def probe(case: Case) -> Fault | None:
            return judge.probe(self._target, case, strict=True)

        few = drop_calls(confirmed, probe, shrink_seconds)
        known = self.findings.get(few.signature)
        if known is not None and few.strength <= known.fault.strength:
            return None
        first = self._keep(few)  # before it is made small, which takes a while
        self._keep(shrink(few, probe, shrink_seconds, self._target.simpler_fields))
        return first and self.findings[few.signature]

    def _confirm(self, fault: Fault) -> Fault | None:
        judge = judge_of(fault.invariant)
        again = judge.probe(self._target, fault.case, strict=True)
        if again is not None:
            return again
        # What shows every time with memory reset and never with strict reset is left over in what only strict
        # resets.
        for _ in range(3):
            if fault.kind is Kind.TIMEOUT or judge.probe(self._target, fault.case) is None:
                return None
        if judge.probe(self._target, fault.case, strict=True) is not None:
            return None
        return dataclasses.replace(
            fault,
            kind=Kind.VIOLATION,
            invariant=INVARIANTS["state-reset"].id,
            subject=Subject.PLATFORM,
            detail="only under memory reset",
            title=f"shows under memory reset and not under strict reset: {fault.title}",
        )

    def _keep(self, fault: Fault) -> SavedFinding | None:
        known = self.findings.get(fault.signature)
        if known is not None:
            if _better(fault, known.fault):
                self._save(fault)
            return None
        earlier = self._earlier(fault)
        if earlier is None or _better(fault, earlier):
            self._save(fault)
        else:
            path = self._store.finding_path(fault.signature)
            self.findings[fault.signature] = SavedFinding(path, earlier)
        return self.findings[fault.signature]

    def _save(self, fault: Fault) -> None:
        try:
            self.findings[fault.signature] = save(self._store, self._target, fault, seed=self._seed)
        except KeyboardInterrupt:
            # What is on disk must be in the summary too.
            path = self._store.finding_path(fault.signature)
            if path.is_file():
                self.findings[fault.signature] = SavedFinding(path, fault)
            raise

    def _earlier(self, fault: Fault) -> Fault | None:
        """What an earlier run kept under the signature, if it still shows on this module."""
        path = self._store.finding_path(fault.signature)
        try:
            case = case_from_json(read_json(path).get("case"))
        except UsageError:
            return None
        judge = judge_of(fault.invariant)
        known = {e.name for e in self._target.guest.info.functions_exported}
        if not all(c.function in known for c in case.calls):
            return None
        again = judge.probe(self._target, case, strict=True)
        return again if again is not None and again.signature == fault.signature else None


def _better(new: Fault, old: Fault) -> bool:
    return (new.strength, -new.case.size) > (old.strength, -old.case.size)
