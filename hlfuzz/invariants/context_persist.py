"""context-persist (platform): within a call context state lasts from call to call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from hlfuzz.invariants.base import Fault, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.experiments.lab import ExperimentalInvariant
from hlfuzz.invariants.experiments.persist import PERSIST
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.observe import Observation, observation_key, observation_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.steady import made_by_host
from hlfuzz.invariants.target import Reset, Target
from hlfuzz.model import Call, Ok, Timeout
from hlfuzz.sandbox import CallContext, Snapshot

_MARK: Final = bytes(range(1, 33))


class ContextPersist(ExperimentalInvariant):
    """Nothing resets a call context before its end: what a call or the host has written is there for the next
    call, whatever the guest, the host functions and other sandboxes do meanwhile.

    A case named `hlfuzz.…` is an experiment with a guest of our own.
    """

    id: ClassVar[str] = "context-persist"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "within a call context state lasts from call to call"
    observes: ClassVar[str] = (
        "A guest of our own that keeps numbers in memory, grown memory, a global and a table; and of the "
        "guest under test memory and globals between two calls, in a VM also a mark that the host writes, "
        "and whether a sandbox made from a snapshot of the context gives the next call the same answer."
    )
    blind: ClassVar[str] = (
        "State of the guest under test that shows neither in exported memory and globals nor in an answer."
    )
    experiments = PERSIST

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        for case in super().cases(target, generator):
            yield case
            if len(case.calls) > 1:
                yield Case(case.calls[:1])

    def judge_case(self, target: Target, case: Case, *, strict: bool) -> Fault | None:
        level: Reset = "strict" if strict else "memory"
        session = target.session(level)
        with session.box.context() as context:
            if len(case.calls) == 1:
                wrong = _mark(target, session, context, case, level)
            else:
                wrong = _between(target, session, context, case, level)
            context.finish()
        if not wrong:
            return None
        title, *evidence = wrong
        function = case.calls[-1].function
        return self.violated(
            function=function, detail="", title=title, evidence=tuple(evidence), case=Case(case.calls)
        )


def _between(
    target: Target, session: Session, context: CallContext, case: Case, level: Reset
) -> tuple[str, ...]:
    """Is the state before the last call the one that the calls before it have left? What is wrong, and the
    evidence."""
    *earlier, call = case.calls
    for one in earlier:
        if not isinstance(session.observe(context, one).outcome, Ok):
            return ()
    before = session.state_digest()
    target.session(level, "neighbour").single(call)
    if session.state_digest() != before:
        return (f"memory or globals changed between {earlier[-1].function} and the next call of a context",)
    if not session.is_kvm:
        return ()
    state = context.snapshot()
    apart = _from_snapshot(target, state, level, call)
    inside = session.observe(context, call)
    if isinstance(inside.outcome, Timeout) or isinstance(apart.outcome, Timeout):
        return ()
    if observation_key(inside) == observation_key(apart) or made_by_host((inside,), (apart,), level):
        return ()
    if observation_key(_from_snapshot(target, state, level, call)) != observation_key(apart):
        return ()  # not repeatable: that is for the determinism check
    return (
        f"{call.function} answers otherwise in a context than from a snapshot of it taken just before",
        f"in the context: {observation_text(inside)}",
        f"from the snapshot: {observation_text(apart)}",
    )


def _from_snapshot(target: Target, state: Snapshot, level: Reset, call: Call) -> Observation:
    with target.open(reset=level, snapshot=state) as twin:
        return twin.single(call)


def _mark(
    target: Target, session: Session, context: CallContext, case: Case, level: Reset
) -> tuple[str, ...]:
    """Does what the host writes survive a call that leaves it alone in-process, or in a micro-VM that begins
    with this state?"""
    writable = session.writable()
    if not session.is_kvm or not writable or len(writable[-1]) < 2 * len(_MARK):
        return ()
    at = writable[-1].stop - len(_MARK)
    pristine = context.read(at, len(_MARK))
    context.write(at, _MARK)
    state = context.snapshot() if target.guest.kind == "elf" else None
    outcome = session.observe(context, case.calls[0]).outcome
    if not isinstance(outcome, Ok) or context.read(at, len(_MARK)) != pristine:
        return ()
    kept = f"what the host wrote at {at:#x} is gone after {case.calls[0].function}"
    if state is None:
        return (kept,) if _keeps(target.peer.session(), case, at, _MARK) else ()
    with target.open(reset=level, snapshot=state) as twin:
        return (kept,) if _keeps(twin, case, at, b"") else ()


def _keeps(session: Session, case: Case, at: int, mark: bytes) -> bool:
    """Is the mark there after the call, where `mark` is written before it, if it is not there yet?"""
    with session.box.context() as context:
        context.write(at, mark)
        outcome = session.observe(context, case.calls[0]).outcome
        kept = isinstance(outcome, Ok) and context.read(at, len(_MARK)) == _MARK
        context.finish()
    return kept
