"""Who waits for a sandbox: threads, and tasks of an event loop."""

from __future__ import annotations

import asyncio
import threading
from typing import Protocol

from hlfuzz.sandbox.pool.slot import Slot


class Waiter(Protocol):
    """One place in the queue of a pool. The pool fills it in, under its lock, at most once."""

    given: Slot | None
    has_room: bool
    """It may make a sandbox itself."""

    def wake(self) -> None:
        """Something was given, or the pool was closed. Raises `RuntimeError` when there is nobody to wake."""
        ...


class ThreadWaiter:
    """A thread that sleeps."""

    def __init__(self) -> None:
        self.given: Slot | None = None
        self.has_room = False
        self._woken = threading.Lock()
        self._woken.acquire()

    def wake(self) -> None:
        self._woken.release()

    def sleep(self, seconds: float | None) -> bool:
        """Until woken; False when that took more than `seconds` (None: for ever)."""
        longest = threading.TIMEOUT_MAX
        return self._woken.acquire(timeout=longest if seconds is None else min(max(seconds, 0), longest))


class TaskWaiter:
    """A task of the running event loop."""

    def __init__(self) -> None:
        self.given: Slot | None = None
        self.has_room = False
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._loop.call_soon_threadsafe(self._woken.set)

    async def sleep(self, seconds: float | None) -> bool:
        """As `ThreadWaiter.sleep`."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return False
        return True
