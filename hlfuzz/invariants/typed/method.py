"""What the checkers need of one method of a schema, whatever its format: calls, outcomes, texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hlfuzz.errors import CallFailed
from hlfuzz.invariants.typed.text import shown_value
from hlfuzz.model import Call, Failed, FuncType, Ok, Outcome, Violation
from hlfuzz.sandbox import CallContext, Sandbox
from hlfuzz.schema.ir import Method, Service

Place = Sandbox | CallContext
"""What a call goes to."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a guest answers instead of a value: an error `code` that its interface allows, and its `text`."""

    code: int
    text: str = ""


class TypedMethod(ABC):
    """One method that a guest exports: typed arguments to a `Call`, and back."""

    def __init__(self, service: Service, method: Method, python_name: str) -> None:
        self.service = service
        self.method = method
        self.name = python_name
        """What a client's method is called."""

    @property
    def symbol(self) -> str:
        """The export."""
        return self.method.symbol

    @property
    @abstractmethod
    def type(self) -> FuncType:
        """The export's signature."""

    @property
    @abstractmethod
    def carries_bytes(self) -> bool:
        """Whether there is a place for bytes or text in its arguments."""

    @abstractmethod
    def encode(self, arguments: tuple[Any, ...]) -> Call:
        """The call with these arguments. Raises `EncodeError` or `UsageError` for values that do not fit."""

    @abstractmethod
    def decode(self, call: Call) -> tuple[Any, ...] | None:
        """The arguments of a call; None when they are no valid ones."""

    @abstractmethod
    def perform(self, place: Place, call: Call) -> Outcome:
        """Make a call and check what comes back: `Ok` with the bytes of the answer, or with numbers; a
        `Violation` when the answer is none of the interface."""

    @abstractmethod
    def answer(self, outcome: Ok) -> Any:
        """The value in an outcome of `perform`, or a `Refusal`."""

    def text(self, call: Call) -> str:
        """The call as Python text."""
        arguments = self.decode(call)
        if arguments is None:
            arguments = call.args
        return f"{self.name}({', '.join(map(shown_value, arguments))})"


def attempt(place: Place, function: str, run: Callable[[], Ok | Violation]) -> Outcome:
    """What a call gives, as an outcome; a context whose guest broke the interface makes no further calls."""
    try:
        outcome: Outcome = run()
    except CallFailed as failed:
        outcome = _outcome(failed)
    if isinstance(outcome, Violation) and isinstance(place, CallContext):
        place.poison(f"{function!r}: {outcome.message}")
    return outcome


def _outcome(failed: CallFailed) -> Failed:
    return failed.outcome
