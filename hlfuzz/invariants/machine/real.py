"""The sandboxes that a machine drives, each with its model, and the comparison of the two."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from hypothesis import reject

from hlfuzz.errors import GuestTimeout, HlfuzzError, HlfuzzWarning
from hlfuzz.invariants.experiments.lab import Lab
from hlfuzz.invariants.experiments.slate import NOTE_ADDRESS, Place
from hlfuzz.invariants.machine.homes import Home
from hlfuzz.invariants.machine.model import BoxModel, ContextModel, Failing, Notes, Refusal
from hlfuzz.model import HostError, Outcome, Timeout, Trap
from hlfuzz.sandbox import CallContext, Caller, Sandbox, Snapshot

T = TypeVar("T")

NO_ANSWER: Final = "no answer"


@dataclass(eq=False)
class Context:
    """A context and its model."""

    real: CallContext
    model: ContextModel


@dataclass(eq=False)
class Box:
    """A sandbox and its model, where it lives, its open context, and those that were."""

    real: Sandbox
    model: BoxModel
    home: Home
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
        self.agree("a write by the host", None, lambda: self.caller.memory().write(NOTE_ADDRESS, data))
        self.model.write(Place.MEMORY, value)

    def agree(self, what: str, refusal: Refusal, use: Callable[[], T]) -> T | None:
        """As `agree`, where the sandbox lives."""
        return (
            self.home.run(self.real, lambda: agree(what, refusal, use))
            if not self.model.is_closed
            else (self.home.make(lambda: agree(what, refusal, use)))
        )

    def agree_warned(self, what: str, wanted: bool, use: Callable[[], object]) -> None:
        """As `agree_warned`, where the sandbox lives."""
        self.home.run(self.real, lambda: agree_warned(what, wanted, use))

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
    from_file: bool = False

    def __repr__(self) -> str:
        return "a snapshot"


class Host:
    """The host function of all sandboxes: answers with the double of what it is told, and notes when nobody
    should have told it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        lab.answer = self._answer
        self.waiting = Lab(lab.engine, lab.reset, lab.told, self._answer_later)
        """Opens sandboxes whose host function is a coroutine: for `dispatch="asyncio"`."""
        self._in_call = False
        self.fails = False
        """Whether it raises."""
        self.inside: Callable[[], object] | None = None
        """What it does besides."""
        self.caller: Caller | None = None
        """What it was given last."""
        self.wrong = ""
        """What it has seen that should not be."""

    def _answer(self, caller: Caller, value: int) -> int:
        if not self._in_call:
            self._note(f"the host function ran while no call was in progress, and was told {value}")
        self.caller = caller
        if self.inside is not None:
            self.inside()
        if self.fails:
            raise ArithmeticError(f"{NO_ANSWER} to {value}")
        return 2 * value

    def _answer_later(self, caller: Caller, value: int) -> Awaitable[int]:
        async def answer() -> int:
            await asyncio.sleep(0)
            return self._answer(caller, value)

        return answer()

    def during(self, home: Home, use: Callable[[], T], *counts: int) -> T:
        """What calls give, during which it must be told 1, 2, … `count` for each of `counts`: in this order
        when it is one."""
        self._lab.told.clear()
        self._in_call = True
        try:
            return use()
        finally:
            self._in_call = False
            wanted = [value for count in counts for value in range(1, count + 1)]
            values = self._lab.values
            if values != wanted and (len(counts) < 2 or Counter(values) != Counter(wanted)):
                self._note(f"the host function was told {values}, and the guest says {wanted}")
            if any(thread != home.ident for _, thread in self._lab.told):
                self._note("the host function ran in another thread than the caller's")

    def _note(self, wrong: str) -> None:
        self.wrong = self.wrong or wrong


def agree(what: str, refusal: Refusal, use: Callable[[], T]) -> T | None:
    """What `use()` gives, if it must work; None when it was refused as it must be."""
    wanted = "work" if refusal is None else f"raise {refusal.error.__name__} ({refusal.words})"
    start = time.monotonic()
    try:
        given = use()
    except HlfuzzError as error:
        if refusal is not None and type(error) is refusal.error and refusal.words in str(error):
            return None
        if refusal is None and isinstance(error, GuestTimeout):
            _had_its_time(start, error.outcome)
        raise AssertionError(f"{what} must {wanted}, and raised {type(error).__name__}: {error}") from error
    assert refusal is None, f"{what} must {wanted}, and worked"
    return given


def agree_warned(what: str, wanted: bool, use: Callable[[], object]) -> None:
    """It must work; and it must warn, or must not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        agree(what, None, use)
    warned = any(issubclass(w.category, HlfuzzWarning) for w in caught)
    assert warned == wanted, f"{what} must {'' if wanted else 'not '}warn, and did{' not' if wanted else ''}"


def _had_its_time(start: float, outcome: Outcome) -> None:
    """Gives the sequence up when a call that should end was stopped at its deadline and no sooner: that is a
    busy machine."""
    if isinstance(outcome, Timeout) and time.monotonic() - start >= outcome.deadline_us / 1e6:
        reject()


def agree_read(what: str, notes: Notes, place: Place, found: object) -> None:
    """A read must give what the model has there."""
    wanted = notes.values[place]
    assert found == wanted, f"{what} reads {found} from {place.name.lower()}, where {wanted} must be"


def agree_outcome(what: str, how: Failing, use: Callable[[], Outcome]) -> None:
    """A call that must fail has failed in its way, and says what it was."""
    start = time.monotonic()
    outcome = use()
    match how, outcome:
        case "trap", Trap("unreachable"):
            return
        case "ask", HostError("env.tell", message, ArithmeticError()) if NO_ANSWER in message:
            return
        case "spin", Timeout(deadline_us) if time.monotonic() - start >= deadline_us / 1e6:
            return
        case _:
            if how != "spin":
                _had_its_time(start, outcome)
    raise AssertionError(f"{what} must end as {how} does, and ended so: {outcome}")


def agree_seen(box: Box) -> None:
    """What the host sees of the state from outside."""
    if not box.model.is_closed:
        box.home.run(box.real, lambda: _agree_seen(box.real, box.model.now))


def _agree_seen(real: Sandbox, notes: Notes) -> None:
    memory = real.memory()
    seen = int.from_bytes(memory.read(NOTE_ADDRESS, 4), "little")
    wanted = notes.values[Place.MEMORY]
    assert seen == wanted, f"the host reads {seen} from memory, where {wanted} must be"
    seen, wanted = real.globals["page"], notes.values[Place.GLOBAL]
    assert seen == wanted, f"the host reads {seen} from a global, where {wanted} must be"
    assert memory.size == notes.memory_bytes, f"memory has {memory.size} bytes, not {notes.memory_bytes}"
