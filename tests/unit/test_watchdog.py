"""The watchdog of the in-process engine."""

from __future__ import annotations

import threading
import time

from hlfuzz.sandbox.engines.inprocess.watchdog import Deadline


def burn(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_it_kicks_after_the_cpu_time_of_the_calling_thread():
    kicked = threading.Event()
    deadline = Deadline(kicked.set)
    deadline.start(0.05, 10)
    burn(0.15)
    assert kicked.wait(30)
    deadline.pause()
    assert deadline.fired


def test_sleeping_does_not_count_as_cpu_time_but_as_wall_time():
    kicked = threading.Event()
    deadline = Deadline(kicked.set)
    deadline.start(0.05, 10)
    time.sleep(0.15)
    deadline.pause()
    assert not kicked.is_set()
    deadline.start(60, 0.05)
    assert kicked.wait(30)
    deadline.pause()


def test_a_paused_clock_stands_still_and_goes_on():
    kicked = threading.Event()
    deadline = Deadline(kicked.set)
    deadline.start(0.1, 10)
    burn(0.02)
    deadline.pause()
    burn(0.15)
    assert not kicked.is_set()
    deadline.resume()
    burn(0.15)
    assert kicked.wait(30)
    deadline.pause()


def test_a_deadline_that_was_stopped_never_kicks():
    kicked = threading.Event()
    deadline = Deadline(kicked.set)
    for _ in range(100):
        deadline.start(0.5, 0.5)
        deadline.pause()
    time.sleep(0.6)
    assert not kicked.is_set()


def test_a_shorter_deadline_is_met_while_a_longer_one_waits():
    late, soon = threading.Event(), threading.Event()
    long, short = Deadline(late.set), Deadline(soon.set)
    long.start(60, 60)
    time.sleep(0.02)  # the watchdog sleeps for the long one
    short.start(60, 0.05)
    assert soon.wait(30)
    assert not late.is_set()
    long.pause()
    short.pause()
