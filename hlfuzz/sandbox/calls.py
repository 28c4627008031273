"""Calls of one guest by export name, shared by the sandbox, its contexts and its host functions' `Caller`."""

from __future__ import annotations

from typing import Final, TypeAlias, cast

from hlfuzz.errors import UsageError
from hlfuzz.guest import CallLimits, Guest
from hlfuzz.model import Export, ExternKind, Failure, FuncType, LimitExceeded, Ok, Outcome, ValType, Value
from hlfuzz.sandbox.engines.base import Engine, Entry, Returned
from hlfuzz.sandbox.values import is_bytes, refuse_references
from hlfuzz.sandbox.vectors import RESULT_FORMS, ResultForm, Vectors, over_output, place, plan, read_result

Bound: TypeAlias = tuple[Entry, int]
"""How to call an export, and how many plain values it takes."""


class Calls:
    """Runs calls in one engine. The caller has checked that this thread may."""

    def __init__(self, guest: Guest, engine: Engine, allocator: str | int | None, limits: CallLimits) -> None:
        self._most_output = limits.output_bytes
        self._guest = guest
        self._engine = engine
        self._vectors = Vectors(guest, engine, allocator)
        self.bound: dict[str, Bound] = {}
        """Exports called so far, by name."""
        self.with_bytes: dict[tuple[str, ResultForm], Entry] = {}
        """Exports called so far with a byte vector first, which the engine can do in one step."""

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
        at_once = self.with_bytes.get((name, form))
        if at_once is not None and args and args[0].__class__ is bytes and _scalars(args):
            return at_once(args, reset)
        return self.run_nested(name, args, form, reset, nested=False)

    def run_nested(
        self,
        name: str,
        args: tuple[object, ...],
        form: ResultForm,
        reset: bool,
        nested: bool = True,
    ) -> Returned | Failure:
        """`run`, step by step: the only way while another call is open."""
        entry, count = self.bind(name)
        if form == "none" and len(args) == count:
            return entry(args, reset)
        if form not in RESULT_FORMS:
            raise UsageError(
                f"unknown result form ({name!r}, {form!r}): choose one of {', '.join(RESULT_FORMS)}"
            )
        type_ = cast("FuncType", self._guest.export(name, ExternKind.FUNC).type)
        vectors = plan(args, type_, name, self._vectors)
        if vectors[0] and sum(vectors) == 1 and (name, form) not in self.with_bytes:
            self._bind_bytes(name, type_, form)
            if not nested and (name, form) in self.with_bytes:
                # At once, as all later ones, so that the first call leaves nothing else behind in the guest.
                return self.run(name, args, form, reset)
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
            data = read_result(
                as_values(result), type_, form, spans, self._engine, self._vectors.memory, self._most_output
            )
            if isinstance(data, LimitExceeded) and not reset:
                self._engine.reset()
            return data
        finally:
            if reset and not done:
                self._engine.reset()

    def claim_output(self, length: int) -> LimitExceeded | None:
        """The outcome of a call that gives back so many bytes, if that is too many: the sandbox is at its
        snapshot then."""
        exceeded = over_output(length, self._most_output)
        if exceeded is not None:
            self._engine.reset()
        return exceeded

    def place(self, vectors: tuple[bytes, ...]) -> list[int] | Failure:
        """Write byte vectors to memory that the guest allocates, without a call of theirs; their
        addresses."""
        self._vectors.check("place()")
        placed: list[tuple[int, int]] = []
        for data in vectors:
            address = self._vectors.put(data, placed, self._call_export)
            if isinstance(address, Failure):
                return address
            placed.append((address, len(data)))
        return [address for address, _ in placed]

    def _bind_bytes(self, name: str, type_: FuncType, form: ResultForm) -> None:
        room = self._vectors.room()
        if room is None or type_.params[:2] != (ValType.I32, ValType.I32) or not _fits(type_, form):
            return
        entry = self._engine.bytes_entry(self._guest.export(name, ExternKind.FUNC), form, room)
        if entry is not None:
            self.with_bytes[name, form] = entry

    def _call_export(self, export: Export, args: tuple[object, ...]) -> Returned | Failure:
        entry, _ = self.bind(export.name)
        return entry(args, False)


_FORM_RESULTS: Final[dict[ResultForm, tuple[ValType, ...]]] = {
    "pair": (ValType.I32, ValType.I32),
    "packed": (ValType.I64,),
    "inplace": (ValType.I32,),
}


def _fits(type_: FuncType, form: ResultForm) -> bool:
    return form == "none" or type_.results == _FORM_RESULTS[form]


def _scalars(args: tuple[object, ...]) -> bool:
    """Whether only the first argument is a byte vector."""
    return len(args) == 1 or not any(map(is_bytes, args[1:]))


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
