"""A small Wasm guest that keeps what it is given in every kind of state, and shows all of it.

`noninterference` tries its secrets on it, whatever the guest under test does with bytes.
"""

from __future__ import annotations

from typing import Final

from hlfuzz.guest import Guest
from hlfuzz.invariants.interface import describe_interface
from hlfuzz.invariants.settings.config import Config, HostMode
from hlfuzz.invariants.target import EngineName, Target

WAT: Final = """(module
  (import "env" "note" (func $note (param i32 i32)))
  (memory (export "memory") 3) (table $t (export "t") 1 funcref)
  (global $g (export "g") (mut i64) (i64.const 0))
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "keep") (param $p i32) (param $n i32)
    (call $note (local.get $p) (local.get $n))
    (memory.copy (i32.const 70000) (local.get $p) (local.get $n))
    (if (i32.gt_s (memory.grow (i32.const 1)) (i32.const 0))
      (then (memory.copy (i32.const 196608) (local.get $p) (local.get $n))))
    (drop (table.grow $t (ref.null func) (i32.and (i32.load8_u (local.get $p)) (i32.const 63))))
    (global.set $g (i64.load (local.get $p))))
  (func (export "show") (result i64 i32 i32)
    (call $note (i32.const 70000) (i32.const 64))
    (if (i32.gt_u (memory.size) (i32.const 3)) (then (call $note (i32.const 196608) (i32.const 64))))
    (global.get $g) (memory.size) (table.size $t)))"""

WASM: Final = bytes.fromhex(
    "0061736d0100000001110360027f7f0060017f017f6000037e7f7f020c0103656e76046e6f7465000003040301000204"
    "040170000105030100030606017e0142000b072806066d656d6f72790200017401000167030005616c6c6f630001046b"
    "65657000020473686f7700030a6b0305004180080b3f0020002001100041f0a20420002001fc0a00004101400041004a"
    "04404180800c20002001fc0a00000bd07020002d0000413f71fc0f001a200029030024000b230041f0a20441c0001000"
    "3f0041034b04404180800c41c00010000b23003f00fc10000b0025046e616d6501070100046e6f746502090102020001"
    "7001016e050401000174070401000167"
)


def open_notebook(engine: EngineName) -> Target:
    """A target on this guest."""
    guest = Guest.from_wasm(WASM, name="hlfuzz.notebook")
    config = Config(host={"env.note": HostMode.BYTES}, allocator="alloc")
    return Target(guest, describe_interface(guest.info, config), engine=engine)
