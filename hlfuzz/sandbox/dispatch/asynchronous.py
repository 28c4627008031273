"""The awaited forms of calls: waiting in asyncio for what a lane does, and call contexts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from hlfuzz.errors import UsageError
from hlfuzz.model import Outcome, Value
from hlfuzz.sandbox.context import CallContext
from hlfuzz.sandbox.dispatch.pending import PendingCall
from hlfuzz.sandbox.engines.base import Returned
from hlfuzz.sandbox.memory import GuestMemory
from hlfuzz.sandbox.snapshots import Snapshot
from hlfuzz.sandbox.vectors import ResultForm

if TYPE_CHECKING:
    from hlfuzz.sandbox.dispatch.calls import DispatchedCalls

T = TypeVar("T")


async def outcome_of(pending: PendingCall[T], *, to_the_end: bool = False) -> T:
    """Wait for a call. When this is cancelled, so is the call; `to_the_end`: and it has ended then."""
    if not pending.done:
        future = _ended(pending)
        try:
            await future
        except asyncio.CancelledError:
            pending.cancel()
            if to_the_end and not pending.done:
                await _ended(pending)
            raise
    return pending.result()


def _ended(pending: PendingCall[T]) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def end(_: object) -> None:
        if not future.done() and not loop.is_closed():
            future.set_result(None)

    pending.add_done_callback(end)
    return future


class AsyncCallContext:
    """Calls that see what earlier calls of the same context left behind; opened by `Sandbox.acontext()`.

    `async with` opens it and, at the end of the block, finishes it. Its calls queue like those of the
    sandbox, whose own are refused (`ContextBusy`) while it is open. As in `CallContext`, a call that fails
    poisons it.
    """

    def __init__(self, box: DispatchedCalls) -> None:
        self._box = box
        self._context: CallContext | None = None

    @property
    def context(self) -> CallContext:
        """The context underneath. Raises `UsageError` before `async with`."""
        if self._context is None:
            raise UsageError("call context is not open (acontext): enter it with `async with`")
        return self._context

    async def acall(self, function: str, /, *args: Value | bytes) -> Returned:
        """As `Sandbox.acall`, without the reset."""
        return await self._run(lambda context: context.call(function, *args))

    async def atry_call(self, function: str, /, *args: Value | bytes) -> Outcome:
        """As `Sandbox.atry_call`, without the reset."""
        return await self._run(lambda context: context.try_call(function, *args))

    async def acall_bytes(
        self, function: str, data: bytes, /, *more: Value | bytes, result: ResultForm = "none"
    ) -> Returned:
        """As `Sandbox.acall_bytes`, without the reset."""
        return await self._run(lambda context: context.call_bytes(function, data, *more, result=result))

    def memory(self, name: str | None = None) -> GuestMemory:
        """A view of an exported memory, or of the default one; not while a call runs."""
        return self.context.memory(name)

    def snapshot(self) -> Snapshot:
        """As `CallContext.snapshot`; not while a call runs. Its copy is made at once, in this thread."""
        return self.context.snapshot()

    async def afinish(self) -> None:
        """End the context and reset the sandbox; doing it again does nothing."""
        context = self.context
        await asyncio.shield(asyncio.ensure_future(self._box.arun(context.finish)))

    async def __aenter__(self) -> Self:
        pending = self._box.submit_work(self._box.context)
        try:
            self._context = await outcome_of(pending)
        except asyncio.CancelledError:
            if pending.done and pending.exception() is None:  # cancelled when it was open already
                self._box.submit_work(pending.result().finish)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._box.is_closed:
            await self.afinish()

    async def _run(self, work: Callable[[CallContext], T]) -> T:
        context = self.context
        return await self._box.arun(lambda: work(context))
