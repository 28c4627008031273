"""Nobody is accused of what follows from a host function that answers as it likes, or from an odd guest."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import guests
import pytest

from hlfuzz.invariants import INVARIANTS, Budget, Status, Subject, Target, Verdict
from hlfuzz.sandbox import Caller, HostFunction

STARTS = """(module (import "env" "now" (func $now (result i64)))
  (memory (export "memory") 1) (global $g (export "g") (mut i64) (i64.const 0))
  (func $start (i64.store (i32.const 8) (call $now)) (global.set $g (i64.load (i32.const 8))))
  (start $start)
  (func (export "get") (result i64) (i64.load (i32.const 8))))"""

SHAPES = {
    "clears all its memory": """(module (memory (export "memory") 1)
        (func (export "wipe") (memory.fill (i32.const 0) (i32.const 0) (i32.const 65536))))""",
    "grows a table": """(module (table (export "t") 1 400 funcref)
        (func (export "grow") (param i32) (result i32)
          (table.grow (ref.null func) (i32.and (local.get 0) (i32.const 7)))))""",
    "is all NaN": """(module (global (export "x") (mut f32) (f32.const nan:0x200001))
        (global (export "v") (mut v128) (v128.const i32x4 1 2 3 4))
        (global (export "r") (mut funcref) (ref.null func))
        (func (export "f") (param f32 f64) (result f32 f64)
          (global.set 0 (f32.add (local.get 0) (global.get 0)))
          (f32.sqrt (local.get 0)) (f64.div (local.get 1) (f64.const 0))))""",
    "overflows its stack": """(module (import "env" "now" (func $now (result i64)))
        (global $depth (export "depth") (mut i32) (i32.const 0))
        (func $deep (export "deep")
          (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
          (if (i32.eqz (i32.and (global.get $depth) (i32.const 4095))) (then (drop (call $now))))
          (call $deep)))""",
}


def opened(wat: str, engine: str, now: Callable[..., Any]) -> Target:
    made = guests.target(wat, engine)
    return Target(made.guest, made.interface, engine=made.engine, host={"env.now": now}, deadline=0.2)


def judged(invariant: str, target: Target) -> Verdict:
    """After the experiments, if it has any, on a few cases of the guest."""
    checker = INVARIANTS[invariant]
    with target:
        return checker.check(target, Random(1), Budget(60.0, len(getattr(checker, "experiments", ())) + 4))


def counter() -> Callable[[], int]:
    return itertools.count().__next__


def a_number_for_each_sandbox() -> HostFunction:
    """As a clock does that goes on while a sandbox is opened, and not between two calls."""
    known: list[object] = []

    def now(caller: Caller) -> int:
        gate = caller._gate
        if gate not in known:
            known.append(gate)
        return known.index(gate)

    return HostFunction(now, caller=True)


@pytest.mark.parametrize("invariant", ["state-reset", "context-persist", "context-finish", "callback-thread"])
@pytest.mark.parametrize(
    ("wat", "now"), [(guests.ASKS_HOST, a_number_for_each_sandbox), (STARTS, counter)], ids=["calls", "start"]
)
def test_unsteady_host_functions_are_not_held_against_the_platform(
    engine: str, invariant: str, wat: str, now: Callable[[], Any]
) -> None:
    verdict = judged(invariant, opened(wat, engine, now()))
    assert verdict.status in (Status.HELD, Status.INCONCLUSIVE), verdict


def test_one_that_the_start_function_asks_is_named(engine: str) -> None:
    verdict = judged("determinism", opened(STARTS, engine, counter()))
    assert verdict.fault is not None
    assert verdict.fault.subject is Subject.HOST
    assert "env.now gave two answers to the same call (the start function)" in verdict.detail


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("invariant", ["state-reset", "context-persist", "context-finish", "determinism"])
def test_an_odd_guest_is_not_accused(engine: str, invariant: str, shape: str) -> None:
    verdict = judged(invariant, guests.target(SHAPES[shape], engine))
    assert verdict.status is Status.HELD, verdict
