"""Host functions that fail on purpose: at one host call a stand-in raises, answers nonsense or does what it
must not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from hlfuzz.errors import ContextBusy, UsageError, WrongThread
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.model import Timeout, Trap
from hlfuzz.sandbox import Caller, Sandbox

POINT: Final = "host-call"
"""`Injection.point` of what this module does."""

SLEEP_SECONDS: Final = 0.15
WALL_SECONDS: Final = 0.12
"""Wall-clock deadline of a guest whose host function sleeps longer than that."""


class InjectedError(Exception):
    """What a stand-in raises on purpose."""


class UnprintableError(Exception):
    """Raises again when it is asked for its text."""

    def __str__(self) -> str:
        raise RuntimeError("this exception has no text")


RAISED: Final[dict[str, Callable[[], BaseException]]] = {
    "raise": lambda: InjectedError("raised on purpose"),
    "interrupt": lambda: KeyboardInterrupt("raised on purpose"),
    "exit": lambda: SystemExit(7),
    "stop-iteration": StopIteration,
    "assertion": lambda: AssertionError("raised on purpose"),
    "out-of-memory": MemoryError,
    "recursion": lambda: RecursionError("raised on purpose"),
    "generator-exit": GeneratorExit,
    "unprintable": UnprintableError,
    "half-a-character": lambda: InjectedError("\ud800 and \0"),
}
"""Kinds that raise, and what."""

ANSWERS: Final[dict[str, Callable[[], object]]] = {
    "wrong-type": object,
    "wrong-count": lambda: (0,) * 999,
    "huge-number": lambda: 1 << 100_000,
    "huge-tuple": lambda: (0,) * 100_000,
}
"""Kinds that answer what no import can be declared to return, and with what."""


class Injector:
    """Does what `kind` says at host call number `at` (from 0) of `box`, and nothing at all others.

    After the call: `function` is the host function in which it was done ("" when there were not so many host
    calls), `thrown` what was raised, `complaint` what the platform allowed and should not have.
    """

    def __init__(self, kind: str, at: int, box: Sandbox) -> None:
        self.function = ""
        self.thrown: BaseException | None = None
        self.complaint = ""
        self._kind = kind
        self._left = at
        self._box = box
        self._kept: Caller | None = None

    def __call__(self, function: str, caller: Caller, answer: Callable[[], object]) -> object:
        """In the place of a host function that would do `answer`."""
        self._left -= 1
        if self._left != -1:
            return answer()
        self.function = function
        if self._kind in RAISED:
            self.thrown = RAISED[self._kind]()
            raise self.thrown
        if self._kind in ANSWERS:
            return ANSWERS[self._kind]()
        self.complaint = ACTS[self._kind](self, caller) or ""
        return answer()

    def check_kept(self) -> None:
        """Uses the `Caller` of a host function that has returned, if that is what was to be done."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            self.complaint = self.complaint or _refused(
                UsageError, "a Caller after its host function returned", lambda: kept.read(0, 0)
            )

    def reenter(self, caller: Caller) -> str | None:
        """Everything that only the outermost caller may do."""
        box = self._box
        name = next((e.name for e in box.guest.info.functions_exported), "")
        for what, act in (
            ("call", lambda: box.call(name)),
            ("context", box.context),
            ("reset", box.reset),
            ("close", box.close),
        ):
            if complaint := _refused(ContextBusy, f"Sandbox.{what}() in a host function", act):
                return complaint
        return None

    def switch_thread(self, caller: Caller) -> str | None:
        """The sandbox and the `Caller` in a thread that does not own them."""
        complaints: list[str] = []
        uses = (
            ("Sandbox.call()", lambda: self._box.call("")),
            ("Sandbox.close()", self._box.close),
            ("Caller.call()", lambda: caller.call("")),
        )

        def elsewhere() -> None:
            for what, act in uses:
                complaints.append(_refused(WrongThread, f"{what} in another thread", act))

        thread = threading.Thread(target=elsewhere, name="hlfuzz-elsewhere")
        thread.start()
        thread.join()
        return next(filter(None, complaints), None)

    def keep_caller(self, caller: Caller) -> str | None:
        """For `check_kept`."""
        self._kept = caller
        return None

    def sleep(self, caller: Caller) -> str | None:
        """Longer than the guest may run."""
        time.sleep(SLEEP_SECONDS)
        return None

    def nest_a_trap(self, caller: Caller) -> str | None:
        """A nested call that traps."""
        outcome = caller.try_call("trap")
        return None if isinstance(outcome, Trap) else f"a nested call of a trap {outcome_text(outcome)}"

    def nest_a_timeout(self, caller: Caller) -> str | None:
        """A nested call that never ends."""
        outcome = caller.try_call("spin")
        if isinstance(outcome, Timeout):
            return None
        return f"a nested call of an endless loop {outcome_text(outcome)}"


ACTS: Final[dict[str, Callable[[Injector, Caller], str | None]]] = {
    "re-entrance": Injector.reenter,
    "other-thread": Injector.switch_thread,
    "late-caller": Injector.keep_caller,
    "sleep": Injector.sleep,
    "nested-trap": Injector.nest_a_trap,
    "nested-timeout": Injector.nest_a_timeout,
}
"""Kinds that do something and then answer as always; the text is what should not have been allowed."""

HARMLESS: Final = ("re-entrance", "other-thread", "late-caller")
"""Of `ACTS`: what is refused, so that the guest is answered as if nothing had happened."""

NESTED: Final = ("nested-trap", "nested-timeout")

_FIRST: Final = ("raise", "interrupt", "re-entrance", "late-caller", "other-thread", "wrong-type")
EVERYWHERE: Final = tuple(dict.fromkeys((*_FIRST, *RAISED, *ANSWERS, *HARMLESS)))
"""Kinds that fit every guest, the most different ones first; others need exports that only `patient` has."""


def _refused(error: type[Exception], what: str, act: Callable[[], object]) -> str:
    """ "" when `act` raised `error`, else what it did instead."""
    try:
        act()
    except error:
        return ""
    except Exception as other:
        return f"{what} raised {type(other).__name__} ({other}) and not {error.__name__}"
    return f"{what} was allowed and should raise {error.__name__}"
