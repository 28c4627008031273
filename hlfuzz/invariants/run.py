"""Runs a case over one or more sandboxes and writes down what happens as events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import get_ident

from hlfuzz.invariants.case import Case
from hlfuzz.invariants.events import (
    Called,
    ContextEnded,
    ContextOpened,
    Event,
    Run,
    SandboxOpened,
    SandboxReset,
    StrayHostCall,
)
from hlfuzz.invariants.session import Session
from hlfuzz.model import Call, Ok
from hlfuzz.sandbox import CallContext


def run_case(
    sessions: Mapping[int, Session], case: Case, *, look: Callable[[], object] = lambda: None
) -> Run:
    """Make the case's calls, each in the sandbox that the case names; the sessions are by those numbers.

    With `case.context` each sandbox has one context from its first call to the end of the case, so contexts
    of two sandboxes overlap; a call that fails ends its own sandbox's context only. `look` is called after
    the last call, while contexts are still open. Returns what happened.
    """
    return _Runner(sessions, case, look).run()


class _Runner:
    def __init__(self, sessions: Mapping[int, Session], case: Case, look: Callable[[], object]) -> None:
        self._sessions = sessions
        self._case = case
        self._look = look
        self._events: list[Event] = []
        self._thread = get_ident()
        self._contexts: dict[int, CallContext] = {}
        self._poisoned: set[int] = set()

    def run(self) -> Run:
        case = self._case
        boxes = case.boxes or (0,) * len(case.calls)
        for box in dict.fromkeys(boxes):
            session = self._sessions[box]
            session.take()  # what came before is another run's
            self._events.append(SandboxOpened(box, session.box.engine, session.reset, self._thread))
        try:
            self._make_calls(boxes)
            self._look()
        finally:
            for box, context in self._contexts.items():
                context.finish()
                self._events += (ContextEnded(box, box in self._poisoned), SandboxReset(box))
        for box in dict.fromkeys(boxes):
            self._note_strays(box)
        return Run(case, tuple(self._events))

    def _make_calls(self, boxes: tuple[int, ...]) -> None:
        note = self._events.append
        for at, (box, call) in enumerate(zip(boxes, self._case.calls, strict=True)):
            session = self._sessions[box]
            if not self._case.context:
                seen = session.single(call)
                note(Called(box, at, call, False, seen.outcome, seen.host_calls, self._thread))
                note(SandboxReset(box))
            elif box not in self._poisoned:
                self._call_in_context(box, at, call)

    def _call_in_context(self, box: int, at: int, call: Call) -> None:
        session = self._sessions[box]
        context = self._contexts.get(box)
        if context is None:
            context = self._contexts[box] = session.box.context()
            self._events.append(ContextOpened(box))
        self._note_strays(box)
        seen = session.observe(context, call)
        self._events.append(Called(box, at, call, True, seen.outcome, seen.host_calls, self._thread))
        if not isinstance(seen.outcome, Ok):
            self._poisoned.add(box)

    def _note_strays(self, box: int) -> None:
        self._events += (StrayHostCall(box, stray) for stray in self._sessions[box].take())
