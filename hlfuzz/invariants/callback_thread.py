"""callback-thread (platform): host functions run in the owner's thread, in order, and only during calls."""

from __future__ import annotations

from typing import ClassVar

from hlfuzz.invariants.base import Fault, Problem, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.events import Called, Run, SandboxOpened, StrayHostCall
from hlfuzz.invariants.experiments.callbacks import CALLBACKS
from hlfuzz.invariants.experiments.lab import ExperimentalInvariant, drive
from hlfuzz.invariants.observe import HostCall, Observation, observation_key, observation_text
from hlfuzz.invariants.steady import made_by_host
from hlfuzz.invariants.target import Reset, Target
from hlfuzz.model import Timeout
from hlfuzz.sandbox import Dispatcher


class CallbackThread(ExperimentalInvariant):
    """Host functions run in the thread that owns the sandbox, one after the other in the order in which the
    guest calls them, and never after the call, `finish()` or `close()`; also when the guest itself runs in a
    thread of its own (`dispatch=`).

    A case named `hlfuzz.…` is an experiment with a guest of our own.
    """

    id: ClassVar[str] = "callback-thread"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = "host functions run in the owner's thread, in order, and only during calls"
    observes: ClassVar[str] = (
        "Thread, order and time of host calls: of a guest of our own that calls in a known order, in plain, "
        "nested, failing, dispatched, cancelled and closed calls; and of the guest under test, whose host "
        "calls must be the same in a dispatched sandbox."
    )
    blind: ClassVar[str] = (
        "Host functions that the host itself calls elsewhere. Of the guest under test the true order is not "
        "known, only that it is the same with and without dispatch."
    )
    experiments = CALLBACKS

    def judge_case(self, target: Target, case: Case, *, strict: bool) -> Fault | None:
        run = target.run(case, strict=strict)
        problem = self.judge(target, run)
        if problem is None and target.guest.info.functions_imported and not case.boxes:
            problem = _dispatched(target, case, run, "strict" if strict else "memory")
        if problem is None:
            return None
        return self.violated(
            function=problem.function,
            detail=problem.detail,
            title=problem.title,
            evidence=problem.evidence,
            case=case,
        )

    def judge(self, target: Target, run: Run) -> Problem | None:
        """Looks at the events of a plain run."""
        owners = {e.box: e.thread for e in run.events if isinstance(e, SandboxOpened)}
        for event in run.events:
            if isinstance(event, Called):
                for host_call in event.host_calls:
                    if host_call.thread != owners[event.box]:
                        return _elsewhere(event.call.function, host_call)
            elif isinstance(event, StrayHostCall) and not target.session().calls_host_on_reset:
                function = event.host_call.function
                return Problem(function, f"{function} ran while no call was in progress", detail="stray")
        return None


def _dispatched(target: Target, case: Case, run: Run, reset: Reset) -> Problem | None:
    """Are the host calls of a dispatched sandbox the same, and in this thread?"""
    dispatcher = Dispatcher()
    with target.open(reset=reset, dispatch=dispatcher) as session:
        seen = drive(dispatcher, session.box.submit_work(lambda: session.run(case)))
        left = () if session.calls_host_on_reset else session.take()
    if left:
        return Problem(left[0].function, f"{left[0].function} ran after a dispatched call", detail="stray")
    owner = next(e.thread for e in run.events if isinstance(e, SandboxOpened))
    for called, observation in zip(run.calls, seen, strict=False):
        for host_call in observation.host_calls:
            if host_call.thread != owner:
                return _elsewhere(called.call.function, host_call)
        if isinstance(called.outcome, Timeout) or isinstance(observation.outcome, Timeout):
            return None
        if made_by_host(run.observations, seen, reset):
            return None
        if observation_key(called.observation) != observation_key(observation):
            again = target.run(case, strict=reset == "strict").observations
            if list(map(observation_key, again)) != list(map(observation_key, run.observations)):
                return None  # not repeatable: that is for the determinism check
            return _otherwise(called, observation)
    return None


def _elsewhere(function: str, host_call: HostCall) -> Problem:
    title = f"{host_call.function}, called by {function}, ran in another thread than the sandbox's owner"
    return Problem(function, title, detail="thread")


def _otherwise(called: Called, dispatched: Observation) -> Problem:
    function = called.call.function
    evidence = (
        f"plain: {observation_text(called.observation)}",
        f"dispatched: {observation_text(dispatched)}",
    )
    return Problem(function, f"{function} differs in a dispatched sandbox", evidence, "dispatched")
