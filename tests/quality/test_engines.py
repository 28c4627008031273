"""What two engines may do otherwise, and what they may not."""

from __future__ import annotations

from random import Random

import pytest
from planted import answers

from hlfuzz.invariants import INVARIANTS, Budget, Status

NOTES = '(import "env" "note" (func $note (param f64)))'
GOES_DOWN = f"""(module {NOTES} (func $down (call $down) (call $down))
  (func (export "f") (call $note (f64.const 1)) (call $down)))"""
NEVER_ENDS = f"""(module {NOTES}
  (func (export "f") (call $note (f64.const 1)) (loop br 0)))"""
ANSWERS_NAN = """(module (func (export "f") (result f32) (f32.const nan:0x200000)))"""
NOTES_NAN = f"""(module {NOTES} (memory (export "memory") 1)
  (func (export "f") (result i32)
    (call $note (f64.const nan:0x200000))
    (f64.store (i32.const 8) (f64.const nan:0x200000)) (i32.const 3)))"""
KEEPS_NAN = """(module (memory (export "memory") 1) (func (export "f") (result f64)
  (f64.store (i32.const 8) (f64.const nan:0x200000)) (f64.load (i32.const 8))))"""


@pytest.mark.parametrize(
    ("wat", "right", "wrong"),
    [
        (GOES_DOWN, "f64.const 1", "f64.const 2"),
        (NEVER_ENDS, "f64.const 1", "f64.const 2"),
        (ANSWERS_NAN, "nan:0x200000", "nan:0x300000"),
        (NOTES_NAN, "nan:0x200000", "nan:0x300000"),
        (KEEPS_NAN, "nan:0x200000", "nan:0x300000"),
    ],
    ids=["stack", "deadline", "result", "host-call", "memory"],
)
def test_what_the_specification_leaves_open_is_no_difference(wat: str, right: str, wrong: str) -> None:
    assert right in wat
    with answers.engines_that_disagree(wat, right, wrong) as target:
        verdict = INVARIANTS["differential"].check(target, Random(1), Budget(5.0, 2))
    assert verdict.status is Status.HELD, verdict


def test_a_number_beside_a_nan_is_compared() -> None:
    beside = """(module (func (export "f") (result f64 i32) (f64.const nan:0x200000) (i32.const 1)))"""
    with answers.engines_that_disagree(beside, "i32.const 1", "i32.const 2") as target:
        assert INVARIANTS["differential"].check(target, Random(1), Budget(5.0, 2)).status is Status.VIOLATED
