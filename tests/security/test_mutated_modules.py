"""Modules with flipped bytes: refused or run, the same in every engine, and never a crash."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from bad_modules import wasm

from hlfuzz import Guest, HlfuzzError, Limits, Sandbox, Timeout
from hlfuzz.model import FuncType, Ok, ValType, value_bits
from hlfuzz.sandbox import why_no_kvm

SOURCES = {
    "numbers": """(module
      (func (export "a") (param i32 i32) (result i32) (i32.rotl (local.get 0) (local.get 1)))
      (func (export "b") (param i64 f64) (result f64 i64)
        (f64.sqrt (local.get 1)) (i64.clz (local.get 0)))
      (func (export "c") (param f32) (result i32)
        (i32.trunc_f32_s (f32.mul (local.get 0) (f32.const 3)))))""",
    "state": """(module (memory (export "memory") 1 3) (global (export "g") (mut i64) (i64.const 7))
      (table (export "t") 2 4 funcref) (elem (i32.const 0) $f $f) (data (i32.const 3) "data of the module")
      (func $f (export "f") (result i32) (i32.load16_u offset=3 (i32.const 0)))
      (func (export "g1") (param i32) (global.set 0 (i64.load (local.get 0))))
      (func (export "h") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
      (func (export "grow") (result i32) (memory.grow (i32.const 1))))""",
    "control": """(module (func (export "loop") (param i32) (result i32) (local i32)
      (block (loop (br_if 1 (i32.eqz (local.get 0))) (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (local.set 1 (i32.add (local.get 1) (local.get 0))) (br 0))) (local.get 1))
      (func (export "table") (param i32) (result i32)
        (block (block (block (br_table 0 1 2 (local.get 0))) (return (i32.const 5))) (return (i32.const 6)))
        (i32.const 7))
      (func $r (export "recurse") (param i32) (result i32)
        (if (result i32) (local.get 0)
          (then (call $r (i32.sub (local.get 0) (i32.const 1)))) (else (i32.const 1)))))""",
}  # fmt: skip
MUTANTS = 1200
ZERO: dict[ValType, Any] = {ValType.F32: 1.5, ValType.F64: 2.5, ValType.V128: bytes(16)}


def mutate(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(rng.choice((8, len(changed) // 2)), len(changed))
        match rng.randrange(8):
            case 0:
                del changed[at]
            case 1:
                changed.insert(at, rng.randrange(256))
            case 2:
                changed[at] = rng.randrange(256)
            case _:
                changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def behaviour(data: bytes, engine: str) -> Sequence[object]:
    """What opening and calling a module does, comparable between engines."""
    try:
        limits = Limits(memory_bytes=16 << 16, table_elements=1000, start_seconds=0.5)
        guest = Guest.from_wasm(data, name="mutant", limits=limits)
        with Sandbox(guest, engine=engine, deadline=0.2) as box:
            return [call(box, e.name, e.type) for e in guest.info.exports if isinstance(e.type, FuncType)]
    except HlfuzzError as e:
        return type(e).__name__, getattr(e, "reason", "")


def call(box: Sandbox, name: str, type_: FuncType) -> object:
    if any(t.is_reference for t in type_.params + type_.results):
        return None
    outcome = box.try_call(name, *(ZERO.get(t, 2) for t in type_.params))
    if isinstance(outcome, Ok):
        return [value_bits(v) for v in outcome.values]
    return "timeout" if isinstance(outcome, Timeout) else outcome


@pytest.mark.parametrize("name", SOURCES)
def test_mutants_do_the_same_in_every_engine(name):
    if why_no_kvm():
        pytest.skip(f"no micro-VM here: {why_no_kvm()}")
    rng = Random(name)
    source = wasm(SOURCES[name])
    seen = set()
    for _ in range(MUTANTS):
        mutant = mutate(rng, source)
        vm, peer = behaviour(mutant, "kvm"), behaviour(mutant, "inprocess")
        if "timeout" not in (*vm, *peer):  # a loop that ends about at the deadline may end on either side
            assert vm == peer, mutant.hex()
        seen.add(repr(vm))
    assert len(seen) > 10
