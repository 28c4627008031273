"""Runs host functions for a guest: results checked, calls recorded, and a `Caller` for those that ask for
one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, cast

from hlfuzz.errors import AbiViolation, GuestExited, UsageError
from hlfuzz.guest import CallLimits, Guest
from hlfuzz.model import (
    Exited,
    Failure,
    FuncType,
    HostCallRecord,
    HostError,
    LimitExceeded,
    Outcome,
    Value,
    Violation,
)
from hlfuzz.sandbox.calls import Calls, as_outcome
from hlfuzz.sandbox.dispatch.asynchronous import outcome_of
from hlfuzz.sandbox.dispatch.lane import Lane, settling
from hlfuzz.sandbox.engines.base import Engine, HostState, Returned
from hlfuzz.sandbox.failures import failed
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.memory import Globals, GuestMemory
from hlfuzz.sandbox.providers import Linked
from hlfuzz.sandbox.values import canonical_results, refuse_references

T = TypeVar("T")

MAX_DEPTH: Final = 16
"""Calls into one guest that may be open at once: the outermost and the nested ones (the native library's
limit)."""


class Caller:
    """The guest that called a host function: for use inside that function only."""

    def __init__(
        self,
        guest: Guest,
        engine: Engine,
        gate: Gate,
        calls: Calls | None,
        lane: Lane | None,
        name: str,
        most_bytes: int | None,
    ) -> None:
        self._name = name
        self._most_bytes = most_bytes
        self._bytes = 0
        self.exceeded: LimitExceeded | None = None
        """Set when the host function wanted more bytes than it may move."""
        self._guest = guest
        self._engine = engine
        self._gate = gate
        self._calls = calls
        self._lane = lane
        self._alive = True

    def memory(self, name: str | None = None) -> GuestMemory:
        """A view of an exported memory, or of the default one."""
        spend = None if self._most_bytes is None else self._spend
        return GuestMemory(self._guest, self._engine, name, self._check, spend)

    def read(self, address: int, length: int) -> bytes:
        """A private copy of guest memory. Raises `UsageError` out of range."""
        return self.memory().read(address, length)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write guest memory. Raises `UsageError` out of range."""
        self.memory().write(address, data)

    @property
    def globals(self) -> Globals:
        """The guest's exported globals."""
        return Globals(self._guest, self._engine, self._check)

    def call(self, function: str, /, *args: Value | bytes) -> Returned:
        """Call back into the guest, in the state of the call in progress. Raises `CallFailed` and
        `UsageError`.

        A guest that times out in a nested call cannot go on: the outermost call times out too.
        """
        result = self._run(function, args)
        if isinstance(result, Failure):
            raise failed(function, result)
        return result

    def try_call(self, function: str, /, *args: Value | bytes) -> Outcome:
        """`call`, with the outcome as data."""
        return as_outcome(self._run(function, args))

    async def acall(self, function: str, /, *args: Value | bytes) -> Returned:
        """`call`, in a host function that is a coroutine: the event loop goes on meanwhile."""
        return await self._await(lambda: self.call(function, *args))

    async def aplace(self, *vectors: bytes) -> list[int]:
        """`place`, awaited."""
        return await self._await(lambda: self.place(*vectors))

    def place(self, *vectors: bytes) -> list[int]:
        """Put byte vectors into memory that the guest allocates; their addresses. Raises as `call`."""
        calls = self._nested("place()")
        if self._most_bytes is not None:
            self._spend(sum(map(len, vectors)))
        result = calls.place(vectors)
        if isinstance(result, Failure):
            raise failed("place()", result)
        return result

    async def _await(self, work: Callable[[], T]) -> T:
        self._check()
        if self._lane is None:
            raise UsageError("nothing to await (Caller.acall): open the sandbox with dispatch='asyncio'")
        return await outcome_of(self._lane.submit_nested(work), to_the_end=True)

    def _run(self, function: str, args: tuple[Value | bytes, ...]) -> Returned | Failure:
        return self._nested(function).run_nested(function, args, "none", False)

    def _nested(self, function: str) -> Calls:
        """The guest's calls, if one more may be open."""
        self._check()
        if self._calls is None:
            raise UsageError(
                f"the guest is still starting ({self._guest.name}): no call back before the first call"
            )
        if self._gate.host_depth >= MAX_DEPTH:
            raise UsageError(
                f"more than {MAX_DEPTH} nested calls ({self._guest.name}, {function!r}): end the recursion"
            )
        return self._calls

    def _spend(self, count: int) -> None:
        """Raise when this host function has moved too many bytes with `count` more."""
        assert self._most_bytes is not None
        self._bytes += count
        if self._bytes > self._most_bytes:
            self.exceeded = LimitExceeded(
                "host_call_bytes",
                self._most_bytes,
                f"host function {self._name!r} moves {self._bytes} bytes or more, over the limit of "
                f"{self._most_bytes}",
            )
            raise failed(self._name, self.exceeded)

    def _check(self) -> None:
        if not self._alive:
            raise UsageError(
                f"Caller used after its host function returned ({self._guest.name}): keep data, not it"
            )
        self._gate.check_owner()

    def expire(self) -> None:
        """The host function returned."""
        self._alive = False


