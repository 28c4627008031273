"""`Stock`: the sandboxes of a pool, who has them, and who waits for them.

Taking an idle sandbox and putting one back are single operations of a deque, without a lock. Whoever finds
none queues under the lock and then looks again; whoever puts one back looks for a queue afterwards. So one of
the two sees the other, and nobody takes a sandbox past those who wait.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Condition, Lock, get_ident
from typing import Literal

from hlfuzz.errors import ForkedProcess, HlfuzzError, PoolTimeout, SandboxClosed
from hlfuzz.sandbox.box import Sandbox
from hlfuzz.sandbox.pool.histogram import Histogram
from hlfuzz.sandbox.pool.report import still_leased
from hlfuzz.sandbox.pool.slot import Counters, Slot
from hlfuzz.sandbox.pool.waiting import Waiter


class Stock:
    """Counts are kept by each slot while it lives, and in `past` after that."""

    def __init__(self, make: Callable[[], Sandbox], smallest: int, largest: int, name: str) -> None:
        self._make = make
        self.smallest, self.largest, self.name = smallest, largest, name
        self.idle: deque[Slot] = deque()
        """The one that came back last is at the right: it is taken first, and is the warmest."""
        self.waiting: deque[Waiter] = deque()
        self.over: Literal["", "closed", "forked"] = ""
        self.lock = Lock()
        self._emptied = Condition(self.lock)
        self.slots: list[Slot] = []
        self.size = 0
        """Sandboxes, and room that was promised for one."""
        self.created = self.evicted = self.replaced = self.timeouts = self.waits = 0
        self.waited = Histogram()
        self.past = Counters()

    def check(self) -> None:
        """Raise when nothing can be leased any more."""
        if self.over == "forked":
            raise ForkedProcess(f"pool of the parent process ({self.name}): open a new one in the child")
        if self.over:
            raise SandboxClosed(f"pool is closed ({self.name}): open a new one")

    def queue(self, waiter: Waiter) -> None:
        """Take a place in the queue; it may be served at once."""
        with self.lock:
            self.check()
            self.waits += 1
            self.waiting.append(waiter)
            self._serve()

    def leave(self, waiter: Waiter) -> bool:
        """Give up the place in the queue. False: it was served just now."""
        with self.lock:
            if waiter not in self.waiting:
                return False
            self.waiting.remove(waiter)
            return True

    def give_up(self, waiter: Waiter, seconds: float) -> None:
        """The time is over: raise `PoolTimeout`, unless the waiter was served just now."""
        if not self.leave(waiter):
            return
        with self.lock:
            self.timeouts += 1
            raise PoolTimeout(
                f"no sandbox free after {seconds:g} s ({self.name}): {still_leased(self.slots, self.size)}; "
                "give it more time, or make the pool larger"
            )

    def served(self, waiter: Waiter, begin_ns: int) -> Slot:
        """What a waiter was given, made if there is only room. Raises when the pool was closed meanwhile."""
        slot = waiter.given
        if slot is None:
            if not waiter.has_room:
                self.check()
            slot = self.new_slot()
        with self.lock:
            self.waited.add(time.monotonic_ns() - begin_ns)
        return slot

    def refund(self, waiter: Waiter) -> None:
        """A waiter is gone without taking what it may have been given."""
        if self.leave(waiter):
            return
        if waiter.given is not None:
            self.put(waiter.given)
        elif waiter.has_room:
            self.release_room()

    def new_slot(self) -> Slot:
        """A slot with a new sandbox, for which there is room. Raises as `Sandbox`; the room is free then."""
        try:
            box = self._make()
        except BaseException:
            self.release_room()
            raise
        slot = Slot(box, time.monotonic_ns())
        with self.lock:
            if not self.over:
                self.created += 1
                self.slots.append(slot)
                return slot
        box.discard()
        self.release_room()
        self.check()
        raise AssertionError(self.over)

    def release_room(self) -> None:
        """Room that was promised is not used: perhaps by the next in the queue."""
        with self.lock:
            self.size -= 1
            self._serve()

    def put(self, slot: Slot) -> None:
        """A sandbox is idle."""
        self.idle.append(slot)
        self.look_again()

    def look_again(self) -> None:
        """Something was put back: somebody may wait for it, or the pool be closed."""
        with self.lock:
            self._serve()
        if self.over:
            self.drain()

    def remove(self, slot: Slot, why: Literal["closed", "evicted", "replaced"]) -> None:
        """Close a sandbox that nobody has, and make another if there are too few then."""
        slot.box.discard()
        with self.lock:
            self.slots.remove(slot)
            self.past.merge(slot.counters)
            self.evicted += why == "evicted"
            self.replaced += why == "replaced"
            self.size -= 1
            self._serve()
            wanted = not self.over and self.size < self.smallest
            self.size += wanted
            self._emptied.notify_all()
        if wanted:
            # If that fails, whoever leases next tries again, and is told.
            with suppress(HlfuzzError):
                self.put(self.new_slot())

    def drain(self) -> None:
        """Close what is idle; the pool is closed."""
        while True:
            try:
                slot = self.idle.pop()
            except IndexError:
                return
            self.remove(slot, "closed")

    def end(self) -> None:
        """Lease nothing any more."""
        with self.lock:
            self.over = self.over or "closed"
            while self.waiting:
                _wake(self.waiting.popleft())
        self.drain()

    def wait_until_empty(self, seconds: float | None) -> None:
        """Wait for what is leased to come back. Raises `PoolTimeout`; at once when the current thread itself
        has one of them."""
        me = get_ident()
        with self.lock:
            mine = any((gate := slot.gate) is not None and gate.owner == me for slot in self.slots)
            if not self._emptied.wait_for(lambda: not self.slots, 0 if mine else seconds):
                raise PoolTimeout(
                    f"pool is closed, but not all came back ({self.name}): "
                    f"{still_leased(self.slots, len(self.slots))}; each is closed when it comes back"
                )

    def after_fork(self) -> None:
        """This is a forked child, which has none of it."""
        self.over = "forked"
        self.lock = Lock()
        for slot in list(self.slots):
            if slot.gate is not None:
                slot.gate.after_fork()

    def _serve(self) -> None:
        """Hand what is idle, and room, to who waits, the first first."""
        while self.waiting:
            waiter = self.waiting[0]
            try:
                waiter.given = self.idle.pop()
            except IndexError:
                if self.size >= self.largest:
                    return
                self.size += 1
                waiter.has_room = True
            self.waiting.popleft()
            if not _wake(waiter):
                if waiter.given is not None:
                    self.idle.append(waiter.given)
                else:
                    self.size -= 1


def _wake(waiter: Waiter) -> bool:
    try:
        waiter.wake()
    except RuntimeError:  # its event loop is closed
        return False
    return True
