"""Ctrl-C while a guest runs: KeyboardInterrupt, and a sandbox that still works."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
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
            assert process.stdout.readline() == "interrupted 7 00000000\n"
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out, err) == (0, "", "")
    finally:
        process.kill()
        process.wait()
