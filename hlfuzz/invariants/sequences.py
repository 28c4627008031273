"""`Calls`: a sequence of calls of one guest, typed where there is a schema; made by `call_sequences`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast, overload

from hlfuzz.bindings import Interface, TypedGuest, schema_of
from hlfuzz.bindings.text import value_text
from hlfuzz.guest import Guest
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.target import Target
from hlfuzz.invariants.typed import Typed
from hlfuzz.model import Call, Ok, Outcome, Value
from hlfuzz.sandbox import CallContext, Sandbox

Source = type[TypedGuest[Any]] | Target | Guest
"""What calls are made of: a client class (its schema), a target (its interface), or a guest (its exports)."""


@dataclass(frozen=True, slots=True)
class TypedCall:
    """One call: the method's name as a client has it, its Python arguments, and the call as it is made."""

    method: str
    arguments: tuple[Any, ...]
    call: Call


class Calls(Sequence[TypedCall]):
    """Calls in order. `repr` is Python that makes the same: `Calls(FilterGuest, ("on_data", Data()))`."""

    def __init__(self, source: Source, *calls: tuple[Any, ...]) -> None:
        """`calls`: tuples of a method's name and its arguments. Raises `UsageError` for an unknown method,
        and for arguments that do not fit it."""
        typed = typed_of(source)
        self._fill(source, typed, tuple(_make(source, typed, name, args) for name, *args in calls))

    @classmethod
    def of(cls, source: Source, calls: Sequence[TypedCall]) -> Calls:
        """A sequence of calls that are made already."""
        made = cls.__new__(cls)
        made._fill(source, typed_of(source), tuple(calls))
        return made

    def _fill(self, source: Source, typed: Typed | None, calls: tuple[TypedCall, ...]) -> None:
        self._source = source
        self._typed = typed
        self._calls = calls

    @overload
    def __getitem__(self, index: int) -> TypedCall: ...
    @overload
    def __getitem__(self, index: slice) -> Calls: ...
    def __getitem__(self, index: int | slice) -> TypedCall | Calls:
        if isinstance(index, slice):
            return Calls.of(self._source, self._calls[index])
        return self._calls[index]

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[TypedCall]:
        return iter(self._calls)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calls) and self.case() == other.case()

    def __hash__(self) -> int:
        return hash(self.case())

    def run(self, where: Sandbox | CallContext | TypedGuest[Any]) -> list[Outcome]:
        """Make the calls in a sandbox (also a leased one), a call context, or through a typed client.

        Returns their outcomes; `Ok` holds what the schema makes of the results, or a `Refusal` where the
        guest answered with an error of its interface. Nothing that a guest does is raised. In a context it
        ends early at the call that fails, as no other could follow. Raises `UsageError` where the guest has
        no such method.
        """
        place = where.target if isinstance(where, TypedGuest) else where
        outcomes: list[Outcome] = []
        for made in self._calls:
            outcome = self._perform(place, made.call)
            outcomes.append(outcome)
            if isinstance(place, CallContext) and not isinstance(outcome, Ok):
                break
        return outcomes

    def _perform(self, place: Sandbox | CallContext, call: Call) -> Outcome:
        if self._typed is None:
            return place.try_call(call.function, *call.args)
        return self._typed.answer(call, self._typed.perform(place, call))

    def case(self, *, context: bool = True) -> Case:
        """The calls as a case for a checker: in one context, or each on its own."""
        return Case(tuple(c.call for c in self._calls), context)

    def lines(self, name: str = "guest") -> list[str]:
        """The calls as statements on a client or sandbox of that name."""
        if self._typed is not None and isinstance(self._source, type):
            return [f"{name}.{c.method}({_arguments(c)})" for c in self._calls]
        return [f"{name}.call({_listed(c)})" for c in self._calls]

    def __repr__(self) -> str:
        match self._source:
            case Target():
                source = "target"
            case Guest():
                source = "guest"
            case client:
                source = client.__name__
        calls = [f"({_listed(c)}{'' if c.arguments else ','})" for c in self._calls]
        one_line = f"Calls({', '.join([source, *calls])})"
        if len(one_line) <= 80:
            return one_line
        return "Calls(\n" + "".join(f"    {part},\n" for part in [source, *calls]) + ")"


def _arguments(made: TypedCall) -> str:
    return ", ".join(map(value_text, made.arguments))


def _listed(made: TypedCall) -> str:
    return ", ".join([repr(made.method), *map(value_text, made.arguments)])


def typed_of(source: Source) -> Typed | None:
    """The schema of a source; None for one that has only a module's exports. Raises `UsageError` for a
    class that is no client."""
    match source:
        case Target():
            return source.interface.typed
        case Guest():
            return None
        case _:
            return _typed(*schema_of(source))


@lru_cache(maxsize=64)
def _typed(interface: Interface, service: str) -> Typed:
    return Typed(interface, service=service)


def _make(source: Source, typed: Typed | None, name: str, arguments: Sequence[Any]) -> TypedCall:
    if typed is not None:
        method = typed.find(name)
        return TypedCall(method.name, tuple(arguments), method.encode(tuple(arguments)))
    return TypedCall(name, tuple(arguments), Call(name, cast("tuple[Value, ...]", tuple(arguments))))
