"""`AsyncTypedGuest`: a typed client for asyncio. The guest runs in a thread of its own, host functions in the
event loop's."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from hlfuzz.bindings.client import TypedGuest, client_of
from hlfuzz.bindings.host import Invoke
from hlfuzz.bindings.interface import Interface
from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest

H = TypeVar("H")
T = TypeVar("T")


class AsyncTypedGuest(Generic[H]):
    """A client whose calls are awaited. Calls of one client run one after the other, in the order they were
    made.

    Host methods run in the event loop's thread, and may be coroutine functions; the guest waits meanwhile. A
    call that is cancelled still runs to its end or deadline before the next one begins. Raises as
    `TypedGuest`.
    """

    _interface: ClassVar[Interface]
    _service: ClassVar[str]

    def __init__(self, thread: ThreadPoolExecutor, client: TypedGuest[Any], owned: bool) -> None:
        self._thread = thread
        self._client = client
        self._owned = owned
        self._closed = False

    @classmethod
    async def open(
        cls, guest: Guest | str | os.PathLike[str] | bytes, *, host: H | None = None, **options: Any
    ) -> Self:
        """As `TypedGuest.open`, with the same options."""
        loop = asyncio.get_running_loop()
        client = client_of(cls._interface, cls._service)
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"hlfuzz-{cls.__name__}")

        def opened() -> TypedGuest[Any]:
            return client.open_with(guest, host, _invoker(loop), **options)

        try:
            return cls(thread, await loop.run_in_executor(thread, opened), True)
        except BaseException:
            thread.shutdown(wait=False)
            raise

    @property
    def interface(self) -> Interface:
        """The schema and its codec."""
        return self._interface

    @asynccontextmanager
    async def context(self) -> AsyncGenerator[Self]:
        """Open a call context: the same methods, with state that lives to the end of the block."""
        if not self._owned:
            raise UsageError("a call context is open already (context() of a context): finish it first")
        inner = await self._run(self._client.context)
        view = type(self)(self._thread, inner, False)
        try:
            yield view
        finally:
            await asyncio.shield(self._run(inner.finish))

    async def close(self) -> None:
        """Close the sandbox and end its thread; again does nothing."""
        if not self._owned:
            raise UsageError("a call context ends with its block (close() of a context)")
        if not self._closed:
            self._closed = True
            await asyncio.shield(self._run(self._client.close))
            self._thread.shutdown()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, method: str, *arguments: Any) -> Any:
        return await self._run(lambda: self._client.invoke(method, *arguments))

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _invoker(loop: asyncio.AbstractEventLoop) -> Invoke:
    """Runs host methods in the loop's thread, while the guest's thread waits."""

    def invoke(function: Callable[..., Any], *arguments: Any) -> Any:
        async def run() -> Any:
            result = function(*arguments)
            return await result if inspect.isawaitable(result) else result

        return asyncio.run_coroutine_threadsafe(run(), loop).result()

    return invoke
