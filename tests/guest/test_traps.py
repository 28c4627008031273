"""Traps, deadlines and limits: the same codes and values on every engine, and a sandbox that goes on."""

from __future__ import annotations

import time

import pytest

from hlfuzz import GuestTimeout, GuestTrap, Ok, Sandbox, Timeout, Trap

TRAPS = """(module
  (memory (export "memory") 1 4) (table $t 4 funcref) (type $v (func)) (type $i (func (param i32)))
  (func $other (param i32)) (elem (i32.const 1) $other)
  (func (export "unreachable") unreachable)
  (func (export "memory-out-of-bounds") (drop (i32.load (i32.const 65533))))
  (func (export "table-out-of-bounds") (drop (table.get $t (i32.const 4))))
  (func (export "indirect-call-to-null") (call_indirect $t (type $v) (i32.const 0)))
  (func (export "bad-signature") (call_indirect $t (type $v) (i32.const 1)))
  (func (export "integer-overflow") (drop (i32.div_s (i32.const 0x80000000) (i32.const -1))))
  (func (export "integer-division-by-zero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
  (func (export "bad-conversion-to-integer") (drop (i32.trunc_f32_s (f32.const nan))))
  (func $deep (export "stack-overflow") (result i32) (i32.add (call $deep) (i32.const 1)))
  (func (export "fine") (result i32) i32.const 42)
  (func (export "loop") (loop (br 0)))
  (func $depth (export "depth") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (i32.add (call $depth (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))
      (else (i32.const 0)))))"""

CODES = [
    "unreachable",
    "memory-out-of-bounds",
    "table-out-of-bounds",
    "indirect-call-to-null",
    "bad-signature",
    "integer-overflow",
    "integer-division-by-zero",
    "bad-conversion-to-integer",
    "stack-overflow",
]


@pytest.fixture
def box(engine, guest):
    with Sandbox(guest(TRAPS), engine=engine, deadline=0.1) as box:
        yield box


@pytest.mark.parametrize("code", CODES)
def test_each_trap_has_its_code_and_the_sandbox_goes_on(box, code):
    with pytest.raises(GuestTrap, match=code) as caught:
        box.call(code)
    assert caught.value.outcome == Trap(code)
    assert caught.value.outcome.message
    assert box.try_call(code) == Trap(code)
    assert box.call("fine") == 42


def test_an_uncaught_exception_is_a_trap(engine, guest):
    wat = '(module (tag $t (param i32)) (func (export "f") (throw $t (i32.const 1))))'
    with Sandbox(guest(wat), engine=engine) as box:
        assert box.try_call("f") == Trap("exception")


def test_an_endless_loop_ends_at_its_deadline(box):
    start = time.perf_counter()
    with pytest.raises(GuestTimeout) as caught:
        box.call("loop")
    assert time.perf_counter() - start > 0.09
    assert caught.value.outcome == Timeout(100_000)
    assert box.try_call("loop") == Timeout(100_000)
    assert box.try_call("fine") == Ok((42,))


def test_the_wall_clock_cap_ends_a_call_too(engine, guest):
    with Sandbox(guest(TRAPS), engine=engine, deadline=60, wall_deadline=0.1) as box:
        start = time.perf_counter()
        assert isinstance(box.try_call("loop"), Timeout)
        assert time.perf_counter() - start < 50  # before the deadline


def test_recursion_within_the_stack_limit_works(box):
    assert box.call("depth", 1000) == 1000


def test_a_larger_stack_allows_deeper_recursion(engine, guest):
    depth = 12_000
    with Sandbox(guest(TRAPS, stack_bytes=64 << 10), engine=engine) as small:
        assert small.try_call("depth", depth) == Trap("stack-overflow")
    with Sandbox(guest(TRAPS, stack_bytes=2 << 20), engine=engine) as large:
        assert large.call("depth", depth) == depth


GROW = """(module (memory (export "memory") {memory}) (table $t {table} funcref)
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "table_grow") (param i32) (result i32) (table.grow $t (ref.null func) (local.get 0))))"""


def test_memory_grows_to_its_limit_and_no_further(engine, guest):
    made = guest(GROW.format(memory="1", table="1"), memory_bytes=3 * 65536)
    with Sandbox(made, engine=engine) as box, box.context() as context:
        assert context.call("grow", 3) == -1
        assert context.call("grow", 2) == 1
        assert context.call("grow", 1) == -1
        assert context.call("grow", 0) == 3
        assert context.call("grow", -1) == -1
        assert context.memory().size == 3 * 65536
        context.finish()


def test_memory_grows_to_its_own_maximum(engine, guest):
    with Sandbox(guest(GROW.format(memory="1 2", table="1")), engine=engine) as box:
        assert box.call("grow", 2) == -1
        assert box.call("grow", 1) == 1


def test_a_table_grows_to_its_limit_and_no_further(engine, guest):
    made = guest(GROW.format(memory="1", table="1"), table_elements=10)
    with Sandbox(made, engine=engine) as box:
        assert box.call("table_grow", 9) == 1
        assert box.call("table_grow", 10) == -1


def test_the_default_limit_is_64_mib_or_what_the_module_starts_with(engine, guest):
    with Sandbox(guest(GROW.format(memory="1", table="1")), engine=engine) as box:
        assert box.call("grow", 1023) == 1
        assert box.call("grow", 1024) == -1
    with Sandbox(guest(GROW.format(memory="1030", table="1")), engine=engine) as box:
        assert box.call("grow", 0) == 1030
        assert box.call("grow", 1) == -1
