"""determinism (platform): the same calls after the same reset give the same results and memory."""

from __future__ import annotations

from typing import ClassVar

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import observation_key, observation_text
from hlfuzz.invariants.target import Target
from hlfuzz.model import Timeout


class Determinism(Invariant):
    """Runs a case twice and compares everything that can be seen, and memory and globals before the reset.

    A Wasm guest whose host functions answer the same has no source of chance, so a difference is the
    platform's.
    """

    id: ClassVar[str] = "determinism"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "the same input after the same reset gives the same result and host calls"

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        session = target.session("strict" if strict else "memory")
        one, state = session.sequence_with_memory(case.calls)
        two, again = session.sequence_with_memory(case.calls)
        for at, (a, b) in enumerate(zip(one, two, strict=False)):
            if isinstance(a.outcome, Timeout) or isinstance(b.outcome, Timeout):
                return None  # how far a guest comes before a deadline is up to the machine
            if observation_key(a) != observation_key(b):
                evidence = (f"first run: {observation_text(a)}", f"second run: {observation_text(b)}")
                return self._fault(case, at, "what its caller sees", evidence)
        if state != again:
            evidence = (f"memory and globals, first run: SHA-256 {state}", f"second run: SHA-256 {again}")
            return self._fault(case, len(case.calls) - 1, "memory or globals", evidence)
        return None

    def _fault(self, case: Case, at: int, what: str, evidence: tuple[str, ...]) -> Fault:
        function = case.calls[at].function
        return self.violated(
            function=function,
            detail=what,
            title=f"the same calls gave two results: {what} differs after {function}",
            evidence=evidence,
            case=Case(case.calls[: at + 1], case.context),
        )
