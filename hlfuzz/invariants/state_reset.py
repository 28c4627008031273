"""state-reset (platform): nothing that a call did can be observed by a call after the reset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.observe import observation_key, observation_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Timeout

_MARK: Final = bytes(range(1, 33))


class StateReset(Invariant):
    """Compares a used and reset sandbox with a fresh one: memory, globals, what calls answer, and all of the
    VM's RAM.

    The last is only possible on the kvm engine (`Sandbox.verify`).
    """

    id: ClassVar[str] = "state-reset"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "nothing a call did can be observed by a call after the reset"

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        while (case := generator.sequence()) is not None:
            yield case
            yield Case(case.calls, context=False)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        session = target.session("strict" if strict else "memory")
        session.run(case)
        fault = self._compare(target, session, case)
        if fault is None and session.write(_MARK):  # the host's own writes are state too
            fault = self._compare(target, session, case)
        return fault or self._answers(target, session, case)

    def _compare(self, target: Target, session: Session, case: Case) -> Fault | None:
        # The VM first: reading a global runs code in it.
        if session.vm is not None and (pages := session.vm.verify()):
            return self._fault(
                case, "VM memory", (f"{pages} pages of the VM's RAM differ from the snapshot",)
            )
        if session.state_digest() != target.pristine_digest:
            evidence = ("an exported memory or global is not what it was when the sandbox was opened",)
            return self._fault(case, "memory or globals", evidence)
        return None

    def _answers(self, target: Target, session: Session, case: Case) -> Fault | None:
        session.box.reset()
        for call in dict.fromkeys(case.calls):
            # Each expectation comes from a sandbox that never saw a reset: those are what is on trial.
            with target.open() as fresh:
                expected = fresh.single(call)
            found = session.single(call)
            if isinstance(expected.outcome, Timeout) or isinstance(found.outcome, Timeout):
                continue
            if observation_key(expected) != observation_key(found):
                evidence = (
                    f"{call.function} in a fresh sandbox: {observation_text(expected)}",
                    f"{call.function} after the reset: {observation_text(found)}",
                )
                return self._fault(case, f"the answer of {call.function}", evidence)
        return None

    def _fault(self, case: Case, what: str, evidence: tuple[str, ...]) -> Fault:
        return self.violated(
            function=case.calls[-1].function,
            detail=what.partition(" of ")[0],
            title=f"a reset after {case.calls[-1].function} left something behind: {what} differs",
            evidence=evidence,
            case=case,
        )
