"""Wasm features beyond the first version, in the micro-VM as in this process."""

from __future__ import annotations

from random import Random

import pytest

from hlfuzz import Float32, Ok, Sandbox, Trap
from hlfuzz.model import value_bits

SIMD = """(module
  (func (export "add") (param v128 v128) (result v128) (i32x4.add (local.get 0) (local.get 1)))
  (func (export "mul") (param v128 v128) (result v128) (f32x4.mul (local.get 0) (local.get 1)))
  (func (export "swizzle") (param v128 v128) (result v128) (i8x16.swizzle (local.get 0) (local.get 1)))
  (func (export "min") (param v128 v128) (result v128) (f64x2.pmin (local.get 0) (local.get 1)))
  (func (export "dot") (param v128 v128) (result v128) (i32x4.dot_i16x8_s (local.get 0) (local.get 1)))
  (func (export "narrow") (param v128 v128) (result v128) (i8x16.narrow_i16x8_u (local.get 0) (local.get 1)))
  (func (export "sat") (param v128 v128) (result v128)
    (i32x4.trunc_sat_f32x4_s (f32x4.div (local.get 0) (local.get 1)))))"""

TAIL = """(module
  (type $t (func (param i32 i64) (result i64)))
  (table 1 funcref) (elem (i32.const 0) $down)
  (func $down (export "down") (type $t)
    (if (result i64) (local.get 0)
      (then (return_call $down (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (i64.const 3))))
      (else (local.get 1))))
  (func (export "indirect") (type $t)
    (return_call_indirect (type $t) (local.get 0) (local.get 1) (i32.const 0))))"""

EXCEPTIONS = """(module
  (tag $number (param i32)) (tag $other)
  (func $throw (param i32) (if (local.get 0) (then (throw $number (local.get 0)))) (throw $other))
  (func (export "catch") (param i32) (result i32)
    (block $caught (result i32)
      (try_table (catch $number $caught) (call $throw (local.get 0)))
      (i32.const -1)))
  (func (export "catch_all") (param i32) (result i32)
    (block $caught (try_table (catch_all $caught) (call $throw (local.get 0))) (return (i32.const 0)))
    (i32.const 7))
  (func (export "rethrow") (param i32) (result i32)
    (block $outer (result i32)
      (try_table (catch $number $outer)
        (block $inner (result exnref)
          (try_table (catch_all_ref $inner) (call $throw (local.get 0))) (unreachable))
        (throw_ref))
      (i32.const -2))))"""

GC = """(module
  (type $list (struct (field i32) (field (ref null $list))))
  (type $bytes (array (mut i8)))
  (func $push (param i32 (ref null $list)) (result (ref $list))
    (struct.new $list (local.get 0) (local.get 1)))
  (func (export "sum") (param $n i32) (result i64) (local $list (ref null $list)) (local $sum i64)
    (loop $next (if (local.get $n) (then
      (local.set $list (call $push (local.get $n) (local.get $list)))
      (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br $next))))
    (block $end (loop $walk
      (br_if $end (ref.is_null (local.get $list)))
      (local.set $sum (i64.add (local.get $sum) (i64.extend_i32_s (struct.get $list 0 (local.get $list)))))
      (local.set $list (struct.get $list 1 (local.get $list))) (br $walk)))
    (local.get $sum))
  (func (export "array") (param i32 i32) (result i32)
    (array.get_u $bytes (array.new $bytes (i32.const 0xab) (local.get 0)) (local.get 1)))
  (func (export "null") (result i32) (struct.get $list 0 (ref.null $list)))
  (func (export "cast") (param i32) (result i32)
    (i31.get_u (ref.cast i31ref (select (result anyref)
      (ref.i31 (i32.const 5)) (array.new $bytes (i32.const 1) (i32.const 1)) (local.get 0))))))"""

MEMORIES = """(module
  (memory $a (export "a") 1 2) (memory $b (export "b") 1 4) (memory $c (export "c") 2)
  (data (memory $b) (i32.const 8) "second")
  (func (export "copy") (param i32 i32 i32) (memory.copy $c $b (local.get 0) (local.get 1) (local.get 2)))
  (func (export "grow") (result i32 i32 i32)
    (memory.grow $a (i32.const 2)) (memory.grow $b (i32.const 3)) (memory.grow $c (i32.const 1)))
  (func (export "load") (param i32) (result i32 i32)
    (i32.load8_u $b (local.get 0)) (i32.load8_u $c (local.get 0))))"""

WIDE = """(module
  (memory (export "memory") i64 1 3) (table $t i64 3 funcref)
  (func (export "store") (param i64 i64) (i64.store (local.get 0) (local.get 1)))
  (func (export "load") (param i64) (result i64) (i64.load (local.get 0)))
  (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
  (func (export "fill") (param i64 i64) (memory.fill (local.get 0) (i32.const 7) (local.get 1)))
  (func (export "table") (result i64) (table.size $t)))"""

CONSTANTS = """(module
  (import "env" "base" (global $base i32))
  (global $next (export "next") i32 (i32.add (global.get $base) (i32.mul (i32.const 3) (i32.const 7))))
  (global (export "wide") i64 (i64.sub (i64.const 1) (i64.const 5)))
  (memory (export "memory") 1)
  (data (i32.add (global.get $base) (i32.const 4)) "here"))"""

