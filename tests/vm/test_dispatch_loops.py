"""Dispatched sandboxes in loops that are not asyncio's, and the programs of docs/event-loops.md."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dispatched import GUEST
from needs import require_kvm

import hlfuzz
from hlfuzz import Dispatcher, Guest, PendingCall, Sandbox

PAGE = Path(__file__).resolve().parents[2] / "docs" / "event-loops.md"


class Loop:
    """A loop as programs have it: a selector, one descriptor, whatever it says."""

    def __init__(self) -> None:
        self.dispatcher = Dispatcher()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.dispatcher, selectors.EVENT_READ)

    def until(self, done: Callable[[], bool]) -> None:
        while not done():
            assert self._selector.select(30), "nothing became ready"
            self.dispatcher.process_events()


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def open_box(guest: Callable[..., Guest], engine: str, loop: Loop) -> Callable[..., Sandbox]:
    module = guest(GUEST)

    def opened(twice: Callable[..., Any] = lambda value: 2 * value) -> Sandbox:
        return Sandbox(module, {"env.twice": twice}, engine=engine, deadline=20.0, dispatch=loop.dispatcher)

    return opened


def test_one_descriptor_serves_many_sandboxes(open_box, loop):
    boxes = [open_box() for _ in range(5)]
    calls = [box.submit("ask", n) for n, box in enumerate(boxes) for _ in range(3)]
    loop.until(lambda: all(call.done for call in calls))
    assert [call.result() for call in calls] == [2 * n + 1 for n in range(5) for _ in range(3)]
    for box in boxes:
        box.close()


def test_a_call_has_no_result_before_it_is_done_and_tells_those_who_ask(open_box, loop):
    told: list[PendingCall[Any]] = []
    with open_box() as box:
        call = box.submit("boom")
        call.add_done_callback(told.append)
        assert not call.done
        with pytest.raises(hlfuzz.UsageError, match="not ended"):
            call.result()
        loop.until(lambda: call.done)
        with pytest.raises(hlfuzz.GuestTrap):
            call.result()
        assert isinstance(call.exception(), hlfuzz.GuestTrap)
        call.add_done_callback(told.append)
        assert told == [call, call]


def test_a_cancelled_call_ends_and_so_does_one_that_has_not_begun(open_box, loop):
    with open_box() as box:
        first, second, third = box.submit("spin"), box.submit("count"), box.submit("count")
        second.cancel()
        assert second.done
        first.cancel()
        loop.until(lambda: third.done)
        for call in (first, second):
            with pytest.raises(hlfuzz.CallCancelled):
                call.result()
        assert third.result() == 1


def test_a_host_coroutine_needs_asyncio(open_box, loop):
    async def twice(value: int) -> int:
        return 2 * value

    with open_box(twice) as box:
        call = box.submit("ask", 1)
        loop.until(lambda: call.done)
        with pytest.raises(hlfuzz.HostFunctionError, match="asyncio"):
            call.result()


def test_an_interrupt_in_a_host_function_comes_out_of_the_loop_and_nothing_is_lost(open_box, loop):
    interrupts = [KeyboardInterrupt()]

    def twice(value: int) -> int:
        if interrupts:
            raise interrupts.pop()
        return 2 * value

    with open_box(twice) as box:
        first, second = box.submit("ask", 1), box.submit("ask", 2)
        with pytest.raises(KeyboardInterrupt):
            loop.until(lambda: second.done)
        assert isinstance(first.exception(), KeyboardInterrupt)
        loop.until(lambda: second.done)
        assert second.result() == 5


def test_what_a_callback_raises_comes_out_of_the_loop_and_nothing_is_lost(open_box, loop):
    def fail(_: object) -> None:
        raise LookupError("of the callback")

    with open_box() as box:
        first, second = box.submit("count"), box.submit("count")
        first.add_done_callback(fail)
        with pytest.raises(LookupError):
            loop.until(lambda: second.done)
        loop.until(lambda: second.done)
        assert second.result() == 1


def test_events_are_not_processed_inside_a_host_function_nor_by_another_thread(open_box, loop):
    def twice(value: int) -> int:
        loop.dispatcher.process_events()
        return value

    with open_box(twice) as box:
        call = box.submit("ask", 1)
        loop.until(lambda: call.done)
        assert isinstance(call.exception(), hlfuzz.HostFunctionError)
    errors: list[BaseException] = []

    def elsewhere() -> None:
        try:
            loop.dispatcher.process_events()
        except hlfuzz.WrongThread as error:
            errors.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert len(errors) == 1


def test_a_forked_child_may_not_use_what_its_parent_dispatched(open_box, loop):
    box, busy = open_box(), open_box()
    running = busy.submit("spin")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            box.submit("count")
        except hlfuzz.ForkedProcess:
            box.close()
            busy.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    call = box.submit("count")
    loop.until(lambda: call.done)
    assert call.result() == 1
    running.cancel()
    box.close()
    busy.close()
    assert running.done


def test_the_programs_of_the_page_print_what_it_says(engine):
    programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(programs) == 2
    for program in programs:
        script = program.replace("dispatch=", f"engine={engine!r}, dispatch=")
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == re.findall(r"print\(.*\)  # (.+)", program)


def test_ctrl_c_ends_the_call_and_the_loop(engine):
    script = f"""
import asyncio, os, signal, sys, threading
import wasmtime, hlfuzz
guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm({GUEST!r})), name="test")

async def main():
    async with hlfuzz.Sandbox(
        guest, {{"env.twice": int}}, engine={engine!r}, deadline=30, dispatch="asyncio"
    ) as box:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await box.acall("spin")
        except asyncio.CancelledError:
            print("cancelled", await box.acall("count"))
            raise

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run(
        ["env", "--default-signal=INT", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout.split() == ["cancelled", "1", "interrupted"], done.stderr


def test_a_blocking_call_of_a_dispatched_sandbox_ends_by_ctrl_c(open_box):
    with open_box() as box:
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                box.call("spin")
        finally:
            timer.join()
            signal.signal(signal.SIGINT, before)
        assert box.call("count") == 1


def test_idle_sandboxes_use_no_cpu(open_box, loop):
    boxes = [open_box() for _ in range(20)]
    calls = [box.submit("count") for box in boxes]
    loop.until(lambda: all(call.done for call in calls))
    before = time.process_time()
    time.sleep(1.0)
    assert time.process_time() - before < 0.2  # one thread that looks all the time would use a second
    for box in boxes:
        box.close()


def test_a_process_without_descriptors_is_told_so_and_loses_nothing():
    require_kvm()
    script = f"""
import os, resource, wasmtime, hlfuzz
guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm({GUEST!r})), name="test")
dispatcher = hlfuzz.Dispatcher()
hlfuzz.Sandbox(guest, {{"env.twice": int}}, engine="kvm", dispatch=dispatcher).close()
before = len(os.listdir("/proc/self/fd"))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (before + 8, hard))
taken = []
try:
    while True:
        taken.append(os.dup(0))
except OSError:
    pass
for attempt in (hlfuzz.Dispatcher, lambda: hlfuzz.Sandbox(
    guest, {{"env.twice": int}}, engine="kvm", dispatch=dispatcher
)):
    try:
        attempt()
    except hlfuzz.EnvironmentProblem as error:
        print(error.reason)
for descriptor in taken:
    os.close(descriptor)
assert len(os.listdir("/proc/self/fd")) == before
with hlfuzz.Sandbox(guest, {{"env.twice": int}}, engine="kvm", dispatch=dispatcher) as box:
    print(box.call("count"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout.split() == ["out-of-fds", "out-of-fds", "1"], done.stderr
