"""A small guest whose answers reveal its state: what checkers run to see what an engine keeps and what it
wipes, whatever the guest under test does."""

from __future__ import annotations

from enum import IntEnum
from functools import cache
from typing import Final

from hlfuzz.guest import Guest

NOTE_ADDRESS: Final = 64
"""Where in its memory the note `Place.MEMORY` is: an i32, little-endian."""


class Place(IntEnum):
    """Where it can keep a number; `read(place)` gives it back, 0 at first."""

    MEMORY = 0
    GLOBAL = 1
    TABLE = 2
    """As the position of a function in a table: 0 to 7 only."""
    GROWN = 3
    """In a page by which it grows its memory when this is first written."""


WAT: Final = """(module
  (import "env" "tell" (func $tell (param i32) (result i32)))
  (memory (export "memory") 1 4)
  (table $slots 8 8 funcref)
  (elem declare func $mark)
  (global $page (export "page") (mut i32) (i32.const 0))
  (func $mark)
  (func $find (result i32) (local $at i32)
    (local.set $at (i32.const 7))
    (block $found (loop $next
      (br_if $found (i32.eqz (local.get $at)))
      (br_if $found (i32.eqz (ref.is_null (table.get $slots (local.get $at)))))
      (local.set $at (i32.sub (local.get $at) (i32.const 1))) (br $next)))
    (local.get $at))
  (func $read (export "read") (param $place i32) (result i32)
    (block $grown (block $table (block $global (block $memory
      (br_table $memory $global $table $grown (local.get $place)))
      (return (i32.load (i32.const 64))))
      (return (global.get $page)))
      (return (call $find)))
    (if (i32.eq (memory.size) (i32.const 1)) (then (return (i32.const 0))))
    (i32.load (i32.const 65536)))
  (func $write (export "write") (param $place i32) (param $value i32)
    (block $grown (block $table (block $global (block $memory
      (br_table $memory $global $table $grown (local.get $place)))
      (i32.store (i32.const 64) (local.get $value)) (return))
      (global.set $page (local.get $value)) (return))
      (table.fill $slots (i32.const 0) (ref.null func) (i32.const 8))
      (table.set $slots (i32.and (local.get $value) (i32.const 7)) (ref.func $mark)) (return))
    (if (i32.eq (memory.size) (i32.const 1)) (then (drop (memory.grow (i32.const 1)))))
    (i32.store (i32.const 65536) (local.get $value)))
  (func $ask (export "ask") (param $count i32) (result i32) (local $at i32) (local $sum i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (local.get $count)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $sum (i32.add (local.get $sum) (call $tell (local.get $at))))
      (br $next)))
    (local.get $sum))
  (func (export "trap") (param $value i32)
    (call $write (i32.const 0) (local.get $value)) unreachable)
  (func (export "spin") (param $value i32)
    (call $write (i32.const 0) (local.get $value)) (loop (br 0)))
  (func (export "ask_then_spin") (drop (call $tell (i32.const 1))) (loop (br 0)))
  (func (export "alloc") (param i32) (result i32) (i32.const 1024)))"""
"""`ask(n)` calls the host function `env.tell` with 1, 2, … n, and returns the sum of its answers. `trap` and
`spin` write the note in memory first."""

WASM: Final = bytes.fromhex(
    "0061736d0100000001160560017f017f6000006000017f60027f7f0060017f00020c0103656e760474656c6c0000030a0901"
    "0200030004040100040501700108080504010101040606017f0141000b074c09066d656d6f72790200047061676503000472"
    "656164000305777269746500040361736b000504747261700006047370696e00070d61736b5f7468656e5f7370696e000805"
    "616c6c6f630009090501030001010a80020902000b2601017f41072100024003402000450d0120002500d1450d0120004101"
    "6b21000c000b0b20000b3500024002400240024020000e03000102030b41c0002802000f0b23000f0b10020f0b3f00410146"
    "044041000f0b418080042802000b4d00024002400240024020000e03000102030b41c00020013602000f0b200124000f0b41"
    "00d0704108fc11002001410771d20126000f0b3f004101460440410140001a0b4180800420013602000b2501027f02400340"
    "200120004f0d01200141016a21012002200110006a21020c000b0b20020b0900410020001004000b0d004100200010040340"
    "0c000b0b0c00410110001a03400c000b0b05004180080b"
)


@cache
def slate() -> Guest:
    """The guest, compiled once in a process."""
    return Guest.from_wasm(WASM, name="slate")
