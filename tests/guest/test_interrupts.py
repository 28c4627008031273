"""Ctrl-C, fork, threads and leaks: a sandbox in a real program."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hlfuzz import ForkedProcess, Sandbox, Timeout

GUEST = """(module (import "env" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0))
  (func (export "count") (result i32) (global.set $n (i32.add (global.get $n) (i32.const 1))) (global.get $n))
  (func (export "loop") (loop (br 0)))
  (func (export "callback") (param i32) (result i32) (call $f (local.get 0)))
  (func (export "forever") (loop (drop (call $f (i32.const 0))) (br 0))))"""


@pytest.fixture(autouse=True)
def _nothing_to_collect() -> None:
    """What earlier tests left is finalized now: Python drops a KeyboardInterrupt that meets a finalizer."""
    gc.collect()


def interrupt_after(seconds: float) -> threading.Thread:
    """Sends this process SIGINT, as Ctrl-C does."""

    def send() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def test_ctrl_c_ends_a_call_that_runs_in_the_guest(engine, guest):
    deadline = 60.0 if engine == "kvm" else 0.5  # in-process the guest cannot be left before its deadline
    with Sandbox(guest(GUEST), {"env.f": lambda x: x}, engine=engine, deadline=deadline) as box:
        start = time.perf_counter()
        sender = interrupt_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            box.call("loop")
        assert time.perf_counter() - start < 50
        sender.join()
        assert box.call("count") == 1


def test_ctrl_c_ends_a_loop_through_host_functions(engine, guest, capfd):
    with Sandbox(guest(GUEST), {"env.f": lambda x: x}, engine=engine, deadline=30) as box:
        for _ in range(5):
            sender = interrupt_after(0.02)
            with pytest.raises(KeyboardInterrupt):
                box.call("forever")
            sender.join()
            assert box.call("count") == 1
    assert "ignored" not in capfd.readouterr().err


def test_ctrl_c_ends_a_host_function_that_waits(engine, guest):
    with Sandbox(guest(GUEST), {"env.f": lambda x: time.sleep(30)}, engine=engine) as box:
        sender = interrupt_after(0.1)
        with pytest.raises(KeyboardInterrupt):
            box.call("callback", 1)
        sender.join()
        assert box.call("count") == 1


def test_a_handler_that_does_not_raise_lets_the_call_go_on(engine, guest):
    seen = []
    before = signal.signal(signal.SIGINT, lambda number, frame: seen.append(number))
    try:
        with Sandbox(guest(GUEST), {"env.f": lambda x: x}, engine=engine, deadline=0.3) as box:
            sender = interrupt_after(0.05)
            assert box.try_call("loop") == Timeout(300_000)
            sender.join()
            assert seen == [signal.SIGINT]
            assert signal.getsignal(signal.SIGINT) is not before
            assert box.call("count") == 1
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_threads_use_two_sandboxes(engine, guest):
    made = guest(GUEST)
    results: list[object] = []

    def work(number: int) -> None:
        def f(x: int) -> int:
            if x % 3 == 0:
                raise ValueError(number)
            return x + number

        with Sandbox(made, {"env.f": f}, engine=engine) as box:
            for i in range(60):
                outcome = box.try_call("callback", i)
                expected = f"ValueError: {number}" if i % 3 == 0 else (i + number,)
                results.append(
                    getattr(outcome, "values", None) or getattr(outcome, "message", None) == expected
                )
                if i % 3:
                    assert outcome.values == expected

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 120
    assert all(results)


def test_a_forked_child_cannot_use_the_sandbox_and_can_open_its_own(engine, guest):
    made = guest(GUEST)
    with Sandbox(made, {"env.f": lambda x: x}, engine=engine) as box:
        context = box.context()
        assert context.call("count") == 1
        child = os.fork()
        if child == 0:
            code = 1
            signal.alarm(30)
            try:
                for use in (
                    lambda: box.call("count"),
                    lambda: context.call("count"),
                    box.memory,
                    box.context,
                ):
                    with pytest.raises(ForkedProcess):
                        use()
                box.close()
                with Sandbox(made, {"env.f": lambda x: x}, engine=engine) as own:
                    assert own.call("count") == 1
                    assert own.call("callback", 3) == 3
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert context.call("count") == 2
        context.finish()
        assert box.call("count") == 1


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def mappings() -> int:
    return Path("/proc/self/maps").read_text().count("\n")


def test_sandboxes_leak_no_files_threads_or_mappings(engine, guest):
    made = guest(GUEST)

    def use() -> None:
        with Sandbox(made, {"env.f": lambda x: x}, engine=engine) as box:
            box.call("count")
            box.try_call("callback", 3)

    def forget() -> None:
        Sandbox(made, {"env.f": lambda x: x}, engine=engine).call("count")

    for _ in range(10):
        use()
        forget()
    gc.collect()
    before = open_files(), threads(), mappings()
    for _ in range(100):
        use()
        forget()
    gc.collect()
    after = open_files(), threads(), mappings()
    assert after[:2] == before[:2]
    assert after[2] <= before[2] + 10


def test_a_program_that_ends_with_open_sandboxes_ends_quietly(engine):
    code = f"""
import hlfuzz, wasmtime
wasm = bytes(wasmtime.wat2wasm('(module (func (export "f") (result i32) i32.const 5))'))
box = hlfuzz.Sandbox(hlfuzz.Guest.from_wasm(wasm), engine={engine!r})
context = box.context()
print(context.call("f"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, "5\n", "")


HAIL = """
import os, random, signal, sys, threading
import wasmtime, hlfuzz

module = '(module (memory (export "memory") 1) (func (export "f") (result i32) i32.const 1))'
guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm(module)))
with hlfuzz.Sandbox(guest, engine=sys.argv[1]) as box:
    for seed in range(150):
        sender = threading.Timer(random.Random(seed).random() * 0.003, os.kill, (os.getpid(), signal.SIGINT))
        try:
            sender.start()
            for _ in range(100):  # the in-process package may lose an interrupt in a destructor
                box.call("f")
            sender.join()
        except KeyboardInterrupt:
            pass
        try:
            sender.join()
        except KeyboardInterrupt:
            pass
    print("served", box.call("f"))
"""


def test_ctrl_c_at_any_moment_of_many_short_calls_leaves_a_process_that_works(engine):
    done = subprocess.run([sys.executable, "-c", HAIL, engine], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "served 1\n"), done.stderr[-2000:]
