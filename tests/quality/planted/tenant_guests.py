"""Guests that tell one tenant of another inside a context, each through another kind of state."""

from __future__ import annotations

from functools import partial
from typing import Final

import guests
import wasmtime

from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, Subject, Target, describe_interface
from hlfuzz.sandbox import Wasi
from planted import Planted

_HEAD: Final = """(module
  (import "env" "write" (func $write (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
"""

GLOBAL: Final = f"""{_HEAD} (global $last (mut i64) (i64.const 0))
  (func (export "on_data") (param i32 i32) (result i64)
    (global.get $last) (global.set $last (i64.load (local.get 0)))))"""

FOUR_BYTES: Final = f"""{_HEAD}
  (func (export "on_data") (param i32 i32) (result i32)
    (i32.load (i32.const 66000))
    (if (i32.gt_u (local.get 1) (i32.const 20))
      (then (i32.store (i32.const 66000) (i32.load (i32.add (local.get 0) (i32.const 16)))))))) """

GROWN: Final = f"""{_HEAD}
  (func (export "on_data") (param i32 i32)
    (if (i32.eq (memory.size) (i32.const 2)) (then (drop (memory.grow (i32.const 1)))))
    (call $write (i32.const 131072) (i32.const 32))
    (memory.copy (i32.const 131072) (local.get 0)
      (select (local.get 1) (i32.const 32) (i32.lt_u (local.get 1) (i32.const 32))))))"""

TABLE: Final = f"""{_HEAD} (table $t 16 funcref) (elem declare func $mark) (func $mark)
  (func (export "on_data") (param i32 i32) (result i32) (local $i i32) (local $n i32)
    (loop $each
      (local.set $n (i32.add (local.get $n) (i32.eqz (ref.is_null (table.get $t (local.get $i))))))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16))))
    (table.set $t (i32.and (i32.load8_u (local.get 0)) (i32.const 15)) (ref.func $mark))
    (table.set $t (i32.and (i32.load8_u offset=1 (local.get 0)) (i32.const 15)) (ref.func $mark))
    (local.get $n)))"""

# Its answer is 64 bytes from where the input lies: of a shorter one the rest is what was there before.
UNINITIALISED: Final = f"""{_HEAD}
  (func (export "on_data") (param i32 i32) (call $write (i32.const 1024) (i32.const 64))))"""

# Blocks that were given back come out again as they are, and a reply is sent whole, however short.
FREE_LIST: Final = """(module (import "env" "write" (func $write (param i32 i32)))
  (memory (export "memory") 2) (global $top (mut i32) (i32.const 4096))
  (func $alloc (export "alloc") (param $n i32) (result i32)
    (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 8192))))
  (func (export "on_data") (param $p i32) (param $n i32) (local $reply i32)
    (local.set $reply (call $alloc (i32.const 48)))
    (memory.copy (local.get $reply) (local.get $p)
      (select (local.get $n) (i32.const 48) (i32.lt_u (local.get $n) (i32.const 48))))
    (call $write (local.get $reply) (i32.const 48))
    (global.set $top (i32.const 4096))))"""

TRAPS: Final = f"""{_HEAD}
  (func (export "on_data") (param i32 i32)
    (if (i32.gt_u (i32.load8_u (i32.const 66000)) (i32.const 90)) (then (unreachable)))
    (i32.store8 (i32.const 66000) (i32.load8_u (local.get 0)))))"""

LENGTH: Final = f"""{_HEAD}
  (func (export "on_data") (param i32 i32) (result i32)
    (i32.load (i32.const 66000)) (i32.store (i32.const 66000) (i32.and (local.get 1) (i32.const 1023)))))"""

XORED: Final = f"""{_HEAD}
  (func (export "on_data") (param i32 i32) (local $i i32)
    (call $write (i32.const 66000) (i32.const 24))
    (loop $each
      (i32.store8 (i32.add (i32.const 66000) (local.get $i))
        (i32.xor (i32.load8_u (i32.add (local.get 0) (local.get $i))) (i32.const 0x5a)))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 24))))))"""

IN_HEX: Final = f"""{_HEAD}
  (func $digit (param i32) (result i32)
    (i32.add (local.get 0) (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get 0) (i32.const 10)))))
  (func (export "on_data") (param i32 i32) (local $i i32) (local $b i32)
    (call $write (i32.const 66000) (i32.const 48))
    (loop $each
      (local.set $b (i32.load8_u (i32.add (local.get 0) (local.get $i))))
      (i32.store8 (i32.add (i32.const 66000) (i32.shl (local.get $i) (i32.const 1)))
        (call $digit (i32.shr_u (local.get $b) (i32.const 4))))
      (i32.store8 (i32.add (i32.const 66001) (i32.shl (local.get $i) (i32.const 1)))
        (call $digit (i32.and (local.get $b) (i32.const 15))))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 24))))))"""

BYTE_BY_BYTE: Final = """(module (import "env" "put" (func $put (param i32))) (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param i32 i32) (local $i i32)
    (loop $each
      (call $put (i32.load8_u (i32.add (i32.const 66000) (local.get $i))))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 16))))
    (memory.copy (i32.const 66000) (local.get 0) (i32.const 16))))"""

