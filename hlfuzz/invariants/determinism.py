"""determinism (platform): the same calls after the same reset give the same results and memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

from hlfuzz.invariants.base import SHRINK_SECONDS, Fault, Invariant, Status, Subject, Verdict
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import HostCall, Observation, observation_key, observation_text
from hlfuzz.invariants.residue import parting_places
from hlfuzz.invariants.shrink import shrink
from hlfuzz.invariants.steady import changed_at_start, changed_in
from hlfuzz.invariants.target import Target
from hlfuzz.model import Timeout

TRIES: Final = 6
"""How often a case is run again until it shows what it has shown once."""
_SECOND: Final = "second"


class Determinism(Invariant):
    """Runs a case twice in one sandbox and once in another, and compares everything that can be seen, and
    memory and globals before the reset.

    A Wasm guest whose host functions answer the same has no source of chance, so a difference is the
    platform's. A native guest can read the CPU's clock and its random numbers: there the guest is accused.
    And a host function of the user's own that gives two answers to the same call is named, and neither of the
    two accused.
    """

    id: ClassVar[str] = "determinism"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "the same input after the same reset gives the same result and host calls"
    observes: ClassVar[str] = (
        "Outcomes, host calls and their bytes, exported memories and globals at the end of a context, in "
        "three runs; the answers of host functions that the user gave."
    )
    blind: ClassVar[str] = "How long a call takes, and what differs only once in many runs."

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        level = "strict" if strict else "memory"
        session, other = target.session(level), target.session(level, _SECOND)
        one, state = session.sequence_with_memory(case.calls)
        for where, again in (("the second run", session), ("another sandbox", other)):
            two, new_state = again.sequence_with_memory(case.calls)
            if any(isinstance(o.outcome, Timeout) for o in (*one, *two)):
                return None  # how far a guest comes before a deadline is up to the machine
            fault = self._compare(target, case, one, two, where)
            if fault is None and state != new_state:
                evidence = (
                    f"memory and globals, first run: SHA-256 {state}",
                    f"memory and globals, {where}: SHA-256 {new_state}",
                    *parting_places(session, again, case.calls),
                )
                fault = self._fault(target, case, len(case.calls) - 1, "memory or globals", evidence)
            if fault is not None:
                if fault.subject is not Subject.HOST and (changed := changed_at_start(target)) is not None:
                    return self._unsteady(case, 0, "the start function", *changed, "another sandbox")
                return fault
        return None

    def confirm(self, target: Target, fault: Fault, runs: int) -> Verdict:
        again = self._tried_again(target, fault.case)
        if again is None:
            return super().confirm(target, fault, runs)
        small = shrink(again, lambda case: self._tried_again(target, case), SHRINK_SECONDS)
        return Verdict(Status.VIOLATED, runs, small.title, small)

    def _tried_again(self, target: Target, case: Case) -> Fault | None:
        """What comes by chance need not come at once."""
        tries = (self.probe(target, case, strict=True) for _ in range(TRIES))
        return next((fault for fault in tries if fault is not None), None)

    def _compare(
        self,
        target: Target,
        case: Case,
        one: Sequence[Observation],
        two: Sequence[Observation],
        where: str,
    ) -> Fault | None:
        if (changed := changed_in(one, two)) is not None:
            at, a, b = changed
            return self._unsteady(case, at, case.calls[at].function, a, b, where)
        for at, (a, b) in enumerate(zip(one, two, strict=False)):
            if observation_key(a) != observation_key(b):
                evidence = (f"first run: {observation_text(a)}", f"{where}: {observation_text(b)}")
                return self._fault(target, case, at, "what its caller sees", evidence)
        return None

    def _unsteady(self, case: Case, at: int, asked_by: str, a: HostCall, b: HostCall, where: str) -> Fault:
        return self.violated(
            function=case.calls[at].function,
            detail=f"host function {a.function}",
            title=f"host function {a.function} gave two answers to the same call ({asked_by}): "
            "what it answers must follow from what it is asked",
            evidence=(f"first run: {'; '.join(a.answer)}", f"{where}: {'; '.join(b.answer)}"),
            case=Case(case.calls[: at + 1], case.context),
            subject=Subject.HOST,
        )

    def _fault(self, target: Target, case: Case, at: int, what: str, evidence: tuple[str, ...]) -> Fault:
        function = case.calls[at].function
        return self.violated(
            function=function,
            detail=what,
            title=f"the same calls gave two results: {what} differs after {function}",
            evidence=evidence,
            case=Case(case.calls[: at + 1], case.context),
            subject=Subject.GUEST if target.guest.kind == "elf" else Subject.PLATFORM,
        )
