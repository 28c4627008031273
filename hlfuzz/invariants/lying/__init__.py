"""Guests that lie to their host on demand, and what must become of each lie: what `abi-conformity` runs."""

from __future__ import annotations

from hlfuzz.invariants.lying.pointers import Lie, PointerLiar, judge_lie, lie_batch, open_pointer_liar
from hlfuzz.invariants.lying.records import (
    RecordLiar,
    judge_record,
    judge_request,
    open_record_liar,
    record_batch,
)

__all__ = [
    "Lie",
    "PointerLiar",
    "RecordLiar",
    "judge_lie",
    "judge_record",
    "judge_request",
    "lie_batch",
    "open_pointer_liar",
    "open_record_liar",
    "record_batch",
]
