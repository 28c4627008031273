"""context-finish (platform): what a call context held is gone after it, and nobody can use it any more."""

from __future__ import annotations

from typing import ClassVar

from hlfuzz.errors import ContextFinished, HlfuzzError
from hlfuzz.invariants.base import Fault, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.experiments.finish import FINISH
from hlfuzz.invariants.experiments.lab import ExperimentalInvariant
from hlfuzz.invariants.observe import Observation, observation_key, observation_text
from hlfuzz.invariants.residue import differing_vm
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.steady import made_by_host
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Ok, Timeout
from hlfuzz.sandbox import CallContext


class ContextFinish(ExperimentalInvariant):
    """After `finish()` the state of a context is gone, again is fine, and it cannot be used any more. Two at
    once, another thread and a forked child are refused. A call that fails poisons its context only.

    A case named `hlfuzz.…` is an experiment with a guest of our own.
    """

    id: ClassVar[str] = "context-finish"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "after its end the state of a context is gone, and it cannot be used any more"
    observes: ClassVar[str] = (
        "A guest of our own whose answers reveal its state, used in every way that is not allowed; and of "
        "the guest under test memory, globals, answers and (in a VM) all RAM after a context, against a "
        "fresh sandbox."
    )
    blind: ClassVar[str] = (
        "What the host itself remembers of a context; of the engine inprocess, state that shows neither in "
        "exported memory and globals nor in an answer. Forks are not tried while threads of the host's run."
    )
    experiments = FINISH

    def judge_case(self, target: Target, case: Case, *, strict: bool) -> Fault | None:
        session = target.session("strict" if strict else "memory")
        title, *evidence = _in_context(session, case) or _left_behind(target, session, case) or ("",)
        if not title:
            return None
        return self.violated(
            function=case.calls[-1].function,
            detail="",
            title=title,
            evidence=tuple(evidence),
            case=Case(case.calls),
        )


def _in_context(session: Session, case: Case) -> tuple[str, ...]:
    """Makes the calls in a context; what it accepted that it should not have."""
    wrong: tuple[str, ...] = ()
    with session.box.context() as context:
        for call in case.calls:
            if not isinstance(session.observe(context, call).outcome, Ok):
                if not _refuses(context, call):
                    wrong = (f"a context went on after {call.function} had failed in it",)
                break
        context.finish()
    if not wrong and not _refuses(context, case.calls[-1]):
        wrong = (f"a context took a call of {case.calls[-1].function} after finish()",)
    return wrong


def _refuses(context: CallContext, call: Call) -> bool:
    try:
        context.try_call(call.function, *call.args)
    except ContextFinished:
        return True
    except HlfuzzError:
        return False
    return False


def _left_behind(target: Target, session: Session, case: Case) -> tuple[str, ...]:
    """What is not as in a fresh sandbox after the context, and the evidence."""
    # The VM first: reading a global runs code in it.
    if session.vm is not None and (pages := session.vm.verify()):
        return (
            f"{pages} pages of the VM's RAM differ from the snapshot after finish()",
            *differing_vm(session.vm),
        )
    if session.state_digest() != target.pristine_digest:
        return ("an exported memory or global is not what it was before the context",)
    expected = _in_fresh(target, session, case)
    found = session.sequence(case.calls)
    for call, one, two in zip(case.calls, expected, found, strict=False):
        if isinstance(one.outcome, Timeout) or isinstance(two.outcome, Timeout):
            return ()
        if observation_key(one) != observation_key(two) and not made_by_host(expected, found, session.reset):
            again = _in_fresh(target, session, case)
            if tuple(map(observation_key, again)) != tuple(map(observation_key, expected)):
                return ()  # not repeatable: that is for the determinism check
            return (
                f"{call.function} answers otherwise in the next context than in a fresh sandbox",
                f"in a fresh sandbox: {observation_text(one)}",
                f"in the next context: {observation_text(two)}",
            )
    return ()


def _in_fresh(target: Target, session: Session, case: Case) -> tuple[Observation, ...]:
    with target.open(reset=session.reset) as fresh:
        return fresh.sequence(case.calls)
