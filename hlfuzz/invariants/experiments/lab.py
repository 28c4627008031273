"""Experiments: fixed sequences on a guest of our own, by which a checker tries what the guest under test may
never do."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

from hlfuzz.errors import EnvironmentProblem, HlfuzzError
from hlfuzz.invariants.base import Fault, Invariant
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.experiments.slate import slate
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.target import EngineName, Reset, Target
from hlfuzz.model import Call
from hlfuzz.sandbox import Caller, Dispatcher, HostFunction, PendingCall, Pool, Provider, Sandbox

PREFIX: Final = "hlfuzz."
"""A case whose first call is named so is an experiment."""

DEADLINE_SECONDS: Final = 0.05
"""CPU time of one call of the slate, which needs a few µs unless it spins."""


PATIENCE_SECONDS: Final = 30.0
"""A dispatched call of which nothing is heard for so long does not end."""

T = TypeVar("T")


class Unkept(Exception):
    """What an experiment has seen that should not be."""


def expect(holds: object, wrong: str) -> None:
    """Raises `Unkept` unless it holds; `wrong` says what is wrong then."""
    if not holds:
        raise Unkept(wrong)


def refused(error: type[HlfuzzError], what: str, use: Callable[[], object]) -> None:
    """Raises `Unkept` unless `use()` raises that error."""
    try:
        use()
    except error:
        return
    except HlfuzzError as other:
        raise Unkept(f"{what} should raise {error.__name__}, and raised {type(other).__name__}") from other
    raise Unkept(f"{what} should raise {error.__name__}, and was accepted")


def in_thread(work: Callable[[], object]) -> None:
    """Run it in another thread; what it raises is raised here."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


def drive(dispatcher: Dispatcher, pending: PendingCall[T]) -> T:
    """Process events until the call has ended. Raises what it raised, and as `turn`."""
    while not pending.done:
        turn(dispatcher)
    return pending.result()


def turn(dispatcher: Dispatcher) -> None:
    """Wait for events and process them once. Raises `Unkept` when none come."""
    readable, _, _ = select.select([dispatcher], [], [], PATIENCE_SECONDS)
    expect(readable, f"nothing came of a dispatched call for {PATIENCE_SECONDS:g} s")
    dispatcher.process_events()


@dataclass
class Lab:
    """Where experiments are made: opens sandboxes of the slate on one engine and reset level.

    `told` is what its host function was told, in order, each with the identity of the thread it ran in.
    `answer(caller, value)` is what that function does, and its result.
    """

    engine: EngineName
    reset: Reset
    told: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    answer: Callable[[Caller, int], Any] = lambda caller, value: value

    def open(self, **options: Any) -> Sandbox:
        """A new sandbox of the slate; the options are those of `Sandbox`."""
        return Sandbox(slate(), self._host(), **self._defaults() | options)

    def open_pool(self, **options: Any) -> Pool:
        """A new pool of such sandboxes; the options are those of `Pool`."""
        return Pool(slate(), self._host(), **self._defaults() | options)

    def _host(self) -> dict[str, Provider]:
        return {"env.tell": HostFunction(self._tell, caller=True)}

    def _defaults(self) -> dict[str, Any]:
        return {"engine": self.engine, "reset": self.reset, "deadline": DEADLINE_SECONDS}

    def _tell(self, caller: Caller, value: int) -> Any:
        self.told.append((value, get_ident()))
        return self.answer(caller, value)

    @property
    def values(self) -> list[int]:
        """What the host function was told, without the threads."""
        return [value for value, _ in self.told]


Experiment: TypeAlias = Callable[[Lab], None]
"""Raises `Unkept` when the platform does not keep its promise."""


class ExperimentalInvariant(Invariant):
    """An invariant of the platform with experiments, which come first, and a check of the guest under test.

    A subclass gives `experiments` by name and `judge_case`.
    """

    experiments: ClassVar[Mapping[str, Experiment]]

    def judge_case(self, target: Target, case: Case, *, strict: bool) -> Fault | None:
        """Judges calls of the guest under test."""
        raise NotImplementedError

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        for name in self.experiments:
            yield Case((Call(PREFIX + name),), context=False)
        yield from super().cases(target, generator)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        name = case.calls[0].function
        if not name.startswith(PREFIX):
            return self.judge_case(target, case, strict=strict)
        experiment = self.experiments.get(name.removeprefix(PREFIX))
        wrong = experiment and self._try(experiment, Lab(target.engine, "strict" if strict else "memory"))
        if not wrong:
            return None
        return self.violated(
            function=name, detail="", title=f"{name.removeprefix(PREFIX)}: {wrong}", evidence=(), case=case
        )

    @staticmethod
    def _try(experiment: Experiment, lab: Lab) -> str:
        try:
            experiment(lab)
        except Unkept as wrong:
            return str(wrong)
        except EnvironmentProblem:
            raise
        except HlfuzzError as error:
            return f"the platform raised {type(error).__name__}: {error}"
        return ""