SMALL = """(module
  (func (export "swap") (param i32 f32) (result f32 i32) (local.get 1) (local.get 0))
  (func (export "block") (param i32) (result i32 i32)
    (local.get 0) (block (param i32) (result i32 i32) (i32.const 9)))
  (func (export "extend") (param i32) (result i32) (i32.extend8_s (local.get 0)))
  (func (export "saturate") (param f64) (result i32) (i32.trunc_sat_f64_u (local.get 0)))
  (func (export "nan") (result f32) (f32.const nan:0x123456)))"""


def every(box: Sandbox, calls: list[tuple[object, ...]]) -> list[object]:
    """Outcomes of calls, comparable between engines."""
    found: list[object] = []
    for function, *args in calls:
        outcome = box.try_call(function, *args)
        found.append([value_bits(v) for v in outcome.values] if isinstance(outcome, Ok) else outcome)
    return found


def test_simd(guest):
    rng = Random(20)
    made = guest(SIMD)
    names = [e.name for e in made.info.exports]
    calls = [(n, rng.randbytes(16), rng.randbytes(16)) for n in names for _ in range(30)]
    calls += [(n, bytes(16), b"\x00\x00\xc0\x7f" * 4) for n in names]
    with Sandbox(made, engine="kvm") as vm, Sandbox(made, engine="inprocess") as peer:
        assert every(vm, calls) == every(peer, calls)
        assert vm.call("add", b"\1\0\0\0" * 4, b"\2\0\0\0" * 4) == b"\3\0\0\0" * 4


def test_tail_calls_use_no_stack(engine, guest):
    with Sandbox(guest(TAIL), engine=engine) as box:
        assert box.call("down", 1_000_000, 1) == 3_000_001
        assert box.call("indirect", 1_000_000, 1) == 3_000_001


def test_exceptions_are_thrown_caught_and_thrown_again(engine, guest):
    with Sandbox(guest(EXCEPTIONS), engine=engine) as box:
        assert box.call("catch", 5) == 5
        assert box.try_call("catch", 0) == Trap("exception")
        assert box.call("catch_all", 0) == 7
        assert box.call("rethrow", 9) == 9
        assert box.try_call("rethrow", 0) == Trap("exception")


def test_objects_on_the_guests_own_heap(engine, guest):
    with Sandbox(guest(GC), engine=engine, deadline=10.0) as box:
        assert box.call("sum", 1000) == 500500
        assert box.call("sum", 100_000) == 5000050000
        assert box.call("array", 10, 9) == 0xAB
        assert box.try_call("array", 10, 10) == Trap("array-out-of-bounds")
        assert box.try_call("null") == Trap("null-reference")
        assert box.call("cast", 1) == 5
        assert box.try_call("cast", 0) == Trap("cast-failure")


@pytest.mark.parametrize("maximum", ["", "200"])
@pytest.mark.parametrize(
    "extra",
    ["(table 2 externref)", "(tag (param i32))", "(type (struct)) (global (mut anyref) (ref.null any))"],
)
def test_a_heap_of_objects_leaves_the_memory_its_limit(engine, guest, extra, maximum):
    wat = f"""(module (memory (export "memory") 2 {maximum}) {extra}
      (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"""
    with Sandbox(guest(wat), engine=engine) as box:
        assert box.call("grow", 198) == 2
        assert box.call("grow", 1023) == -1
        if not maximum:
            assert box.call("grow", 1022) == 2


def test_several_memories(engine, guest):
    with Sandbox(guest(MEMORIES), engine=engine) as box:
        assert box.memory("b").read(8, 6) == b"second"
        with box.context() as context:
            context.call("copy", 100, 8, 6)
            assert context.memory("c").read(100, 6) == b"second"
            assert context.call("load", 100) == (0, ord("s"))
            assert context.call("grow") == (-1, 1, 2)
            assert [context.memory(n).size // 65536 for n in "abc"] == [1, 4, 3]
            context.finish()
        assert [box.memory(n).size // 65536 for n in "abc"] == [1, 1, 2]
        assert box.memory("c").read(100, 6) == bytes(6)


def test_64_bit_memories_and_tables(engine, guest):
    with Sandbox(guest(WIDE), engine=engine) as box:
        assert box.call("table") == 3
        assert box.call("grow", 2) == 1
        assert box.call("grow", 3) == -1
        assert box.call("grow", 1 << 50) == -1
        for address in (65536 - 7, 1 << 32, (1 << 32) + 8, 1 << 63, (1 << 64) - 1):
            assert box.try_call("load", address) == Trap("memory-out-of-bounds")
            assert box.try_call("store", address, 1) == Trap("memory-out-of-bounds")
            assert box.try_call("fill", 0, address) == Trap("memory-out-of-bounds") or address < 65536
        with box.context() as context:
            context.call("store", 65528, -2)
            assert context.call("load", 65528) == -2
            assert context.read(65528, 8) == b"\xfe" + b"\xff" * 7
            context.finish()


def test_extended_constants(engine, guest):
    from hlfuzz import Global

    with Sandbox(guest(CONSTANTS), {"env.base": Global(100)}, engine=engine) as box:
        assert box.globals["next"] == 121
        assert box.globals["wide"] == -4
        assert box.memory().read(104, 4) == b"here"


def test_small_features(engine, guest):
    with Sandbox(guest(SMALL), engine=engine) as box:
        assert box.call("swap", -3, 0.5) == (0.5, -3)
        assert box.call("block", 4) == (4, 9)
        assert box.call("extend", 0x80) == -128
        assert [box.call("saturate", x) for x in (-1.0, 1e20, float("nan"), 7.9)] == [0, -1, 0, 7]
        assert box.call("nan") == Float32(0x7F923456)
