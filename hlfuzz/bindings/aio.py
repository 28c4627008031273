"""`AsyncTypedGuest`: a typed client for asyncio. The guest runs in a thread of its own, host functions in the
event loop's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, ClassVar, Generic, Self, TypeVar

from hlfuzz.bindings.client import TypedGuest, client_of
from hlfuzz.bindings.interface import Interface
from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.sandbox import prepare, settled

H = TypeVar("H")


class AsyncTypedGuest(Generic[H]):
    """A client whose calls are awaited: a `TypedGuest` in a dispatched sandbox (docs/event-loops.md).

    Calls of one client run one after the other, in the order in which they were made. Host methods run in
    the event loop's thread, and may be coroutine functions; the guest waits meanwhile. A call that is
    cancelled stops the guest. Raises as `TypedGuest`.
    """

    _interface: ClassVar[Interface]
    _service: ClassVar[str]

    def __init__(self, client: TypedGuest[Any], owned: bool) -> None:
        self._client = client
        self._owned = owned

    @classmethod
    async def open(
        cls, guest: Guest | str | os.PathLike[str] | bytes, *, host: H | None = None, **options: Any
    ) -> Self:
        """As `TypedGuest.open`, with the same options."""

        def loaded() -> Guest:
            found = guest if isinstance(guest, Guest) else Guest.load(guest)
            prepare(found, options.get("engine", "auto"))
            return found

        client = client_of(cls._interface, cls._service)
        ready = await asyncio.to_thread(loaded)
        return cls(client.open_with(ready, host, _invoke, dispatch="asyncio", **options), True)

    @property
    def interface(self) -> Interface:
        """The schema and its codec."""
        return self._interface

    @asynccontextmanager
    async def context(self) -> AsyncGenerator[Self]:
        """Open a call context: the same methods, with state that lives to the end of the block."""
        if not self._owned:
            raise UsageError("a call context is open already (context() of a context): finish it first")
        box = self._client.sandbox
        async with box.acontext() as context:
            yield type(self)(self._client.within(context.context), False)

    async def close(self) -> None:
        """Close the sandbox; calls in progress end. Again does nothing."""
        if not self._owned:
            raise UsageError("a call context ends with its block (close() of a context)")
        await self._client.sandbox.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _call(self, method: str, *arguments: Any) -> Any:
        return await self._client.sandbox.arun(lambda: self._client.invoke(method, *arguments))


def _invoke(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a host method, and wait for it when it is a coroutine."""
    return settled(function(*arguments))
