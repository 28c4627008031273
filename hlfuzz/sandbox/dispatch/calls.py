"""`DispatchedCalls`: the methods of a sandbox that give way to an event loop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self, TypeAlias, TypeVar

from hlfuzz.errors import UsageError
from hlfuzz.model import Outcome, Value
from hlfuzz.sandbox.context import CallContext
from hlfuzz.sandbox.dispatch.asynchronous import AsyncCallContext, outcome_of
from hlfuzz.sandbox.dispatch.dispatcher import Dispatcher, of_running_loop
from hlfuzz.sandbox.dispatch.lane import Lane
from hlfuzz.sandbox.dispatch.pending import PendingCall
from hlfuzz.sandbox.engines.base import Returned
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.vectors import ResultForm

T = TypeVar("T")

Dispatch: TypeAlias = Literal["asyncio"] | Dispatcher | None
"""How a sandbox runs its guest: None, in the owner's thread; else in a thread of its own, for the asyncio
loop that runs where the sandbox is opened, or for the loop that waits on a `Dispatcher`."""


class DispatchedCalls(ABC):
    """Calls that do not block the thread that makes them. All need `dispatch=` (`UsageError`), queue in the
    order in which they were made, and raise `WrongThread`, `SandboxClosed`, `ForkedProcess` as others do."""

    _lane: Lane | None
    _gate: Gate

    async def acall(self, function: str, /, *args: Value | bytes) -> Returned:
        """As `Sandbox.call`. When it is cancelled, the guest is stopped, and the sandbox is at its snapshot.

        Raises also `ContextBusy` in a coroutine that a call of this sandbox waits for: use `Caller.acall`.
        """
        return await self.arun(lambda: self.call(function, *args))

    async def atry_call(self, function: str, /, *args: Value | bytes) -> Outcome:
        """As `Sandbox.try_call`, awaited as `acall`."""
        return await self.arun(lambda: self.try_call(function, *args))

    async def acall_bytes(
        self, function: str, data: bytes, /, *more: Value | bytes, result: ResultForm = "none"
    ) -> Returned:
        """As `Sandbox.call_bytes`, awaited as `acall`."""
        return await self.arun(lambda: self.call_bytes(function, data, *more, result=result))

    def acontext(self) -> AsyncCallContext:
        """A call context, for `async with`: opened at its begin, finished at its end."""
        self._loop_of(self._dispatched())
        return AsyncCallContext(self)

    async def arun(self, work: Callable[[], T]) -> T:
        """Run `work`, synchronous code that makes calls of this sandbox, in turn with other calls; its calls
        give way. Raises what it raises."""
        lane = self._dispatched()
        self._loop_of(lane)
        pending = lane.submit(work)
        if pending.done and lane.dispatcher.owes_a_turn():
            await asyncio.sleep(0)
        return await outcome_of(pending)

    def submit(self, function: str, /, *args: Value | bytes) -> PendingCall[Returned]:
        """As `Sandbox.call`, for any loop: the call goes on while `Dispatcher.process_events` runs."""
        return self.submit_work(lambda: self.call(function, *args))

    def submit_work(self, work: Callable[[], T]) -> PendingCall[T]:
        """As `arun`, for any loop."""
        return self._dispatched().submit(work)

    async def aclose(self) -> None:
        """As `close`; coroutines that were awaited for calls in progress have ended then."""
        lane = self._lane
        self.close()
        if lane is not None:
            await lane.coroutines_ended()

    async def __aenter__(self) -> Self:
        self._gate.check_owner()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _dispatched(self) -> Lane:
        self._gate.check_thread()
        if self._lane is None:
            raise UsageError("sandbox is not dispatched: open it with dispatch='asyncio', or a Dispatcher")
        return self._lane

    def _loop_of(self, lane: Lane) -> None:
        if lane.loop is None:
            raise UsageError(
                "the dispatcher's loop is not asyncio's (acall): use submit(), or dispatch='asyncio'"
            )
        if asyncio.get_running_loop() is not lane.loop:
            raise UsageError("sandbox of another event loop (acall): open it in the loop that uses it")

    # What `Sandbox` has

    @property
    @abstractmethod
    def is_closed(self) -> bool: ...

    @abstractmethod
    def call(self, function: str, /, *args: Value | bytes) -> Returned: ...

    @abstractmethod
    def try_call(self, function: str, /, *args: Value | bytes) -> Outcome: ...

    @abstractmethod
    def call_bytes(
        self, function: str, data: bytes, /, *more: Value | bytes, result: ResultForm = "none"
    ) -> Returned: ...

    @abstractmethod
    def context(self) -> CallContext: ...

    @abstractmethod
    def close(self) -> None: ...


def open_lane(dispatch: Dispatch, gate: Gate) -> Lane | None:
    """The lane for `Sandbox(dispatch=...)`. Raises `UsageError`, `WrongThread`."""
    match dispatch:
        case None:
            return None
        case "asyncio":
            return Lane(of_running_loop(), gate)
        case Dispatcher():
            return Lane(dispatch, gate)
        case _:
            raise UsageError(
                f"unknown choice (Sandbox dispatch={dispatch!r}): choose None, 'asyncio' or a Dispatcher"
            )
