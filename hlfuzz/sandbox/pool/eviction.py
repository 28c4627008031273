"""Closes sandboxes that were idle too long, in a thread that lives while there are more than the smallest
number."""

from __future__ import annotations

import threading
import time
import weakref
from typing import Final

from hlfuzz.sandbox.pool.stock import Stock

_SHORTEST_SLEEP: Final = 0.01


class Evictor:
    """Of one stock. Holds no reference to it while it sleeps, so that a forgotten pool can go."""

    def __init__(self, stock: Stock, idle_seconds: float) -> None:
        self._stock = weakref.ref(stock)
        self._idle_seconds = idle_seconds
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._runs = False
        weakref.finalize(stock, self._end.set)

    def wake(self) -> None:
        """There is a sandbox more than the smallest number."""
        with self._lock:
            if self._runs or self._end.is_set():
                return
            self._runs = True
        threading.Thread(target=self._loop, name="hlfuzz-pool", daemon=True).start()

    def end(self) -> None:
        """Close nothing any more."""
        self._end.set()

    def _loop(self) -> None:
        sleep = self._idle_seconds
        while not self._end.wait(max(sleep, _SHORTEST_SLEEP)):
            stock = self._stock()
            if stock is None:
                return
            due = evict(stock, self._idle_seconds)
            with self._lock:
                if stock.size <= stock.smallest:
                    self._runs = False
                    return
            sleep = self._idle_seconds if due is None else due
            del stock


def evict(stock: Stock, idle_seconds: float) -> float | None:
    """Close what was idle for so long, above the smallest number. Seconds until the next one is due; None
    when none is idle."""
    while stock.size > stock.smallest:
        try:
            slot = stock.idle.popleft()
        except IndexError:
            return None
        left = slot.since_ns / 1e9 + idle_seconds - time.monotonic()
        if left > 0:
            stock.idle.appendleft(slot)
            stock.look_again()
            return left
        stock.remove(slot, "evicted")
    return None
