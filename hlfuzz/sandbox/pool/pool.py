"""`Pool`: warm sandboxes of one guest, leased to one tenant at a time."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from threading import get_ident
from time import monotonic_ns
from types import TracebackType
from typing import Any
from weakref import WeakSet

from hlfuzz.errors import HlfuzzError, HlfuzzWarning, UsageError, WrongThread
from hlfuzz.guest import Guest
from hlfuzz.sandbox.box import Sandbox
from hlfuzz.sandbox.pool.eviction import Evictor
from hlfuzz.sandbox.pool.histogram import Histogram
from hlfuzz.sandbox.pool.lease import LeasedSandbox
from hlfuzz.sandbox.pool.metrics import PoolMetrics, Quantiles, openmetrics
from hlfuzz.sandbox.pool.slot import Counters, Slot
from hlfuzz.sandbox.pool.stock import Stock
from hlfuzz.sandbox.pool.waiting import TaskWaiter, ThreadWaiter
from hlfuzz.sandbox.providers import Provider


class Pool:
    """Sandboxes of one guest that are open already; any thread may lease one, for itself.

    A sandbox is at its snapshot when it is leased: whoever had it before, nothing of theirs is in it.

    Arguments:
        guest, host: as for `Sandbox`. Host functions run in the threads that lease, so in several at once.
        size: how many sandboxes there are; or
        min_size, max_size: made at once, and the most there may be; more than `min_size` are made as needed.
        lease_timeout: seconds that a lease waits for a sandbox; `math.inf` for ever.
        idle_seconds: a sandbox above `min_size` is closed when it was idle for so long; `math.inf` never.
        max_leases: a sandbox is replaced after so many leases; None: never.
        name: what messages and metrics call the pool; None: the guest's name.
        options: as for `Sandbox`, the same for all.

    Raises `UsageError`, and as `Sandbox`.
    """

    def __init__(
        self,
        guest: Guest,
        host: Mapping[str, Provider] | None = None,
        *,
        size: int | None = None,
        min_size: int | None = None,
        max_size: int | None = None,
        lease_timeout: float = 30.0,
        idle_seconds: float = 60.0,
        max_leases: int | None = None,
        name: str | None = None,
        **options: Any,
    ) -> None:
        smallest, largest = _sizes(size, min_size, max_size)
        if max_leases is not None and max_leases < 1:
            raise UsageError(f"number out of range (Pool max_leases={max_leases}): choose 1 or more, or None")
        for what, seconds in (("lease_timeout", lease_timeout), ("idle_seconds", idle_seconds)):
            if not seconds >= 0:
                raise UsageError(f"time out of range (Pool {what}={seconds}): choose 0 seconds or more")
        self._lease_timeout = lease_timeout
        self._max_leases = max_leases
        self._home = get_ident() if options.get("dispatch") else 0
        """The thread that all its sandboxes belong to, when they are dispatched."""
        self._stock = stock = Stock(
            lambda: Sandbox(guest, host, **options), smallest, largest, name or guest.name
        )
        self._idle, self._waiting = stock.idle, stock.waiting
        grows = largest > smallest and idle_seconds != math.inf and not self._home
        self._evictor = Evictor(stock, idle_seconds) if grows else None
        _pools.add(self)
        try:
            for _ in range(smallest):
                stock.size += 1
                stock.idle.append(stock.new_slot())
        except BaseException:
            stock.end()
            raise

    def lease(self, timeout: float | None = None) -> LeasedSandbox:
        """A sandbox for the current thread, until its `with` block ends or `release`.

        `timeout` in seconds; None: the pool's `lease_timeout`. Who has waited longest is served first. Raises
        `PoolTimeout`, `SandboxClosed` when the pool is closed, and as `Sandbox` where one has to be made.
        """
        now = monotonic_ns()
        stock = self._stock
        if self._home:
            self._check()
        if not (self._waiting or stock.over):
            try:
                slot = self._idle.pop()
            except IndexError:
                pass
            else:
                return LeasedSandbox(self, slot, now)
        slot = self._wait(timeout, now)
        return LeasedSandbox(self, slot, slot.since_ns)  # leased since it was there

    def acquire(self, timeout: float | None = None) -> LeasedSandbox:
        """`lease`, for code that cannot use a `with` block and calls `release`."""
        return self.lease(timeout)

    @asynccontextmanager
    async def alease(self, timeout: float | None = None) -> AsyncGenerator[LeasedSandbox]:
        """`lease` for a task: `async with pool.alease() as box`. While none is free other tasks run."""
        now = monotonic_ns()
        self._check()
        slot = None
        if not self._waiting:
            with suppress(IndexError):
                slot = self._idle.pop()
        if slot is None:
            waiter = TaskWaiter()
            seconds = self._lease_timeout if timeout is None else timeout
            self._stock.queue(waiter)
            try:
                if not await waiter.sleep(None if seconds == math.inf else seconds):
                    self._stock.give_up(waiter, seconds)
            except BaseException:
                self._stock.refund(waiter)
                raise
            slot = self._served(waiter, now)
        with LeasedSandbox(self, slot, monotonic_ns()) as box:
            yield box

    def release(self, box: LeasedSandbox) -> None:
        """Give a sandbox back. Raises `SandboxClosed` when it went back before, `WrongThread` in another
        thread than leased it, `ContextBusy` in a host function, `UsageError` for one of another pool."""
        if not isinstance(box, LeasedSandbox) or box.pool is not self:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"sandbox is not of this pool ({self._stock.name}): give it back to its own")
        self.put_back(box, failed=False)

    def put_back(self, box: LeasedSandbox, *, failed: bool) -> None:
        """`release`; `failed`: an exception is on its way, so an open context is no surprise."""
        if box.is_spotless():
            self.take_back(box.slot)
            return
        slot = box.slot
        had_context = alive = False
        try:
            had_context = box.settle()
            alive = slot.box.recover()
            slot.counters.resets += 1
        except UsageError:  # the holder may still put that right
            raise
        except HlfuzzError:  # it is dead
            pass
        except BaseException:
            self.take_back(slot, alive=False)
            raise
        self.take_back(slot, alive)
        if had_context and not failed:
            warnings.warn(
                "sandbox went back to its pool with an open call context: it was reset all the same; call "
                "finish() first",
                HlfuzzWarning,
                stacklevel=3,
            )

    def close(self, timeout: float = 5.0) -> None:
        """Close all sandboxes, and lease none any more; again is fine.

        Waits up to `timeout` seconds for those that are leased; raises `PoolTimeout` when some do not come
        back, at once when the current thread has one itself. They are closed when they come back.
        """
        if self._stock.over == "forked":
            return
        if self._evictor is not None:
            self._evictor.end()
        self._stock.end()
        self._stock.wait_until_empty(None if timeout == math.inf else timeout)

    def metrics(self) -> PoolMetrics:
        """What it has done, and how it stands."""
        return self._measured()[0]

    def openmetrics(self) -> str:
        """`metrics` as OpenMetrics 1.0 text. Its content type is "application/openmetrics-text;
        version=1.0.0; charset=utf-8"."""
        return openmetrics(self._stock.name, *self._measured())

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        stock = self._stock
        return f"<Pool {stock.name} {stock.over or f'{len(stock.idle)} of {stock.size} idle'}>"

    def _check(self) -> None:
        self._stock.check()
        if self._home and get_ident() != self._home:
            raise WrongThread(
                f"pool of dispatched sandboxes ({self._stock.name}): lease in the thread that opened it"
            )

    def _wait(self, timeout: float | None, begin_ns: int) -> Slot:
        """A slot for the current thread, by way of the queue."""
        self._check()
        seconds = self._lease_timeout if timeout is None else timeout
        waiter = ThreadWaiter()
        self._stock.queue(waiter)
        try:
            if not waiter.sleep(None if seconds == math.inf else seconds):
                self._stock.give_up(waiter, seconds)
        except BaseException:
            self._stock.refund(waiter)
            raise
        return self._served(waiter, begin_ns)

    def _served(self, waiter: ThreadWaiter | TaskWaiter, begin_ns: int) -> Slot:
        slot = self._stock.served(waiter, begin_ns)
        slot.since_ns = monotonic_ns()
        if self._evictor is not None and self._stock.size > self._stock.smallest:
            self._evictor.wake()
        return slot

    def take_back(self, slot: Slot, alive: bool = True) -> None:
        """End a lease; `alive`: the sandbox is at its snapshot, and may serve the next one."""
        gate = slot.gate
        assert gate is not None
        gate.end_lease()
        slot.gate = None
        now = monotonic_ns()
        ns = now - slot.since_ns
        held = slot.counters.held  # as its `add`, without a call
        held.counts[ns.bit_length()] += 1
        held.total_ns += ns
        slot.since_ns = now
        if alive and (self._max_leases is None or held.count < self._max_leases):
            self._idle.append(slot)
            if self._waiting or self._stock.over:
                self._stock.look_again()
        else:
            self._stock.remove(slot, "replaced")

    def _measured(self) -> tuple[PoolMetrics, Histogram, Histogram]:
        stock = self._stock
        total, waited = Counters(), Histogram()
        with stock.lock:
            total.merge(stock.past)
            waited.merge(stock.waited)
            for slot in stock.slots:
                total.merge(slot.counters)
            in_use = sum(slot.gate is not None for slot in stock.slots)
            returned = total.held.count
            leased = returned + in_use
            waited.counts[0] += max(0, leased - waited.count)
            metrics = PoolMetrics(
                size=len(stock.slots),
                idle=len(stock.slots) - in_use,
                in_use=in_use,
                waiting=len(stock.waiting),
                created=stock.created,
                leased=leased,
                returned=returned,
                evicted=stock.evicted,
                replaced=stock.replaced,
                timeouts=stock.timeouts,
                waits=stock.waits,
                resets=total.resets,
                time_to_lease=Quantiles.of(waited),
                lease_time=Quantiles.of(total.held),
            )
        return metrics, waited, total.held

    def after_fork(self) -> None:
        """This is a forked child."""
        self._stock.after_fork()


def _sizes(size: int | None, min_size: int | None, max_size: int | None) -> tuple[int, int]:
    if size is not None and (min_size is not None or max_size is not None):
        raise UsageError(f"size={size} and min_size or max_size (Pool): give one or the other")
    if size is None:
        size = 4 if max_size is None else max_size
    smallest = min(1, size) if min_size is None and max_size is not None else min_size
    smallest = size if smallest is None else smallest
    largest = max(size, smallest) if max_size is None else max_size
    if not 0 <= smallest <= largest or largest < 1:
        raise UsageError(
            f"sizes out of range (Pool min_size={smallest}, max_size={largest}): choose 0 <= min_size <= "
            "max_size, and max_size of 1 or more"
        )
    return smallest, largest


_pools: WeakSet[Pool] = WeakSet()


def _after_fork() -> None:
    for pool in _pools:
        pool.after_fork()


os.register_at_fork(after_in_child=_after_fork)
