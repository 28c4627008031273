"""What tests of dispatched sandboxes share: a guest, and threads of the process by name."""

from __future__ import annotations

from pathlib import Path

GUEST = """(module
  (import "env" "twice" (func $twice (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "count") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (global.get $n))
  (func (export "ask") (param i32) (result i32) (i32.add (call $twice (local.get 0)) (i32.const 1)))
  (func (export "ask_each") (param $n i32)
    (loop $again
      (drop (call $twice (local.get $n)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "spin") (loop (br 0)))
  (func (export "ask_then_spin") (drop (call $twice (i32.const 1))) (loop (br 0)))
  (func (export "ask_late") (local $n i32)
    (local.set $n (i32.const 30000000))
    (loop $again (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (drop (call $twice (i32.const 1))))
  (func (export "boom") unreachable)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "echo") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"""


def threads_named(name: str) -> int:
    """How many threads of this process have this name (Linux keeps 15 characters)."""
    return sum(comm.read_text().strip() == name[:15] for comm in Path("/proc/self/task").glob("*/comm"))
