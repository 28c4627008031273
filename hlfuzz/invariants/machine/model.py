"""What a sandbox is, without any VM: notes that calls and the host write, and who may use it now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from hlfuzz.errors import ContextBusy, ContextFinished, HlfuzzError, SandboxClosed, UsageError, WrongThread
from hlfuzz.invariants.experiments.slate import Place

PAGE_BYTES: Final = 65536

Failing: TypeAlias = Literal["trap", "spin", "ask"]
"""A call that fails: it traps, does not end, or has a host function that raises."""


@dataclass(frozen=True, slots=True)
class Refused:
    """That a use is refused: with exactly this error, whose message has these words."""

    error: type[HlfuzzError]
    words: str


Refusal: TypeAlias = Refused | None
"""How a use must be refused; None: it must work."""

CLOSED: Final = Refused(SandboxClosed, "sandbox is closed")
RETURNED: Final = Refused(SandboxClosed, "sandbox went back to its pool")
CONTEXT_OPEN: Final = Refused(ContextBusy, "a call context is open")
CALL_OPEN: Final = Refused(ContextBusy, "a dispatched call is in progress")
IN_HOST: Final = Refused(ContextBusy, "a call is in progress (in a host function)")
LATE_CALLER: Final = Refused(UsageError, "Caller used after its host function returned")
FINISHED: Final = Refused(ContextFinished, "call context is finished")
OTHER_THREAD: Final = Refused(WrongThread, "from a thread that did not open it")


@dataclass(frozen=True, slots=True)
class Notes:
    """The state of one slate."""

    values: Mapping[Place, int] = field(default_factory=lambda: dict.fromkeys(Place, 0))
    has_grown: bool = False

    def written(self, place: Place, value: int) -> Notes:
        """The state after this was written."""
        return Notes({**self.values, place: value}, self.has_grown or place is Place.GROWN)

    @property
    def memory_bytes(self) -> int:
        """Size of the memory."""
        return PAGE_BYTES * (1 + self.has_grown)


@dataclass(eq=False)
class BoxModel:
    """One sandbox: `start` is its snapshot, `now` its state."""

    start: Notes = Notes()
    is_leased: bool = False
    from_file: bool = False
    """Its snapshot was loaded from a file."""
    is_closed: bool = False
    context: ContextModel | None = None

    def __post_init__(self) -> None:
        self.now = self.start

    @property
    def refusal(self) -> Refusal:
        """Of a call of the sandbox itself."""
        if self.is_closed:
            return RETURNED if self.is_leased else CLOSED
        return CONTEXT_OPEN if self.context is not None else None

    def write(self, place: Place, value: int) -> None:
        """A call in a context, or the host, has written this."""
        self.now = self.now.written(place, value)

    def reset(self) -> None:
        """It is back at its snapshot; so after each call outside a context."""
        self.now = self.start

    def fail(self, how: Failing, value: int) -> None:
        """A call in a context has failed, after it had written `value` to memory where it does that."""
        if how == "trap":
            self.write(Place.MEMORY, value)
        elif how == "spin":  # a guest that was stopped anywhere cannot be looked at
            self.reset()

    def open_context(self) -> ContextModel:
        """A context begins, with the state as it is."""
        self.context = ContextModel(self)
        return self.context

    def close(self) -> None:
        """It is gone; an open context with it."""
        self.is_closed = True

    def give_back(self) -> None:
        """The lease has ended, and with it an open context."""
        if self.context is not None:
            self.context.finish()
        self.is_closed = True


@dataclass(eq=False)
class ContextModel:
    """One call context."""

    box: BoxModel
    is_finished: bool = False
    poison: str = ""
    """The function whose call has failed."""

    @property
    def refusal(self) -> Refusal:
        """Of a call."""
        if self.is_finished:
            return FINISHED
        if self.box.is_closed:
            return self.box.refusal
        return Refused(ContextFinished, f"poisoned by {self.poison!r}") if self.poison else None

    @property
    def warns_when_left(self) -> bool:
        """Whether leaving its block now is a mistake that is told."""
        return not (self.is_finished or self.poison or self.box.is_closed)

    def finish(self) -> None:
        """It has ended; again does nothing."""
        if not self.is_finished:
            self.is_finished = True
            self.box.context = None
            self.box.reset()
