"""A small guest of the checkers' own that asks its host, traps, loops and recurses when told to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, Literal

from hlfuzz.guest import Guest, Limits
from hlfuzz.invariants.host import Recorder
from hlfuzz.invariants.interface import describe_interface
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.settings.config import Config, HostMode
from hlfuzz.invariants.target import Target
from hlfuzz.model import Outcome, Timeout, Trap
from hlfuzz.sandbox import Dispatcher, Sandbox

PREFIX: Final = "hlfuzz."
"""A case whose calls are named with this in front is for this guest, not for the target's."""

DEADLINE_SECONDS: Final = 0.02

WAT: Final = """(module
  (import "env" "ask" (func $ask (param i32) (result i32)))
  (import "env" "pair" (func $pair (param i64) (result i64 f64)))
  (import "env" "note" (func $note (param i32 i32)))
  (memory (export "memory") 2)
  (global $calls (export "calls") (mut i32) (i32.const 0))
  (func $mark (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 70000) (i32.add (i32.load (i32.const 70000)) (i32.const 1)))
    (i32.load (i32.const 70000)))
  (func (export "ask") (param i32) (result i32)
    (i32.add (i32.mul (call $mark) (i32.const 1000)) (call $ask (local.get 0))))
  (func (export "pair") (param i64) (result i64)
    (drop (call $mark)) (drop (call $pair (local.get 0))) (i64.add (local.get 0)))
  (func (export "note") (param $n i32) (result i32)
    (loop (if (i32.gt_s (local.get $n) (i32.const 0)) (then
      (drop (call $mark)) (call $note (i32.const 64) (i32.const 16))
      (local.set $n (i32.sub (local.get $n) (i32.const 1))) (br 1))))
    (call $mark))
  (func (export "count") (param $n i32) (result i32) (local $i i32)
    (loop (if (i32.lt_u (local.get $i) (local.get $n)) (then
      (local.set $i (i32.add (local.get $i) (i32.const 1))) (br 1))))
    (drop (call $mark)) (local.get $i))
  (func (export "trap") (drop (call $mark)) (unreachable))
  (func (export "divide") (param i32 i32) (result i32)
    (drop (call $mark)) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "outside") (drop (call $mark)) (drop (i32.load (i32.const -4))))
  (func $deep (export "recurse") (param i32) (result i32)
    (drop (call $mark)) (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func (export "spin") (drop (call $mark)) (loop (br 0)))
  (func (export "ask_and_spin") (param i32) (drop (call $ask (local.get 0))) (loop (br 0)))
  (func (export "ask_and_trap") (param i32) (drop (call $ask (local.get 0))) (unreachable)))"""
"""Most functions leave a mark in the second page of memory and in a global: what is not reset shows."""

WASM: Final = bytes.fromhex(
    "0061736d0100000001270860017f017f60017e027e7c60027f7f006000017f60017e017e60000060027f7f017f60017f0002"
    "210303656e760361736b000003656e760470616972000103656e76046e6f74650002030d0c03000400000506050005070705"
    "030100020606017f0141000b07770d066d656d6f727902000563616c6c7303000361736b000404706169720005046e6f7465"
    "000605636f756e74000704747261700008066469766964650009076f757473696465000a0772656375727365000b04737069"
    "6e000c0c61736b5f616e645f7370696e000d0c61736b5f616e645f74726170000e0acf010c2100230041016a240041f0a204"
    "41f0a20428020041016a36020041f0a2042802000b0d00100341e8076c200010006a0b0d0010031a200010011a20007c0b22"
    "000340200041004a044010031a41c00041101002200041016b21000c010b0b10030b1d01017f034020012000490440200141"
    "016a21010c010b0b10031a20010b060010031a000b0a0010031a200020016d0b0b0010031a417c2802001a0b0f0010031a20"
    "0041016a100b41016a0b0a0010031a03400c000b0b0c00200010001a03400c000b0b0800200010001a000b003f046e616d65"
    "011e05000361736b01047061697202046e6f746503046d61726b0b0464656570020e02060100016e070200016e0101690708"
    "01000563616c6c73"
)
"""The same, assembled."""


_HOST: Final[dict[str, HostMode]] = dict.fromkeys(("env.ask", "env.pair", "env.note"), HostMode.AUTO)


def _traps(code: str) -> Callable[[Outcome], bool]:
    return lambda outcome: isinstance(outcome, Trap) and outcome.code == code


def _times_out(outcome: Outcome) -> bool:
    return isinstance(outcome, Timeout)


ENDS: Final[dict[str, Callable[[Outcome], bool]]] = {
    "trap": _traps("unreachable"),
    "divide": _traps("integer-division-by-zero"),
    "outside": _traps("memory-out-of-bounds"),
    "recurse": _traps("stack-overflow"),
    "ask_and_trap": _traps("unreachable"),
    "spin": _times_out,
    "ask_and_spin": _times_out,
}
"""Exports that cannot return (`divide`: by 0), and whether an outcome is the one that they must have."""


@functools.cache
def patient_guest() -> Guest:
    """The guest, one object in a process, so that it is compiled and booted once."""
    return Guest.from_wasm(WASM, limits=Limits(memory_bytes=4 << 16), name="hlfuzz-patient")


def open_patient(
    target: Target,
    *,
    deadline: float,
    wall_deadline: float | None = None,
    transport: Literal["spin", "exit"] = "exit",
    dispatch: Dispatcher | None = None,
) -> Session:
    """A sandbox of this guest, on the engine of `target`, that runs in the calling thread unless `transport`
    or `dispatch` say otherwise. Options and errors as of `Sandbox`."""
    guest = patient_guest()
    recorder = Recorder(guest.info, _HOST)
    box = Sandbox(
        guest,
        recorder.providers,
        engine=target.session().box.engine,
        transport=transport,
        dispatch=dispatch,
        deadline=deadline,
        wall_deadline=wall_deadline,
    )
    return Session(box, recorder, "strict")


def patient(target: Target) -> Target:
    """A target on this guest, with the engine of `target`, kept with it."""
    return target.kept("patient", lambda: _make(target))


def _make(target: Target) -> Target:
    guest = patient_guest()
    interface = describe_interface(guest.info, Config(host=_HOST))
    return Target(guest, interface, engine=target.session().box.engine, deadline=DEADLINE_SECONDS)
