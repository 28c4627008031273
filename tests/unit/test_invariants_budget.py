"""A checker judges at least one case, however little time it is given: a pass is never for nothing."""

from __future__ import annotations

from random import Random

import wasmtime

from hlfuzz.guest import Guest
from hlfuzz.invariants import INVARIANTS, Budget, Config, Status, Target, describe_interface


def test_a_checker_without_time_judges_one_case() -> None:
    guest = Guest.from_wasm(
        bytes(wasmtime.wat2wasm('(module (func (export "f") (result i32) (i32.const 1)))'))
    )
    with Target(guest, describe_interface(guest.info, Config()), engine="inprocess") as target:
        verdict = INVARIANTS["determinism"].check(target, Random(1), Budget(0.0, 100))
    assert (verdict.status, verdict.runs) == (Status.HELD, 1)
