"""Small guests with one planted fault each, and clean ones, as WAT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import wasmtime

from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, HostMode, Target, describe_interface

_HEAD: Final = """
  (import "env" "write" (func $write (param i32 i32)))
  (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
"""

CLEAN_ECHO: Final = f"""(module {_HEAD}
  (func (export "on_data") (param i32 i32) (result i32)
    (call $write (local.get 0) (local.get 1)) (local.get 1)))"""

CLEAN_ARITHMETIC: Final = """(module
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "mul") (param f64 f64) (result f64) (f64.mul (local.get 0) (local.get 1)))
  (func (export "swap") (param i64 f32) (result f32 i64) (local.get 1) (local.get 0)))"""

# Allocates on and on: other addresses after other calls, which is no fault.
CLEAN_POINTERS: Final = """(module (memory (export "memory") 2) (global $top (mut i32) (i32.const 4096))
  (func (export "make") (result i32)
    (global.set $top (i32.add (global.get $top) (i32.const 16))) (global.get $top)))"""

NEEDS_INIT: Final = """(module (global $ready (mut i32) (i32.const 0))
  (func (export "init") (global.set $ready (i32.const 1)))
  (func (export "use") (param i64) (result i64)
    (if (result i64) (global.get $ready) (then (local.get 0)) (else (i64.const -1)))))"""

# Sends what the call before it was given.
LEAKS_EARLIER: Final = f"""(module {_HEAD}
  (func (export "on_data") (param i32 i32)
    (call $write (i32.const 66000) (i32.const 64))
    (memory.copy (i32.const 66000) (local.get 0)
      (select (local.get 1) (i32.const 64) (i32.lt_u (local.get 1) (i32.const 64))))))"""

# Its second parameter, a byte of the input, is trusted as an index.
TRUSTS_LENGTH: Final = f"""(module {_HEAD}
  (func (export "on_data") (param i32 i32) (result i32)
    (i32.load8_u (i32.add (local.get 0) (i32.mul (i32.load8_u (local.get 0)) (i32.const 4096))))))"""

NEVER_ENDS: Final = f"""(module {_HEAD}
  (func (export "on_data") (param i32 i32)
    (if (i32.gt_u (local.get 1) (i32.const 3)) (then (loop br 0)))))"""

BAD_ALLOCATOR: Final = """(module (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const -16))
  (func (export "on_data") (param i32 i32)))"""

BAD_BUFFER: Final = f"""(module {_HEAD}
  (func (export "on_data") (param i32 i32) (call $write (local.get 0) (i32.const 1000000))))"""

COUNTS: Final = """(module (memory (export "memory") 1) (global $n (export "n") (mut i32) (i32.const 0))
  (func (export "count") (result i32)
    (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (i32.const 1)))
    (global.set $n (i32.load (i32.const 64))) (i32.load (i32.const 64))))"""

ASKS_HOST: Final = """(module (import "env" "now" (func $now (result i64)))
  (func (export "time") (result i64) (call $now)))"""


def target(
    wat: str,
    engine: str,
    *,
    stateful: Sequence[str] = (),
    seeds: Sequence[bytes] = (),
    tenant_open: str | None = None,
) -> Target:
    """A target on that guest, with stand-ins for all its imports (buffers for `env.write`)."""
    from hlfuzz.invariants.settings.config import MethodConfig

    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(wat)), name="planted")
    modes = {i.key: HostMode.BYTES if i.name == "write" else HostMode.RECORD for i in guest.info.imports}
    methods = {name: MethodConfig(stateful=True) for name in stateful}
    config = Config(host=modes, methods=methods, tenant_open=tenant_open)
    interface = describe_interface(guest.info, config)
    return Target(guest, interface, engine=engine, deadline=0.1, seeds=seeds)  # type: ignore[arg-type]
