"""The sandboxes that a machine drives, each with its model, and the comparison of the two."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import get_ident
from typing import Final, TypeVar

from hlfuzz.errors import HlfuzzError, HlfuzzWarning
from hlfuzz.invariants.experiments.lab import Lab
from hlfuzz.invariants.experiments.slate import NOTE_ADDRESS, Place
from hlfuzz.invariants.machine.model import BoxModel, ContextModel, Failing, Notes, Refusal
from hlfuzz.model import HostError, Outcome, Timeout, Trap
from hlfuzz.sandbox import CallContext, Caller, Sandbox, Snapshot

T = TypeVar("T")

OUTCOMES: Final[dict[Failing, type]] = {"trap": Trap, "spin": Timeout, "ask": HostError}


@dataclass(eq=False)
class Context:
    """A context and its model."""

    real: CallContext
    model: ContextModel


@dataclass(eq=False)
class Box:
    """A sandbox and its model, its open context, and those that were."""

    real: Sandbox
    model: BoxModel
    context: Context | None = None
    old: list[Context] = field(default_factory=list[Context])

    def __repr__(self) -> str:
        return "a lease" if self.model.is_leased else "a sandbox"

    @property
    def caller(self) -> Sandbox | CallContext:
        """What its calls are made through now."""
        return self.real if self.context is None else self.context.real

    def host_writes(self, value: int) -> None:
        """The host notes this in memory, through the context if one is open."""
        data = value.to_bytes(4, "little")
        agree("a write by the host", None, lambda: self.caller.memory().write(NOTE_ADDRESS, data))
        self.model.write(Place.MEMORY, value)

    def called(self) -> None:
        """A call has ended: outside a context a reset follows."""
        if self.context is None:
            self.model.reset()

    def end_context(self) -> None:
        """The open context has ended."""
        assert self.context is not None
        self.context.model.finish()
        self.old.append(self.context)
        self.context = None


@dataclass(eq=False)
class State:
    """A snapshot, and the notes that are in it."""

    real: Snapshot
    notes: Notes

    def __repr__(self) -> str:
        return "a snapshot"


class Host:
    """The host function of all sandboxes: answers with the double of what it is told, and notes when nobody
    should have told it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        lab.answer = self._answer
        self._in_call = False
        self.fails = False
        """Whether it raises."""
        self.wrong = ""
        """What it has seen that should not be."""

    def _answer(self, caller: Caller, value: int) -> int:
        if not self._in_call:
            self._note(f"the host function ran while no call was in progress, and was told {value}")
        if self.fails:
            raise ArithmeticError(f"no answer to {value}")
        return 2 * value

    def during(self, count: int, use: Callable[[], T]) -> T:
        """What a call gives during which it must be told 1, 2, … `count`."""
        self._lab.told.clear()
        self._in_call = True
        try:
            return use()
        finally:
            self._in_call = False
            wanted = list(range(1, count + 1))
            if self._lab.values != wanted:
                self._note(f"the host function was told {self._lab.values}, and the guest says {wanted}")
            if any(thread != get_ident() for _, thread in self._lab.told):
                self._note("the host function ran in another thread than the caller's")

    def _note(self, wrong: str) -> None:
        self.wrong = self.wrong or wrong


def agree(what: str, refusal: Refusal, use: Callable[[], T]) -> T | None:
    """What `use()` gives, if it must work; None when it was refused as it must be."""
    wanted = "work" if refusal is None else f"raise {refusal.__name__}"
    try:
        given = use()
    except HlfuzzError as error:
        if refusal is not None and isinstance(error, refusal):
            return None
        raise AssertionError(f"{what} must {wanted}, and raised {type(error).__name__}: {error}") from error
    assert refusal is None, f"{what} must {wanted}, and worked"
    return given


def agree_warned(what: str, wanted: bool, refusal: Refusal, use: Callable[[], object]) -> None:
    """As `agree`; and it must warn, or must not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        agree(what, refusal, use)
    warned = any(issubclass(w.category, HlfuzzWarning) for w in caught)
    assert warned == wanted, f"{what} must {'' if wanted else 'not '}warn, and did{' not' if wanted else ''}"


def agree_read(what: str, notes: Notes, place: Place, found: object) -> None:
    """A read must give what the model has there."""
    wanted = notes.values[place]
    assert found == wanted, f"{what} reads {found} from {place.name.lower()}, where {wanted} must be"


def agree_outcome(what: str, how: Failing, outcome: Outcome | None) -> None:
    """A call that must fail has failed in its way."""
    assert isinstance(outcome, OUTCOMES[how]), f"{what} must end in {OUTCOMES[how].__name__}: {outcome}"


def agree_seen(box: Box) -> None:
    """What the host sees of the state from outside."""
    if box.model.is_closed:
        return
    notes = box.model.now
    memory = box.real.memory()
    seen = int.from_bytes(memory.read(NOTE_ADDRESS, 4), "little")
    wanted = notes.values[Place.MEMORY]
    assert seen == wanted, f"the host reads {seen} from memory, where {wanted} must be"
    seen, wanted = box.real.globals["page"], notes.values[Place.GLOBAL]
    assert seen == wanted, f"the host reads {seen} from a global, where {wanted} must be"
    assert memory.size == notes.memory_bytes, f"memory has {memory.size} bytes, not {notes.memory_bytes}"
