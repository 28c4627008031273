"""What happened in a run, in order: the events that every checker is given, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from hlfuzz.invariants.case import Case
from hlfuzz.invariants.observe import HostCall, Observation
from hlfuzz.model import Call, Outcome

# `box` in each of them is the number of the sandbox in this run, from 0.


@dataclass(frozen=True, slots=True)
class SandboxOpened:
    """A sandbox takes part from here on, at its snapshot. It may have served earlier runs. `engine` is "kvm"
    or "inprocess", `reset` its level, `thread` the identity of the thread that owns it."""

    box: int
    engine: str
    reset: str
    thread: int


@dataclass(frozen=True, slots=True)
class ContextOpened:
    """A call context began: the calls of this sandbox share state until `ContextEnded`."""

    box: int


@dataclass(frozen=True, slots=True)
class Called:
    """One call and everything its caller saw. `at` is its position in the case; `host_calls` are those made
    during the call, in order; `thread` is the caller's."""

    box: int
    at: int
    call: Call
    context: bool
    outcome: Outcome
    host_calls: tuple[HostCall, ...]
    thread: int

    @property
    def observation(self) -> Observation:
        """Outcome and host calls, as they are compared between runs."""
        return Observation(self.outcome, self.host_calls)


@dataclass(frozen=True, slots=True)
class StrayHostCall:
    """A host function ran while no call was in progress: after `finish()`, after a call, or too late."""

    box: int
    host_call: HostCall


@dataclass(frozen=True, slots=True)
class ContextEnded:
    """`finish()` returned. `poisoned`: a call of the context had failed, and calls after it were not made."""

    box: int
    poisoned: bool


@dataclass(frozen=True, slots=True)
class SandboxReset:
    """The sandbox is back at its snapshot, as far as it says."""

    box: int


@dataclass(frozen=True, slots=True)
class SandboxClosed:
    """The sandbox is gone. Only in runs of checkers that open sandboxes of their own."""

    box: int


Event: TypeAlias = (
    SandboxOpened | ContextOpened | Called | StrayHostCall | ContextEnded | SandboxReset | SandboxClosed
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one case did: the case, and its events in order."""

    case: Case
    events: tuple[Event, ...]

    @property
    def calls(self) -> tuple[Called, ...]:
        """The calls that were made, in order: fewer than the case has when a context was poisoned."""
        return tuple(e for e in self.events if isinstance(e, Called))

    @property
    def observations(self) -> tuple[Observation, ...]:
        """What the callers saw, in order."""
        return tuple(c.observation for c in self.calls)
