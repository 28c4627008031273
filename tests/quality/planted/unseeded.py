"""Guests that answer nobody who does not know their format: nothing but their own bytes says what it is."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Final

import guests

from hlfuzz.guest import Guest
from hlfuzz.invariants import Subject, Target, describe_interface, load_config
from planted import Planted

ROOT: Final = Path(__file__).resolve().parents[3]

_HEAD: Final = """(module
  (import "env" "write" (func $write (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func $leak (param $p i32) (result i32)
    (call $write (i32.const 66000) (i32.const 16))
    (memory.copy (i32.const 66000) (local.get $p) (i32.const 16)) (i32.const 1))
"""
"""`leak` sends what its last caller gave it."""

# "HLF1", version 2, then what is leaked.
MAGIC: Final = f"""{_HEAD}
  (func (export "on_data") (param $p i32) (param $n i32) (result i32)
    (if (i32.lt_u (local.get $n) (i32.const 24)) (then (return (i32.const 0))))
    (if (i32.ne (i32.load (local.get $p)) (i32.const 0x31464c48)) (then (return (i32.const 0))))
    (if (i32.ne (i32.load8_u offset=4 (local.get $p)) (i32.const 2)) (then (return (i32.const -1))))
    (call $leak (i32.add (local.get $p) (i32.const 8)))))"""

# Opcodes 0xa0 to 0xa5 under a version of 32 bits: 0xa4 answers only after 0xa1 has logged in.
OPCODES: Final = """(module (memory (export "memory") 1) (global $user (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param $p i32) (param $n i32) (result i32)
    (if (i32.or (i32.lt_u (local.get $n) (i32.const 5))
                (i32.ne (i32.load offset=1 (local.get $p)) (i32.const 77002)))
      (then (return (i32.const -1))))
    (block $other (block $read (block $login (block $ping
      (br_table $ping $login $other $ping $read $other
        (i32.sub (i32.load8_u (local.get $p)) (i32.const 0xa0))))
      (return (i32.const 1)))
      (global.set $user (i32.const 7)) (return (i32.const 2)))
      (return (global.get $user)))
    (i32.const -2)))"""

# Type 0x42, a length of 16 bits in network order that spans the rest, and in the value another record.
RECORDS: Final = f"""{_HEAD}
  (func $length (param $p i32) (result i32)
    (i32.or (i32.shl (i32.load8_u offset=1 (local.get $p)) (i32.const 8))
            (i32.load8_u offset=2 (local.get $p))))
  (func (export "on_data") (param $p i32) (param $n i32) (result i32)
    (if (i32.lt_u (local.get $n) (i32.const 3)) (then (return (i32.const 0))))
    (if (i32.ne (i32.load8_u (local.get $p)) (i32.const 0x42)) (then (return (i32.const -1))))
    (if (i32.ne (i32.add (call $length (local.get $p)) (i32.const 3)) (local.get $n))
      (then (return (i32.const -2))))
    (if (i32.lt_u (local.get $n) (i32.const 20)) (then (return (i32.const 2))))
    (call $leak (i32.add (local.get $p) (i32.const 3)))))"""

# "GET ", a path, and an empty line; the texts lie in data and are compared in a loop.
TEXT: Final = f"""{_HEAD}
  (data (i32.const 70000) "GET \\00\\0d\\0a\\0d\\0a\\00")
  (func $same (param $a i32) (param $b i32) (param $n i32) (result i32) (local $i i32)
    (loop $each
      (if (i32.ne (i32.load8_u (i32.add (local.get $a) (local.get $i)))
                  (i32.load8_u (i32.add (local.get $b) (local.get $i))))
        (then (return (i32.const 0))))
      (br_if $each (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
    (i32.const 1))
  (func (export "on_data") (param $p i32) (param $n i32) (result i32)
    (if (i32.lt_u (local.get $n) (i32.const 20)) (then (return (i32.const 0))))
    (if (i32.eqz (call $same (local.get $p) (i32.const 70000) (i32.const 4)))
      (then (return (i32.const -1))))
    (if (i32.eqz (call $same (i32.sub (i32.add (local.get $p) (local.get $n)) (i32.const 4))
                             (i32.const 70005) (i32.const 4)))
      (then (return (i32.const -2))))
    (call $leak (i32.add (local.get $p) (i32.const 4)))))"""


def network_filter() -> Target:
    """The example filter with planted faults, compiled from C, without its corpus."""
    if str(ROOT / "examples") not in sys.path:  # first: there is a package on PyPI whose name is build, too
        sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    guest = Guest.load(build("network-filter")["filter_buggy"])
    config = load_config(ROOT / "examples" / "network-filter" / "hlfuzz.toml")
    return Target(guest, describe_interface(guest.info, config), deadline=0.2)


def _guest(name: str, what: str, wat: str, invariant: str = "tenant-independence") -> Planted:
    return Planted(name, invariant, Subject.GUEST, what, partial(guests.target, wat, "inprocess"), False)


FAULTS = (
    _guest("leak-behind-a-magic-word", "earlier bytes are sent, after HLF1 and a version only", MAGIC),
    _guest(
        "state-behind-an-opcode",
        "one of six opcodes of one byte depends on another, both before a number of four bytes",
        OPCODES,
        "context-dependence",
    ),
    _guest("leak-behind-a-length", "earlier bytes are sent, for a record whose length is right", RECORDS),
    _guest("leak-behind-a-command", "earlier bytes are sent, for GET and an empty line only", TEXT),
    Planted(
        "filter-leak-without-corpus",
        "tenant-independence",
        Subject.GUEST,
        "the example's filter, which parses HTTP and TLS, pads an answer with earlier bytes",
        network_filter,
        False,
    ),
    Planted(
        "filter-state-without-corpus",
        "context-dependence",
        Subject.GUEST,
        "the same filter needs a connection that was opened in the same context",
        network_filter,
        False,
    ),
)
