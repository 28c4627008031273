"""The guest that is measured: small functions, and the tables and data that a compiler's output has."""

from __future__ import annotations

from typing import Final

SCRATCH: Final = 65536
"""Where inputs are written; `echo` copies them to the page after."""

WAT: Final = """(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 4 320)
  (table 8 funcref) (elem (i32.const 0) $add $count $echo $ask)
  (global $count (mut i32) (i32.const 0))
  (data (i32.const 1024) "a guest of a compiler carries strings and tables like these")
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $count (export "count") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 100)))
    (i32.add (global.get $count) (i32.load (i32.const 8))))
  (func $echo (export "echo") (param i32 i32) (result i32)
    (memory.copy (i32.const 131072) (local.get 0) (local.get 1)) (i32.const 131072))
  (func $ask (export "ask") (param i32) (result i32) (i32.add (call $host (local.get 0)) (i32.const 1)))
  (func (export "boom") (unreachable))
  (func (export "spin") (loop (br 0)))
  ;; writes one word to each of so many pages of 4 KiB
  (func (export "touch") (param $pages i32) (result i32)
    (local $at i32) (local $sum i32)
    (local.set $at (i32.const 262144))
    (if (i32.lt_u (memory.size) (i32.const 264)) (then (drop (memory.grow (i32.const 260)))))
    (loop $next
      (local.set $sum (i32.add (local.get $sum) (i32.load (local.get $at))))
      (i32.store (local.get $at) (i32.const 1))
      (local.set $at (i32.add (local.get $at) (i32.const 4096)))
      (br_if $next (local.tee $pages (i32.sub (local.get $pages) (i32.const 1)))))
    (local.get $sum)))"""

EXPORTS: Final = ("memory", "add", "count", "echo", "ask", "boom", "spin", "touch")
"""Its exports in order; a position is the number by which the C API calls a function."""
