"""Calls of one guest by export name, shared by the sandbox, its contexts and its host functions' `Caller`."""

from __future__ import annotations

from typing import TypeAlias, cast

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.model import Export, ExternKind, Failure, FuncType, Ok, Outcome, Value
from hlfuzz.sandbox.engines.base import Engine, Entry, Returned
from hlfuzz.sandbox.values import refuse_references
from hlfuzz.sandbox.vectors import RESULT_FORMS, ResultForm, Vectors, place, plan, read_result

Bound: TypeAlias = tuple[Entry, int]
"""How to call an export, and how many plain values it takes."""


class Calls:
    """Runs calls in one engine. The caller has checked that this thread may."""

    def __init__(self, guest: Guest, engine: Engine, allocator: str | int | None) -> None:
        self._guest = guest
        self._engine = engine
        self._vectors = Vectors(guest, engine, allocator)
        self.bound: dict[str, Bound] = {}
        """Exports called so far, by name."""

    def bind(self, name: str) -> Bound:
        """An export, looked up once. Raises `UsageError`: no such function, or one with reference types."""
        bound = self.bound.get(name)
        if bound is None:
            export = self._guest.export(name, ExternKind.FUNC)
            type_ = cast("FuncType", export.type)
            refuse_references(type_, name)
            bound = self.bound[name] = self._engine.entry(export), len(type_.params)
        return bound

    def run(self, name: str, args: tuple[object, ...], form: ResultForm, reset: bool) -> Returned | Failure:
        """One call. A `bytes` argument takes two integer parameters; `form` says how bytes come back."""
        entry, count = self.bind(name)
        if form == "none" and len(args) == count:
            return entry(args, reset)
        if form not in RESULT_FORMS:
            raise UsageError(
                f"unknown result form ({name!r}, {form!r}): choose one of {', '.join(RESULT_FORMS)}"
            )
        type_ = cast("FuncType", self._guest.export(name, ExternKind.FUNC).type)
        vectors = plan(args, type_, name, self._vectors)
        done = False
        try:
            placed = place(args, vectors, self._vectors, self._call_export)
            if isinstance(placed, Failure):
                return placed
            flat, spans = placed
            done = form == "none"
            result = entry(tuple(flat), reset and done)
            if done or isinstance(result, Failure):
                return result
            return read_result(as_values(result), type_, form, spans, self._engine, self._vectors.memory)
        finally:
            if reset and not done:
                self._engine.reset()

    def _call_export(self, export: Export, args: tuple[object, ...]) -> Returned | Failure:
        entry, _ = self.bind(export.name)
        return entry(args, False)


def as_values(returned: Returned) -> tuple[Value, ...]:
    """A call's results as a tuple."""
    if returned is None:
        return ()
    return returned if isinstance(returned, tuple) else (returned,)


def as_outcome(returned: Returned | Failure) -> Outcome:
    """A call's results or failure as an outcome."""
    if isinstance(returned, Failure):
        return cast("Outcome", returned)
    return Ok(as_values(returned))