class HostCalls:
    """The host's side of one sandbox (`engines.base.HostSide`)."""

    def __init__(
        self,
        guest: Guest,
        linked: Linked,
        gate: Gate,
        state: HostState | None = None,
        lane: Lane | None = None,
        limits: CallLimits | None = None,
    ) -> None:
        self.state = state
        """What a reset brings back on the host's side."""
        self._most_bytes = None if limits is None else limits.host_call_bytes
        self._exceeded: LimitExceeded | None = None
        """The limit that the host function which ended last has exceeded."""
        self._guest = guest
        self._linked = linked if lane is None else linked.map(settling)
        self.gate = gate
        """Whose holder host functions run for."""
        self._lane = lane
        self._with_references = {
            index
            for index, wanted in enumerate(guest.info.imports)
            if isinstance(wanted.type, FuncType) and any(t.is_reference for t in wanted.type.params)
        }
        self.calls: Calls | None = None
        """Set when the guest has started."""
        self.records: list[HostCallRecord] | None = None
        """Where host calls are recorded, when they are."""
        self._records_of_call: list[HostCallRecord] | None = None

    def starting(self) -> None:
        self._records_of_call, self.records = self.records, None
        if self.state is not None:
            self.state.starting()

    def started(self, saved: Any = None) -> None:
        self.records, self._records_of_call = self._records_of_call, None
        if self.state is not None:
            self.state.load(self.state.save() if saved is None else saved)

    @property
    def globals(self) -> Mapping[int, Value]:
        return self._linked.globals

    def invoke(self, index: int, args: tuple[Value, ...], engine: Engine) -> tuple[Value, ...]:
        wanted = self._guest.info.imports[index]
        type_ = cast("FuncType", wanted.type)
        if index in self._with_references:
            refuse_references(type_, wanted.key)
        function = self._linked.functions[index]
        results: tuple[Value, ...] = ()
        caller = (
            Caller(self._guest, engine, self.gate, self.calls, self._lane, wanted.key, self._most_bytes)
            if function.caller
            else None
        )
        self.gate.enter_host()
        try:
            returned = function.fn(*args) if caller is None else function.fn(caller, *args)
            if caller is not None and caller.exceeded is not None:  # the function has caught the error
                raise failed(wanted.key, caller.exceeded)
            results = canonical_results(returned, type_)
        finally:
            self.gate.leave_host()
            if caller is not None:
                caller.expire()
            self._exceeded = None if caller is None else caller.exceeded
            if self.records is not None:
                self.records.append(HostCallRecord(wanted.key, args, results))
        return results

    def unwound(self, depth: int) -> None:
        self.gate.unwind(depth)

    def failure(self, index: int, error: Exception) -> HostError | Violation | Exited | LimitExceeded:
        if self._exceeded is not None:  # whatever the host function made of it
            return self._exceeded
        # the host function found that its guest lied to it, or is how the guest ends itself
        if isinstance(error, AbiViolation | GuestExited):
            return error.outcome
        return HostError(self._guest.info.imports[index].key, _text(error), error)


def _text(error: Exception) -> str:
    try:
        said = str(error)
    except Exception:  # the caller must get the host function's error, and not one about its text
        said = "its text cannot be had"
    return f"{type(error).__name__}: {said}".removesuffix(": ")
