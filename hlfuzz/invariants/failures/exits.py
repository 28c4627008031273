"""Signals at VM exits: a guest that is interrupted again and again answers as one that is left alone."""

from __future__ import annotations

import contextlib
import errno
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from hlfuzz.errors import HlfuzzError
from hlfuzz.invariants.case import Case, Injection
from hlfuzz.invariants.failures.served import Found, differs
from hlfuzz.invariants.guests.patient import PREFIX, open_patient
from hlfuzz.invariants.observe import Observation, observation_text, outcome_text
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Ok, Timeout
from hlfuzz.vmm import failing

POINT: Final = "vm-exit"
"""`Injection.point` of what this module does."""

KICK: Final = signal.SIGRTMIN + 5
"""The signal that ends KVM_RUN (hlfuzz.h, "Threads and signals")."""

KICKS: Final = 150
EVERY_SECONDS: Final = 0.0002
PATIENCE_SECONDS: Final = 2.0
"""Deadline of calls that must not reach it."""

RACE_SECONDS: Final = 0.004
"""Deadline of calls that end about when it fires."""

RACES: Final = 6
INTERRUPTED: Final = 14
"""Entries of the vCPU that are interrupted in turn."""

_CALLS: Final = (
    Call("ask", (1,)),
    Call("count", (300_000,)),
    Call("note", (4,)),
    Call("trap"),
    Call("pair", (2,)),
)
_QUICK: Final = Call("note", (1,))


def cases(*, kvm: bool) -> Iterator[Case]:
    """Deadlines that fire as a call ends; with `kvm` also storms of kicks, and an interruption at each entry
    of the vCPU."""
    calls = tuple(replace(c, function=PREFIX + c.function) for c in _CALLS)
    for at in range(INTERRUPTED):
        if kvm:
            yield Case(calls, context=False, injection=Injection(POINT, "interrupted", at))
        if kvm and at < 2:
            yield Case(calls, context=False, injection=Injection(POINT, "kicks", at))
        if at < RACES:
            race = Call(PREFIX + "count", (1 << 19 + at,))
            yield Case((race,), context=False, injection=Injection(POINT, "deadline", at))


def judge(target: Target, case: Case, injection: Injection) -> Found | None:
    """Runs the case on `patient` while what `injection` says happens."""
    if injection.kind == "deadline":
        return _race(target, case)
    with open_patient(target, deadline=PATIENCE_SECONDS) as session:
        plain = session.run(case)
        if injection.kind == "kicks":
            with _kicks():
                found = _compare(session, case, plain)
        else:
            with failing(("run", "kvm"), injection.at + 1, errno.EINTR):
                found = _compare(session, case, plain)
        return found or _compare(session, case, plain)


def _compare(session: Session, case: Case, plain: tuple[Observation, ...]) -> Found | None:
    for at, call in enumerate(case.calls):
        try:
            seen = session.single(call)
        except HlfuzzError as error:
            return at, f"an interruption ends the sandbox: {error}"
        if differs(seen, plain[at]):
            return at, f"interrupted it {observation_text(seen)}, and else {observation_text(plain[at])}"
    return None


def _race(target: Target, case: Case) -> Found | None:
    call = case.calls[0]
    with open_patient(target, deadline=RACE_SECONDS) as session:
        outcome = session.single(call).outcome
        if outcome != Ok((call.args[0],)) and not isinstance(outcome, Timeout):
            return 0, f"at its deadline it {outcome_text(outcome)}"
        # what is left of the deadline must not hit the next call; a busy machine hits one, not three
        seen = [session.single(_QUICK).outcome for _ in range(3)]
        if not any(isinstance(o, Ok) for o in seen):
            return 0, f"the calls after it {outcome_text(seen[-1])}"
    return None


@contextmanager
def _kicks() -> Generator[None]:
    """Sends this thread kicks in the block. Outside of KVM_RUN they stay blocked; none is left over."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {KICK})
    here, over = threading.get_ident(), threading.Event()

    def send() -> None:
        for _ in range(KICKS):
            if over.wait(EVERY_SECONDS):
                break
            with contextlib.suppress(OSError):  # this user's queue of pending signals is full
                signal.pthread_kill(here, KICK)

    sender = threading.Thread(target=send, name="hlfuzz-kicks")
    try:
        sender.start()
        yield
    finally:
        over.set()
        sender.join()
        while signal.sigtimedwait({KICK}, 0) is not None:
            pass
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
