"""A guest that claims any pointer and length on demand: for results, allocations, buffers of host calls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from hlfuzz.guest import CallLimits, Guest
from hlfuzz.invariants.lying.claims import MOST_BYTES, Lie
from hlfuzz.sandbox import CallContext, Caller, EngineName, HostFunction, Sandbox

LIMITS: Final = CallLimits(host_calls=64, host_call_bytes=MOST_BYTES, output_bytes=MOST_BYTES)
"""Small, so that a flood is over soon."""
DEADLINE_SECONDS: Final = 2.0
ROOM: Final = 1024
"""Where its allocator puts what it is given."""
DATA: Final = b"sixteen bytes in"
"""What it is given."""

_WAT: Final = """(module
  (import "env" "take" (func $take (param i32 i32)))
  (import "env" "fill" (func $fill (param i32)))
  (memory (export "memory") 1 2)
  (global $room (mut i32) (i32.const 1024))
  (global $grow (mut i32) (i32.const 0))
  (global $mark (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32)
    (if (global.get $grow) (then (drop (memory.grow (i32.const 1)))))
    (global.get $room))
  (func (export "allocate_at") (param i32 i32)
    (global.set $room (local.get 0)) (global.set $grow (local.get 1)))
  (func (export "mark") (global.set $mark (i32.const 1)) (i32.store (i32.const 2048) (i32.const 1)))
  (func (export "marked") (result i32) (i32.add (global.get $mark) (i32.load (i32.const 2048))))
  (func (export "pair") (param i32 i32 i32 i32) (result i32 i32) (local.get 2) (local.get 3))
  (func (export "packed") (param i32 i32 i64) (result i64) (local.get 2))
  (func (export "inplace") (param i32 i32 i32) (result i32) (local.get 2))
  (func (export "send") (param i32 i32) (call $take (local.get 0) (local.get 1)))
  (func (export "receive") (param i32) (call $fill (local.get 0)))
  (func (export "flood") (param i32)
    (loop (if (local.get 0) (then
      (call $take (i32.const 0) (i32.const 0))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 1)))))
  (data (i32.const 0) "the first bytes of the memory")
  (data (i32.const 65504) "and the last 32 bytes of memory!"))"""


class _Host:
    """What the guest's host functions do, and the bytes that they were given."""

    def __init__(self) -> None:
        self.taken: bytes | None = None
        self.providers = {
            "env.take": HostFunction(self._take, caller=True),
            "env.fill": HostFunction(self._fill, caller=True),
        }

    def _take(self, caller: Caller, address: int, length: int) -> None:
        self.taken = caller.read(address, length & 0xFFFF_FFFF)

    @staticmethod
    def _fill(caller: Caller, address: int) -> None:
        caller.write(address, DATA)


@dataclass(frozen=True, slots=True)
class PointerLiar:
    """The lying guest in a sandbox of the engine under test."""

    box: Sandbox
    host: _Host


@cache
def _guest() -> Guest:
    import wasmtime

    return Guest.from_wasm(bytes(wasmtime.wat2wasm(_WAT)), name="liar")


def open_pointer_liar(
    engine: Literal["auto"] | EngineName,
    reset: Literal["strict", "memory"],
    *,
    allocator: int | None = None,
) -> PointerLiar:
    """The lying guest in a new sandbox, which the caller closes. `allocator`: an address for vectors in the
    place of its own allocator."""
    host = _Host()
    box = Sandbox(
        _guest(),
        host.providers,
        engine=engine,
        reset=reset,
        transport="exit",  # needs no free CPU, and reads what a guest says with the same code
        deadline=DEADLINE_SECONDS,
        call_limits=LIMITS,
        allocator=allocator,
    )
    return PointerLiar(box, host)


def ask(context: CallContext, lie: Lie) -> Any:
    """Has the guest tell that lie; what the call gives. Raises `CallFailed`."""
    address, length = lie.address, lie.length
    match lie.what:
        case "pair":
            return context.call_bytes("pair", DATA, address, length, result="pair")
        case "packed":
            return context.call_bytes("packed", DATA, address << 32 | length, result="packed")
        case "inplace":
            return context.call_bytes("inplace", DATA, length, result="inplace")
        case "allocator" | "growing-allocator":
            return context.call_bytes("inplace", DATA, len(DATA), result="inplace")
        case "send":
            return context.call("send", address, length)
        case "receive":
            return context.call("receive", address)
        case "flood":
            return context.call("flood", length)
