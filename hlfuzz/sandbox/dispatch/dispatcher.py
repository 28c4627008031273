"""`Dispatcher`: what an event loop waits on for its sandboxes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from threading import get_ident
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from hlfuzz.errors import UsageError, WrongThread
from hlfuzz.sandbox.dispatch.strand import Strand
from hlfuzz.vmm import Bell

if TYPE_CHECKING:
    from hlfuzz.sandbox.dispatch.lane import Lane

_KEPT_STRANDS: Final = 64
"""As many calls in progress at once are served without making new ones."""

_ALONE_SECONDS: Final = 0.005
"""A sandbox that was not used for so long is not in the way of others."""
_TURN_SECONDS: Final = 0.001
"""How long quick calls may keep an asyncio loop from turning."""


class Dispatcher:
    """Runs what sandboxes opened with `dispatch=this` have to do in the thread that made it.

    Wait until `fileno()` is readable, by whatever loop, and call `process_events()`. Raises
    `EnvironmentProblem` when there are no more descriptors.
    """

    def __init__(self) -> None:
        self._owner = get_ident()
        self.bell = Bell()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The asyncio loop that it serves; None: another kind."""
        self._lanes: WeakValueDictionary[int, Lane] = WeakValueDictionary()
        self._ready: deque[int] = deque()
        self._posted: deque[int] = deque()
        self._next = 0
        self._turn_due = 0.0
        self._last: Lane | None = None
        self._last_used = 0.0
        self._strands: list[Strand] = []
        self._processing = False

    def fileno(self) -> int:
        """A descriptor that is readable when there is something to do; do not read it."""
        return self.bell.fileno()

    def process_events(self) -> int:
        """Run the host functions that guests have called and end the calls that have ended, without waiting.

        Returns how many were served. Raises `WrongThread`, and `UsageError` inside a host function; and what
        callbacks raise (`add_done_callback`), and `KeyboardInterrupt` and `SystemExit` of host functions; the
        next call does what is left.
        """
        if get_ident() != self._owner:
            raise WrongThread("events processed in a thread that did not make the dispatcher: one each")
        if self._processing:
            raise UsageError("events are being processed (process_events in a host function): return first")
        self._processing = True
        count = 0
        try:
            self._ready += self.bell.ready()
            self._ready += [self._posted.popleft() for _ in range(len(self._posted))]
            while self._ready:
                lane = self._lanes.get(self._ready.popleft())
                if lane is not None:  # else it was closed meanwhile
                    count += 1
                    lane.ready()
        finally:
            self._processing = False
            if self._ready:
                self.bell.ring()
        return count

    def add(self, lane: Lane) -> int:
        """The tag of a new lane. Raises `WrongThread`."""
        if get_ident() != self._owner:
            raise WrongThread("sandbox opened with a dispatcher of another thread: make one in each thread")
        self._next += 1
        if self.loop is not None and not self._lanes:
            self.loop.add_reader(self.fileno(), self.process_events)
        self._lanes[self._next] = lane
        return self._next

    def may_wait(self, lane: Lane) -> bool:
        """Whether the thread may wait for a command of `lane`, briefly: not while others are at work, or a
        program whose loop is not asyncio's has something else in hand than to process events."""
        now = time.monotonic()
        alone = self._last is lane or now - self._last_used > _ALONE_SECONDS
        self._last, self._last_used = lane, now
        return alone and not self._ready and (self.loop is not None or self._processing)

    def owes_a_turn(self) -> bool:
        """Whether a call that is over at once should let others run all the same: once in a while, so that a
        task with nothing but such calls does not keep the loop for itself."""
        now = time.monotonic()
        if now < self._turn_due:
            return False
        self._turn_due = now + _TURN_SECONDS
        return True

    def strand(self) -> Strand:
        """One that runs nothing."""
        return self._strands.pop() if self._strands else Strand()

    def give_back(self, strand: Strand) -> None:
        """Its work has ended."""
        strand.end()
        if len(self._strands) < _KEPT_STRANDS:
            self._strands.append(strand)

    def post(self, tag: int) -> None:
        """Any thread: the lane is ready."""
        self._posted.append(tag)
        self.bell.ring()

    def again(self, tag: int) -> None:
        """The lane has more to do; not now."""
        self._ready.append(tag)
        self.bell.ring()

    def remove(self, tag: int) -> None:
        """The lane has closed."""
        self._lanes.pop(tag, None)
        if self.loop is not None and not self._lanes:
            _dispatchers.pop(self.loop, None)
            if not self.loop.is_closed():
                self.loop.remove_reader(self.fileno())


def of_running_loop() -> Dispatcher:
    """The dispatcher of the asyncio loop that runs in this thread. Raises `UsageError` when none does."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(
            "no asyncio loop runs in this thread (dispatch='asyncio'): open the sandbox in a coroutine, or "
            "pass a Dispatcher for another loop"
        ) from None
    dispatcher = _dispatchers.get(loop)
    if dispatcher is None:
        dispatcher = _dispatchers[loop] = Dispatcher()
        dispatcher.loop = loop
    return dispatcher


_dispatchers: WeakKeyDictionary[asyncio.AbstractEventLoop, Dispatcher] = WeakKeyDictionary()
