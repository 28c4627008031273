"""Where a sandbox is used: in the test's thread, in another one, or by turns of an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import get_ident
from typing import Final, TypeVar

from hlfuzz.invariants.experiments.lab import PATIENCE_SECONDS, drive
from hlfuzz.sandbox import Dispatcher, PendingCall, Sandbox
from hlfuzz.sandbox.dispatch.calls import Dispatch

T = TypeVar("T")


class Home:
    """The thread that the test runs in."""

    def __init__(self) -> None:
        self.ident = get_ident()
        """Of the thread in which its host functions must run."""

    @property
    def dispatch(self) -> Dispatch:
        """Option of sandboxes that live here."""
        return None

    def make(self, make: Callable[[], T]) -> T:
        """Open or lease a sandbox here."""
        return make()

    def run(self, real: Sandbox, use: Callable[[], T]) -> T:
        """Use a sandbox that lives here. Raises what that raises."""
        return use()

    def end(self, real: Sandbox) -> None:
        """Close one."""
        real.close()

    def close(self) -> None:
        """Nobody lives here any more."""


class Thread(Home):
    """A thread that does one thing at a time, when it is told to."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hlfuzz-machine")
        self.ident = self.make(get_ident)

    def begin(self, make: Callable[[], T]) -> Future[T]:
        """As `make`, which is not waited for."""
        return self._thread.submit(make)

    def make(self, make: Callable[[], T]) -> T:
        return self.begin(make).result(PATIENCE_SECONDS)

    def run(self, real: Sandbox, use: Callable[[], T]) -> T:
        return self.make(use)

    def close(self) -> None:
        self._thread.shutdown()


class Turns(Home):
    """Dispatched sandboxes, for a loop that the test turns itself: nothing of them happens in between."""

    def __init__(self) -> None:
        super().__init__()
        self.dispatcher: Final = Dispatcher()

    @property
    def dispatch(self) -> Dispatch:
        return self.dispatcher

    def run(self, real: Sandbox, use: Callable[[], T]) -> T:
        return self.finish(real.submit_work(use))

    def finish(self, pending: PendingCall[T]) -> T:
        """Turn until the call has ended. Raises what it raised."""
        return drive(self.dispatcher, pending)


class Loop(Home):
    """Dispatched sandboxes of an asyncio loop, which runs while one of them is used."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()

    @property
    def dispatch(self) -> Dispatch:
        return "asyncio"

    def make(self, make: Callable[[], T]) -> T:
        async def made() -> T:
            return make()

        return self._loop.run_until_complete(made())

    def run(self, real: Sandbox, use: Callable[[], T]) -> T:
        return self._loop.run_until_complete(asyncio.wait_for(real.arun(use), PATIENCE_SECONDS))

    def end(self, real: Sandbox) -> None:
        self._loop.run_until_complete(real.aclose())

    def close(self) -> None:
        self._loop.close()
