"""Judges what becomes of a call in which a host function fails on purpose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from hlfuzz.errors import CallFailed, HlfuzzError, HostFunctionError
from hlfuzz.invariants.case import Case, Injection
from hlfuzz.invariants.failures.inject import ANSWERS, HARMLESS, RAISED, WALL_SECONDS, Injector
from hlfuzz.invariants.failures.served import Found, differs, not_served, steady
from hlfuzz.invariants.guests.patient import ENDS, open_patient
from hlfuzz.invariants.observe import Observation, observation_text, outcome_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, HostError, Ok, Outcome, Timeout
from hlfuzz.sandbox import CallContext, Sandbox

SLEEPS: Final = 3
"""A busy machine may keep a guest from running: only one that times out so often has been charged for its
host's sleep."""


@dataclass(frozen=True, slots=True)
class _Arrived:
    """What the caller of one call got: an observation, and what was raised, if anything was."""

    seen: Observation | None
    raised: BaseException | None
    end: str = ""
    """Why the call context could not be finished."""


def judge_host_failure(target: Target, case: Case, injection: Injection, strict: bool) -> Found | None:
    """Runs the case with `injection` at its host call number `injection.at`, and looks at what arrives."""
    if injection.kind == "sleep":
        return _judge_sleep(target, case, injection)
    session = target.session("strict" if strict else "memory")
    if session.calls_host_on_reset:  # a reset asks the host functions too, and would be what fails
        case = replace(case, context=True)
    found = (0, "")  # until it is known that the session can be used on
    try:
        found = _judge(target, session, case, injection)
    finally:
        if found is not None:
            target.drop(session)
    return found


def _judge(target: Target, session: Session, case: Case, injection: Injection) -> Found | None:
    plain = session.run(case)
    injector = Injector(injection.kind, injection.at, session.box)
    at, arrived = _run(session, case, injector)
    if not injector.function:
        return None
    expected = plain[at] if at < len(plain) else None
    wrong = _wrong(injector, injection.kind, arrived, expected)
    if wrong and expected and injection.kind in HARMLESS and not injector.complaint:
        wrong = wrong if steady(target, case, at, expected) else ""
    if wrong := wrong or arrived.end:
        return at, f"{injection.kind} in {injector.function}: {wrong}"
    return not_served(target, session, case)


def _run(session: Session, case: Case, injector: Injector) -> tuple[int, _Arrived]:
    """The calls until something was injected: the number of the last one, and what it gave."""
    recorder = session.recorder
    recorder.take()
    at, arrived, end = 0, _Arrived(None, None), ""
    context = session.box.context() if case.context else None
    try:
        for at, call in enumerate(case.calls):  # noqa: B007
            recorder.instead = injector
            try:
                outcome, raised = _call(session, context or session.box, call)
            finally:
                recorder.instead = None
            seen = None if outcome is None else Observation(outcome, recorder.take())
            arrived = _Arrived(seen, raised)
            if injector.function or (context and not isinstance(outcome, Ok)):
                break
        recorder.take()
        injector.check_kept()
    finally:
        if context:
            end = _finish(context)
    return at, replace(arrived, end=end)


def _finish(context: CallContext) -> str:
    try:
        context.finish()
    except HlfuzzError as error:
        return f"its call context cannot be finished: {error}"
    return ""


def _call(
    session: Session, place: Sandbox | CallContext, call: Call
) -> tuple[Outcome | None, BaseException | None]:
    """Outcome, and what was raised; with a schema nothing is, unless it passes through as itself."""
    try:
        if session.is_typed:
            return session.perform(place, call), None
        returned = place.call(call.function, *call.args)
    except CallFailed as error:
        return error.outcome, error
    except BaseException as error:  # whether it is the injected one is what is judged
        return None, error
    if returned is None:
        return Ok(), None
    return Ok(returned if isinstance(returned, tuple) else (returned,)), None


def _wrong(injector: Injector, kind: str, arrived: _Arrived, plain: Observation | None) -> str:
    raised, thrown, seen = arrived.raised, injector.thrown, arrived.seen
    foreign = raised is not thrown and not isinstance(raised, Exception | None)
    if foreign:
        assert raised is not None
        raise raised  # somebody ends this process, or it is out of memory
    if kind in RAISED and not isinstance(thrown, Exception):
        return "" if raised is thrown else f"the caller got {_text(arrived)} and not the exception itself"
    if kind in RAISED or kind in ANSWERS:
        return _not_a_host_error(injector, arrived)
    if injector.complaint:
        return injector.complaint
    if seen is None:
        return f"the caller got {_text(arrived)}"
    if kind in HARMLESS:
        if plain is not None and differs(seen, plain):
            return f"the call {observation_text(seen)}, and without that {observation_text(plain)}"
        return ""
    wanted = Timeout if kind == "nested-timeout" else Ok
    return "" if isinstance(seen.outcome, wanted) else f"the caller got {_text(arrived)}"


def _not_a_host_error(injector: Injector, arrived: _Arrived) -> str:
    """What arrived must be a `HostFunctionError` that names the function, with the exception as its cause."""
    outcome = arrived.seen.outcome if arrived.seen is not None else None
    if not isinstance(outcome, HostError) or not isinstance(arrived.raised, HostFunctionError | None):
        return f"the caller got {_text(arrived)} and not HostFunctionError"
    if outcome.function != injector.function:
        return f"the error names {outcome.function} as the function that failed"
    cause = outcome.exception
    if arrived.raised is not None and arrived.raised.__cause__ is not cause:
        return "the error and its outcome do not have the same cause"
    if injector.thrown is not None and cause is not injector.thrown:
        return f"the cause of the error is {type(cause).__name__} and not the exception itself"
    return "" if isinstance(cause, Exception) else "the error has no cause"


def _judge_sleep(target: Target, case: Case, injection: Injection) -> Found | None:
    """A guest is not charged for the time of its host, and its own time ends all the same."""
    wrong = ""
    for _ in range(SLEEPS):
        with open_patient(target, deadline=WALL_SECONDS, wall_deadline=WALL_SECONDS) as session:
            injector = Injector(injection.kind, injection.at, session.box)
            at, arrived = _run(session, case, injector)
        ends = ENDS.get(case.calls[at].function, lambda outcome: isinstance(outcome, Ok))
        if not injector.function or (arrived.seen is not None and ends(arrived.seen.outcome)):
            return None
        wrong = f"after a host function that slept longer than the deadline the caller got {_text(arrived)}"
    return 0, wrong


def _text(arrived: _Arrived) -> str:
    if arrived.raised is not None:
        return type(arrived.raised).__name__
    return "a call that " + outcome_text(arrived.seen.outcome) if arrived.seen else "nothing"
