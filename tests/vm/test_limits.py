"""Limits that only a micro-VM has: growing that traps, and posted calls that count."""

from __future__ import annotations

from typing import Any

import native
import pytest
from patient import open_sandbox

from hlfuzz import CallLimits, GuestTrap, Ok, Sandbox, StartError, Trap

GROWING = """
(module
  (memory (export "memory") 1)
  (memory $declared 1 2)
  (table $table 1 funcref)
  (table $small 1 3 funcref)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow_declared") (param i32) (result i32) (memory.grow $declared (local.get 0)))
  (func (export "grow_table") (param i32) (result i32) (table.grow $table (ref.null func) (local.get 0)))
  (func (export "grow_small") (param i32) (result i32) (table.grow $small (ref.null func) (local.get 0))))
"""
LIMITS = {"memory_bytes": 4 << 16, "table_elements": 10, "grow": "trap"}


@pytest.fixture
def growing(guest: Any, transport: str) -> Any:
    with open_sandbox(guest(GROWING, **LIMITS), engine="kvm", transport=transport) as box:
        yield box


def test_with_traps_growing_to_the_limit_works_and_beyond_it_is_a_named_trap(growing: Sandbox):
    assert growing.call("grow", 3) == 1
    assert growing.try_call("grow", 4) == Trap("memory-limit")
    assert growing.call("grow_table", 9) == 1
    assert growing.try_call("grow_table", 10) == Trap("table-limit")
    assert growing.call("grow", 3) == 1
    assert growing.verify() == 0


def test_the_trap_says_how_much_was_wanted(growing: Sandbox):
    with pytest.raises(GuestTrap, match=r"memory\.grow to 327680 bytes, over the limit of 262144"):
        growing.call("grow", 4)
    with pytest.raises(GuestTrap, match=r"table\.grow to 11 elements, over the limit of 10"):
        growing.call("grow_table", 10)


def test_a_maximum_that_the_module_declares_itself_is_no_trap(growing: Sandbox):
    assert growing.call("grow_declared", 2) == -1
    assert growing.call("grow_small", 3) == -1


def test_a_context_survives_a_grow_that_trapped_no_more_than_any_other_trap(growing: Sandbox):
    with growing.context() as context:
        assert context.call("grow", 2) == 1
        assert context.try_call("grow", 2) == Trap("memory-limit")
        assert context.memory().size == 3 << 16
        context.finish()
    assert growing.memory().size == 1 << 16


def test_a_start_function_that_grows_too_far_is_a_start_error(guest: Any):
    text = "(module (memory 1) (func $start (drop (memory.grow (i32.const 9)))) (start $start))"
    with pytest.raises(StartError, match="memory-limit"):
        Sandbox(guest(text, **LIMITS), engine="kvm")


POSTING = """
(module
  (import "env" "log" (func $log (param i32)))
  (memory (export "memory") 1)
  (func (export "log") (param $n i32)
    (loop
      (if (local.get $n) (then
        (call $log (local.get $n))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br 1))))))
"""


def test_posted_host_calls_count(guest: Any, transport: str):
    lib = native.lib
    asked: list[int] = []
    limits = CallLimits(host_calls=10)
    with open_sandbox(
        guest(POSTING), {"env.log": asked.append}, engine="kvm", transport=transport, call_limits=limits
    ) as box:
        assert lib.hl_posted_mode(native.pointer(box), 0, 1, 0) == lib.HL_DONE
        assert box.try_call("log", 10) == Ok(())
        assert lib.hl_posted_count(native.pointer(box)) == 10
        outcome = box.try_call("log", 11)
        assert getattr(outcome, "limit", "") == "host_calls"
        assert lib.hl_posted_count(native.pointer(box)) == 0  # what was too much is not handed over
        # more than the queue holds: some are posted, some asked
        assert getattr(box.try_call("log", 100_000), "limit", "") == "host_calls"
        assert box.try_call("log", 3) == Ok(())
        assert lib.hl_posted_count(native.pointer(box)) == 3
    assert asked == []
