"""context-dependence (guest): a call gives the same result inside a call context and on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.chance import REPEATS, times_asked
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.observe import Observation, changed_answer, difference, observation_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Timeout


class ContextDependence(Invariant):
    """Finds the guest that quietly relies on state which is wiped when its calls are not made in one context.

    Methods that the configuration marks stateful may depend on earlier calls, and are called but not judged.
    So are methods whose i32 parameters may be pointers: random numbers in their place break any guest.
    """

    id: ClassVar[str] = "context-dependence"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "a call sequence gives the same results with and without a call context"
    observes: ClassVar[str] = (
        "Outcomes, host calls and their bytes of each call, in a context after the others and on its own."
    )
    blind: ClassVar[str] = (
        "State that no call of the cases shows. Numbers that may both be addresses are taken as equal. Calls "
        "that ask WASI for the time or for random numbers after others that did."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        while (case := generator.sequence(judged=True)) is not None:
            yield case

    def unfit(self, target: Target) -> str:
        methods = target.interface.methods
        if not any(m.judged and not m.stateful for m in methods):
            return (
                "no method that it may judge: all are stateful or may take pointers; say more in hlfuzz.toml"
            )
        return ""

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        session = target.session("strict" if strict else "memory")
        return self.compare(target, session, case, session.sequence(case.calls))

    def compare(
        self, target: Target, session: Session, case: Case, together: tuple[Observation, ...]
    ) -> Fault | None:
        """As `probe`, where `together` is what the case's calls gave in one context of `session`."""
        for at, inside in enumerate(together):
            call = case.calls[at]
            method = target.interface.method(call.function)
            if at == 0 or method is None or method.stateful or not method.judged:
                continue
            alone = session.single(call)
            if isinstance(inside.outcome, Timeout) or isinstance(alone.outcome, Timeout):
                continue
            if what := difference(inside, alone, addresses=target.addresses):
                if _by_chance(target, session, case.calls[: at + 1], inside, alone):
                    continue
                earlier = [c.function for c in case.calls[:at]]
                needed = " and ".join(dict.fromkeys(earlier))
                return self.violated(
                    function=call.function,
                    detail="after " + ",".join(sorted(set(earlier))),
                    title=f"{call.function} depends on an earlier {needed} in the same context ({what})",
                    evidence=(
                        f"in one context, after {', '.join(earlier)}: {observation_text(inside)}",
                        f"on its own: {observation_text(alone)}",
                    ),
                    case=Case(case.calls[: at + 1]),
                )
        return None


def _by_chance(
    target: Target, session: Session, calls: tuple[Call, ...], inside: Observation, alone: Observation
) -> bool:
    """Whether the last of these calls answers otherwise without any help of the guest's state. (What a host
    function has to do with it is looked at when a finding is confirmed.)"""
    for _ in range(REPEATS):
        for first, again in ((alone, session.single(calls[-1])), (inside, session.sequence(calls)[-1])):
            if difference(first, again) and changed_answer(first, again) is None:
                return True
    return times_asked(target, session, calls[:-1]) > 0 and times_asked(target, session, calls[-1:]) > 0