# Counts what it has sent and clears that for each connection, but not the buffer.
CONNECTIONS: Final = f"""{_HEAD} (global $n (mut i32) (i32.const 0))
  (func (export "on_open") (global.set $n (i32.const 0)))
  (func (export "on_data") (param i32 i32) (result i32)
    (call $write (i32.const 66000) (i32.const 16))
    (memory.copy (i32.const 66000) (local.get 0) (i32.const 16))
    (global.set $n (i32.add (global.get $n) (local.get 1))) (global.get $n)))"""

NEEDS_TWO: Final = f"""{_HEAD} (global $keys (mut i32) (i32.const 0))
  (func (export "first") (global.set $keys (i32.or (global.get $keys) (i32.const 1))))
  (func (export "second") (if (global.get $keys) (then (global.set $keys (i32.const 3)))))
  (func (export "noise") (param i64) (result i64) (local.get 0))
  (func (export "use") (result i32) (i32.eq (global.get $keys) (i32.const 3))))"""


_CLOCK: Final = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func $time (result i64)
    (drop (call $clock (i32.const 1) (i64.const 0) (i32.const 512))) (i64.load (i32.const 512)))
"""

# No fault: it asks for the time more often when it is given more, and answers the last.
TIME_BY_LENGTH: Final = f"""{_CLOCK}
  (func (export "on_data") (param $p i32) (param $n i32) (result i64) (local $t i64)
    (loop $each
      (local.set $t (call $time))
      (br_if $each (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 16))) (i32.const 0))))
    (local.get $t)))"""

LEAKS_BESIDE_THE_CLOCK: Final = f"""{_CLOCK} (global $last (mut i64) (i64.const 0))
  (func (export "on_data") (param i32 i32) (result i64)
    (drop (call $time)) (global.get $last) (global.set $last (i64.load (local.get 0)))))"""

INIT_ASKS_THE_TIME: Final = f"""{_CLOCK} (global $at (mut i64) (i64.const -1))
  (func (export "init") (global.set $at (call $time)))
  (func (export "use") (result i64) (global.get $at)))"""

USE_ASKS_THE_TIME: Final = f"""{_CLOCK} (global $ready (mut i64) (i64.const 0))
  (func (export "init") (global.set $ready (i64.const 1)))
  (func (export "use") (result i64) (i64.mul (global.get $ready) (i64.or (call $time) (i64.const 1)))))"""


def with_clock(wat: str) -> Target:
    """A guest that is given WASI."""
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(wat)), name="planted")
    interface = describe_interface(guest.info, Config(allocator="alloc"), stub_imports=True)
    return Target(guest, interface, engine="inprocess", wasi=Wasi(allow="all"))


def connections() -> Target:
    """The interface says where a connection begins, and that the method may count."""
    return guests.target(CONNECTIONS, "inprocess", stateful=["on_data"], tenant_open="on_open")


def _guest(name: str, what: str, wat: str, invariant: str = "tenant-independence") -> Planted:
    return Planted(name, invariant, Subject.GUEST, what, partial(guests.target, wat, "inprocess"), False)


def _timed(name: str, what: str, wat: str, invariant: str = "context-dependence") -> Planted:
    return Planted(name, invariant, Subject.GUEST, what, partial(with_clock, wat), False)


FAULTS = (
    _guest("leak-through-a-global", "eight bytes of the input before are returned from a global", GLOBAL),
    _guest("leak-of-four-bytes", "one word from the middle of the input before is returned", FOUR_BYTES),
    _guest("leak-through-grown-memory", "the input before is kept in memory that was grown for it", GROWN),
    _guest("leak-through-a-table", "how many table slots are set depends on the input before", TABLE),
    _guest(
        "leak-of-uninitialised-memory",
        "an answer of fixed size holds the end of a longer input before",
        UNINITIALISED,
    ),
    _guest("leak-through-the-free-list", "a block of the allocator is sent before it is filled", FREE_LIST),
    _guest("trap-by-earlier-bytes", "a byte of the input before makes the next tenant's call trap", TRAPS),
    _guest("answer-by-earlier-length", "the length of the input before is returned", LENGTH),
    _guest("leak-under-an-xor", "the input before is sent with each byte changed alike", XORED),
    _guest("leak-in-hex", "the input before is sent as hexadecimal digits", IN_HEX),
    _guest("leak-byte-by-byte", "the input before is sent as numbers, one in each host call", BYTE_BY_BYTE),
    Planted(
        "leak-into-the-next-connection",
        "tenant-independence",
        Subject.GUEST,
        "a method that may count within a connection sends bytes of the connection before",
        connections,
        False,
    ),
    _timed(
        "leak-beside-the-clock",
        "eight bytes of the input before are returned by a guest that asks for the time",
        LEAKS_BESIDE_THE_CLOCK,
        "tenant-independence",
    ),
    _timed(
        "needs-the-time-of-an-earlier-call",
        "a method answers the time at which another was called, or -1",
        INIT_ASKS_THE_TIME,
    ),
    _timed(
        "needs-a-call-and-the-time",
        "a method answers the time, but only after another was called",
        USE_ASKS_THE_TIME,
    ),
    _guest(
        "needs-two-earlier-calls",
        "a method answers only after two others, in their order",
        NEEDS_TWO,
        "context-dependence",
    ),
)
