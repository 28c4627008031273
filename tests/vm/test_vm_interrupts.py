"""Ctrl-C while a guest runs: KeyboardInterrupt, and a sandbox that still works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import pytest

from hlfuzz import Caller, Sandbox

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = "/hlfuzz/sandbox/"
SCRIPT = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
sys.path.insert(0, {tests!r})
import wasmtime
from patient import open_sandbox
from hlfuzz import Guest

WAT = '''(module (import "env" "f" (func $f)) (memory (export "memory") 1)
  (func (export "loop") (loop br 0)) (func (export "host_loop") (loop (call $f) (br 0)))
  (func (export "write") (i32.store (i32.const 0) (i32.const 1)) (loop br 0))
  (func (export "seven") (result i32) i32.const 7))'''
guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(WAT)))
options = dict(engine="kvm", transport={transport!r}, reset={reset!r}, deadline=60.0, wall_deadline=60.0)
with open_sandbox(guest, {{"env.f": lambda: None}}, **options) as box:
    for function in ("loop", "host_loop", "write"):
        try:
            print("ready", flush=True)
            box.call(function)
        except KeyboardInterrupt:
            print("interrupted", box.call("seven"), box.memory().read(0, 4).hex(), flush=True)
    try:
        with box.context() as context:
            print("ready", flush=True)
            context.call("write")
    except KeyboardInterrupt:
        print("interrupted", box.call("seven"), box.memory().read(0, 4).hex(), flush=True)
"""


@pytest.mark.parametrize("reset", ["strict", "memory"])
def test_ctrl_c_ends_the_call_and_nothing_else(transport, reset):
    code = SCRIPT.format(tests=str(TESTS), transport=transport, reset=reset)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=TESTS.parent,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )
    try:
        assert process.stdout is not None
        for _ in range(4):
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.2)  # most likely the guest runs by then; it does not matter when it does not
            process.send_signal(signal.SIGINT)
            answer = process.stdout.readline()
            assert answer == "interrupted 7 00000000\n", process.communicate(timeout=300)[1]
        out, err = process.communicate(timeout=300)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.wait()


CALLS_HOST = """(module (import "env" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1) (global $n (export "n") (mut i32) (i32.const 0))
  (func (export "malloc") (param i32) (result i32) i32.const 64)
  (func (export "work") (param i32 i32) (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.add (call $f (local.get 1)) (global.get $n)))
  (func (export "leaf") (param i32) (result i32) (local.get 0)))"""


class InterruptAt:
    """Raises KeyboardInterrupt at the n-th line of this package that runs, as Ctrl-C may."""

    def __init__(self, line: int) -> None:
        self.left = line

    def __call__(self, frame: FrameType, event: str, arg: object) -> InterruptAt | None:
        if PACKAGE not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def test_ctrl_c_at_any_line_of_a_call_leaves_a_clean_sandbox(guest):
    def f(caller: Caller, n: int) -> int:
        caller.write(0, b"dirty")
        return caller.call("leaf", n) + 1

    with Sandbox(guest(CALLS_HOST), {"env.f": f}, engine="kvm", transport="exit") as box:
        assert box.call("work", b"ab") == 4
        interrupted, line = 0, 0
        while True:
            line += 1
            tracer = InterruptAt(line)
            sys.settrace(tracer)
            try:
                box.call("work", b"ab")
            except KeyboardInterrupt:
                interrupted += 1
            finally:
                sys.settrace(None)
            assert box.call("work", b"ab") == 4, f"after an interrupt at line {line}"
            assert box.memory().read(0, 5) == bytes(5)
            assert box.globals["n"] == 0
            if tracer.left > 0:
                break
        assert interrupted > 20
