"""Rules of the machine about a pool: leased in several threads, waited for, given back, closed."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, wait
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, consumes, multiple, precondition, rule

from hlfuzz.errors import PoolTimeout, SandboxClosed
from hlfuzz.invariants.experiments.lab import PATIENCE_SECONDS
from hlfuzz.invariants.machine.base import POOL_SIZE, VALUES, Machine, Waiting, nothing
from hlfuzz.invariants.machine.boxes import BoxRules
from hlfuzz.invariants.machine.homes import Home
from hlfuzz.invariants.machine.model import BoxModel, Refusal, Refused
from hlfuzz.invariants.machine.real import Box, agree
from hlfuzz.sandbox import LeasedSandbox, Pool

THREADS: Final = st.sampled_from(("here", "first", "second"))
"""Who leases."""
WAITING: Final = st.integers(1, 2)
"""So many threads wait for a lease at once."""

EXHAUSTED: Final = Refused(PoolTimeout, "no sandbox free")
NOT_ALL_BACK: Final = Refused(PoolTimeout, "not all came back")
POOL_CLOSED: Final = Refused(SandboxClosed, "pool is closed")


class PoolRules(BoxRules):
    """What is done with a pool. Threads go one step at a time, in the order of the rules."""

    @precondition(lambda self: self.has_room)
    @rule(target=Machine.boxes, thread=THREADS)
    def lease(self, thread: str) -> Box | MultipleResults[Box]:
        self._opened_pool()
        return self._lease(self.home(thread)) or nothing()

    @rule(target=Machine.boxes, box=consumes(Machine.boxes), value=VALUES, thread=THREADS)
    def next_tenant(self, box: Box, value: int, thread: str) -> Box | MultipleResults[Box]:
        """A tenant leaves a note and gives the lease back, and another one wants it; who has waited comes
        first."""
        real = box.real
        if not isinstance(real, LeasedSandbox):
            return box
        box.host_writes(value)
        self.give_back(box, lambda: real.__exit__(None, None, None))
        return nothing() if self.pool is None else self._lease(self.home(thread)) or nothing()

    @precondition(lambda self: self.has_room and not self.waiting and not self.served)
    @rule(target=Machine.boxes, count=WAITING)
    def wait_for_leases(self, count: int) -> MultipleResults[Box]:
        """What can be leased is, and more threads queue for it; then one lease ends, if it began here."""
        pool = self._opened_pool()
        leased = [] if self.pool_is_closed else [self._lease(self.homes["here"]) for _ in range(self.left)]
        for _ in range(0 if self.pool_is_closed else count):
            home = self.new_home()
            lease = home.begin(lambda: pool.lease(PATIENCE_SECONDS))
            self.waiting.append(Waiting(home, lease))
            give_up = time.monotonic() + PATIENCE_SECONDS
            while pool.metrics().waiting < len(self.waiting) and time.monotonic() < give_up:
                assert not wait((lease,), 0.0005).done, "a third sandbox of a pool of two was leased"
        boxes = [box for box in leased if box is not None]
        if boxes and self.waiting:
            self.end(boxes.pop(), 1, begins=False)
        return multiple(*boxes)

    @precondition(lambda self: self.served)
    @rule(target=Machine.boxes)
    def use_what_was_waited_for(self) -> Box:
        return self.served.pop()

    @precondition(lambda self: self.pool is not None)
    @rule()
    def close_pool(self) -> None:
        """What is leased works on; who waits is told."""
        agree("Pool.close()", NOT_ALL_BACK if self.leased else None, lambda: self._pool.close(timeout=0))
        self.pool_is_closed = True
        for waiting in self.waiting:
            agree("lease() of who waits", POOL_CLOSED, lambda w=waiting: w.lease.result(PATIENCE_SECONDS))
        self.waiting.clear()
        self._forget_pool()

    def give_back(self, box: Box, give_back: Callable[[], object]) -> None:
        box.agree_warned("the end of a lease", box.model.context is not None, give_back)
        box.model.give_back()
        if self.waiting:
            wait([w.lease for w in self.waiting], PATIENCE_SECONDS, FIRST_COMPLETED)
            first = self.waiting.pop(0)
            assert first.lease.done(), "who waits first was not served"
            leased = agree("lease() of who waits", None, first.lease.result)
            assert leased is not None
            self.served.append(self.add(leased, BoxModel(is_leased=True), first.home))
        assert not any(w.lease.done() for w in self.waiting), "who waits later was served first"
        self._forget_pool()

    @property
    def left(self) -> int:
        """How many sandboxes of the pool can be leased."""
        return POOL_SIZE - self.leased

    def _opened_pool(self) -> Pool:
        if self.pool is None:
            self.pool = self.lab.open_pool(size=POOL_SIZE, **self.options)
        return self.pool

    @property
    def _pool(self) -> Pool:
        assert self.pool is not None
        return self.pool

    def _lease(self, home: Home) -> Box | None:
        pool, refusal = self._pool, self._refusal_of_a_lease
        real = home.make(lambda: agree("lease()", refusal, lambda: pool.lease(timeout=0)))
        return None if real is None else self.add(real, BoxModel(is_leased=True), home)

    @property
    def _refusal_of_a_lease(self) -> Refusal:
        if self.pool_is_closed:
            return POOL_CLOSED
        return EXHAUSTED if self.leased == POOL_SIZE else None

    def _forget_pool(self) -> None:
        """Of one that was closed, when all came back: the next lease is of a new one."""
        if self.pool_is_closed and not self.leased:
            self.pool, self.pool_is_closed = None, False
