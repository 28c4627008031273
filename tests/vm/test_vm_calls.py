"""Calls in every transport and reset level: nesting, deadlines, contexts, and a vCPU that sleeps."""

from __future__ import annotations

import os
import time

import pytest
from patient import CAN_SPIN, open_sandbox
from variants import Variant

from hlfuzz import (
    Caller,
    ContextFinished,
    GuestTimeout,
    HostError,
    HostFunctionError,
    Ok,
    Timeout,
    Trap,
)

NESTED = """(module
  (import "env" "down" (func $down (param i32) (result i32)))
  (memory (export "memory") 1) (global $calls (export "calls") (mut i32) (i32.const 0))
  (func (export "go") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (result i32) (local.get 0)
      (then (i32.add (call $down (local.get 0)) (i32.const 1)))
      (else (global.get $calls))))
  (func (export "trap") unreachable)
  (func (export "loop") (loop br 0)))"""


@pytest.fixture
def open_nested(guest, open_box, variant):
    def open_one(host, **options):
        return open_box(guest(NESTED), {"env.down": host}, variant, verify=1, **options)

    return open_one


def test_host_and_guest_call_each_other_fifteen_deep(open_nested):
    seen = []

    def down(caller: Caller, n: int) -> int:
        seen.append(n)
        caller.write(4 * n, n.to_bytes(4, "little"))
        answer = caller.call("go", n - 1)
        assert caller.read(4 * n, 4) == n.to_bytes(4, "little")
        return answer

    box = open_nested(down)
    for _ in range(3):
        seen.clear()
        assert box.call("go", 15) == 16 + 15
        assert seen == list(range(15, 0, -1))
        assert box.globals["calls"] == 0
    with box.context() as context:
        assert context.call("go", 3) == 4 + 3
        assert context.call("go", 0) == 5
        context.finish()


def test_a_nested_trap_is_the_host_functions_to_handle(open_nested):
    def down(caller: Caller, n: int) -> int:
        outcome = caller.try_call("trap")
        assert outcome == Trap("unreachable")
        return 40 if n == 1 else caller.call("trap")

    box = open_nested(down)
    assert box.call("go", 1) == 41
    with pytest.raises(HostFunctionError, match="unreachable"):
        box.call("go", 2)
    assert box.call("go", 0) == 1


def test_a_nested_timeout_ends_every_call(open_nested):
    def down(caller: Caller, n: int) -> int:
        outcome = caller.try_call("loop")
        assert isinstance(outcome, Timeout)
        return 1

    box = open_nested(down, deadline=0.02)
    assert isinstance(box.try_call("go", 1), Timeout)
    assert box.call("go", 0) == 1
    with box.context() as context:
        with pytest.raises(GuestTimeout):
            context.call("go", 1)
        with pytest.raises(ContextFinished):
            context.call("go", 0)
        context.finish()
    assert box.call("go", 0) == 1


def test_an_endless_loop_ends_again_and_again(open_nested):
    box = open_nested(lambda n: n, deadline=0.005)
    for _ in range(10):
        assert isinstance(box.try_call("loop"), Timeout)
        assert box.call("go", 0) == 1
    assert box.stats().timeouts == 10


@pytest.mark.skipif(not CAN_SPIN, reason="the spin transport needs two CPUs")
def test_a_guest_is_not_charged_for_a_host_that_waits_for_its_cpu(guest):
    made = guest("""(module (import "env" "f" (func $f)) (func (export "ask") (param i32)
      (loop (call $f) (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))""")
    host = {"env.f": lambda: None}
    free = os.sched_getaffinity(0)
    options = {"engine": "kvm", "transport": "spin", "reset": "memory", "deadline": 0.02}
    with open_sandbox(made, host, **options, wall_deadline=100.0) as box:
        os.sched_setaffinity(0, {box.stats().vcpu_cpu})  # the vCPU spins there, so each answer is seen late
        try:
            assert box.try_call("ask", 40) == Ok(())
        finally:
            os.sched_setaffinity(0, free)


def test_failures_of_all_kinds_in_a_row_leave_a_clean_sandbox(open_nested):
    def down(n: int) -> int:
        raise KeyError(n)

    box = open_nested(down, deadline=0.01)
    for _ in range(5):
        assert isinstance(box.try_call("go", 7), HostError)
        assert box.try_call("trap") == Trap("unreachable")
        assert isinstance(box.try_call("loop"), Timeout)
        assert box.try_call("go", 0) == Ok((1,))


def test_a_vcpu_that_has_gone_to_sleep_wakes_up(guest, open_box, transport):
    box = open_box(guest(NESTED), {"env.down": lambda n: n}, Variant(transport, "memory", "ring"))
    for _ in range(5):
        assert box.call("go", 0) == 1
        time.sleep(0.06)  # three times the idle time after which it sleeps
    if transport == "spin":
        assert box.stats().parks >= 4
    with box.context() as context:
        assert context.call("go", 0) == 1
        time.sleep(0.06)
        assert context.call("go", 0) == 2
        context.finish()
