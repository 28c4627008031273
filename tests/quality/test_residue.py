"""Evidence of what survived a reset: short, with the guest's own names first, and what was there before."""

from __future__ import annotations

from random import Random

import guests
import pytest
from needs import require_kvm

from hlfuzz.invariants import INVARIANTS, Budget, Status, Target
from hlfuzz.invariants.residue import LINES, differing_registers, differing_state, differing_vm

KEEPS = """(module (memory (export "memory") 1 3) (global $n (export "n") (mut i32) (i32.const 3))
  (data $table (i32.const 100) "0123456789")
  (func (export "grow") (drop (memory.grow (i32.const 1)))))"""

SHAPES = {
    "its start function asks the host": """(module (import "env" "now" (func $now (result i64)))
        (memory (export "memory") 1) (func $start (i64.store (i32.const 8) (call $now))) (start $start)
        (func (export "get") (result i64) (i64.add (i64.load (i32.const 8)) (call $now)))
        (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0))))""",
    "several memories and a table grow": """(module (memory (export "a") 1 4) (memory (export "b") 2 8)
        (memory 1) (table (export "t") 2 10 funcref)
        (func (export "put") (param i32 i32)
          (i32.store 1 (i32.and (local.get 0) (i32.const 0xffff)) (local.get 1))
          (drop (memory.grow 1 (i32.const 1))) (drop (table.grow (ref.null func) (i32.const 1)))
          (i32.store 2 (i32.const 7) (local.get 1)))
        (func (export "get") (param i32) (result i32)
          (i32.load 1 (i32.and (local.get 0) (i32.const 0xffff)))))""",
    "no memory": '(module (func (export "root") (param f64) (result f64) (f64.sqrt (local.get 0))))',
    "imported memory": """(module (import "env" "memory" (memory 1 3)) (export "memory" (memory 0))
        (func (export "put") (param i32) (i32.store (i32.const 4) (local.get 0))))""",
}


def used(target: Target) -> tuple[str, ...]:
    session = target.session()
    session.box.memory().write(104, b"abc")
    session.box.globals["n"] = 4
    return differing_state(target, session)


def test_memory_and_globals_are_named_with_what_they_were(engine: str) -> None:
    with guests.target(KEEPS, engine) as target:
        assert differing_state(target, target.session()) == ()
        memory, global_ = used(target)
        assert memory.startswith("memory 'memory' +0x68, data segment 'table' +0x4: 34 35 36 37 38")
        assert " became 61 62 63 37 38" in memory
        assert global_ == "global 'n': 3 became 4"
        target.session().box.reset()
        assert differing_state(target, target.session()) == ()


def test_a_memory_that_stayed_grown_is_told_by_its_size(engine: str) -> None:
    with guests.target(KEEPS, engine) as target:
        session = target.session()
        with session.box.context() as context:
            context.call("grow")
            found = differing_state(target, session)
            context.finish()
    assert found == ("memory 'memory' has 131072 bytes, and 65536 in a fresh sandbox",)


def test_places_that_the_author_knows_come_before_the_runtimes_own() -> None:
    require_kvm()
    with guests.target(KEEPS, "kvm") as target:
        box = target.session("strict").box
        with box.context() as context:
            context.call("grow")
            for at in range(0, 640, 32):
                context.memory().write(1024 + at, b"\x01")
            lines = differing_vm(box)
            context.finish()
        assert differing_vm(box) == ()
    assert len(lines) == LINES + 1
    assert all(line.startswith("memory 'memory' +0x") for line in lines[:LINES])
    assert lines[LINES].startswith("and ")


def test_registers_are_listed_until_there_are_too_many() -> None:
    before = {f"r{n}": bytes([n]) for n in range(12)}
    assert differing_registers(before, before) == ()
    assert differing_registers(before, before | {"r3": b"\xff"}) == ("r3: 03 became ff (little endian)",)
    assert differing_registers(before, dict.fromkeys(before, b"\xee"))[LINES] == "and 4 more"


@pytest.mark.parametrize("invariant", ["state-reset", "memory-isolation"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_guest_of_another_shape_is_not_accused(shape: str, invariant: str) -> None:
    require_kvm()
    for seed in range(3):
        with guests.target(SHAPES[shape], "kvm") as target:
            verdict = INVARIANTS[invariant].check(target, Random(seed), Budget(1.0, 8))
        assert verdict.status is Status.HELD, verdict
