"""Stops a guest at its deadline: one daemon thread a process, asleep while nothing runs.

A deadline is CPU time of the calling thread plus a wall-clock cap, as in the micro-VM. A thread cannot use
more CPU time than wall time passes, so the watchdog sleeps until the nearest deadline could be reached and
looks again.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from math import inf


class Deadline:
    """The time that one engine's guest has; `kick` is called, from another thread, when it is over."""

    def __init__(self, kick: Callable[[], None]) -> None:
        self._kick = kick
        self._lock = threading.Lock()
        self._running = False
        self._cpu_clock = 0
        self._cpu_left = self._wall_left = 0.0
        self._cpu_end = self._wall_end = 0.0
        self.fired = False

    def start(self, cpu_seconds: float, wall_seconds: float) -> None:
        """Give the guest so much time in the current thread, and set the clock going."""
        self.fired = False
        self._cpu_clock = time.pthread_getcpuclockid(threading.get_ident())
        self._cpu_left, self._wall_left = cpu_seconds, wall_seconds
        self.resume()

    def pause(self) -> None:
        """The guest does not run: stop the clock. `kick` is not called after this returns."""
        with self._lock:
            self._running = False
        _watchdog.forget(self)
        self._cpu_left = self._cpu_end - time.clock_gettime(self._cpu_clock)
        self._wall_left = self._wall_end - time.monotonic()

    def resume(self) -> None:
        """The guest runs again, with the time that was left."""
        self._cpu_end = time.clock_gettime(self._cpu_clock) + self._cpu_left
        self._wall_end = time.monotonic() + self._wall_left
        self._running = True
        _watchdog.watch(self, min(self._cpu_left, self._wall_left))

    def check(self) -> float:
        """Kick when the time is over. Seconds in which the deadline cannot be reached."""
        with self._lock:
            if not self._running:
                return inf
            left = min(self._cpu_end - time.clock_gettime(self._cpu_clock), self._wall_end - time.monotonic())
            if left > 0:
                return left
            self._running = False
            self.fired = True
            self._kick()
            return inf


class _Watchdog:
    def __init__(self) -> None:
        self._watched: set[Deadline] = set()
        self._wake = threading.Event()
        self._next = inf
        self._thread: threading.Thread | None = None

    def watch(self, deadline: Deadline, seconds: float) -> None:
        self._watched.add(deadline)
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="hlfuzz-watchdog", daemon=True)
            self._thread.start()
        if time.monotonic() + seconds < self._next:
            self._wake.set()

    def forget(self, deadline: Deadline) -> None:
        self._watched.discard(deadline)

    def _loop(self) -> None:
        while True:
            self._wake.clear()
            # While it looks, every new deadline wakes it again; one that comes later than `_next` need not.
            self._next = inf
            nearest = min((deadline.check() for deadline in self._watched.copy()), default=inf)
            self._next = time.monotonic() + nearest
            self._wake.wait(None if nearest == inf else nearest)


_watchdog = _Watchdog()


def _after_fork() -> None:
    global _watchdog
    _watchdog = _Watchdog()  # its thread did not survive the fork


os.register_at_fork(after_in_child=_after_fork)
