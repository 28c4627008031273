"""Makes a failing case small: fewer calls, shorter byte vectors, smaller numbers; bounded in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hlfuzz.invariants.case import Case, vector_index
from hlfuzz.model import Value

if TYPE_CHECKING:
    from hlfuzz.invariants.base import Fault

MAX_PROBES: Final = 4000

Probe = Callable[[Case], "Fault | None"]
Fields = Callable[[Case, int, int], "Iterator[Case] | None"]
"""`fields(case, call, place)`: the case with something simpler in field number `place` of a typed call; None
where there is no such field. See `Target.simpler_fields`."""


def shrink(fault: Fault, probe: Probe, seconds: float, fields: Fields | None = None) -> Fault:
    """The smallest fault found within `seconds` that is the same defect, and no weaker proof of it.

    Delta debugging (Zeller and Hildebrandt, 2002) over the calls, then the bytes of each vector, then values.
    `probe` judges a candidate; only one that fails with the same kind, invariant and function replaces the
    best, so the result's case fails for certain. Calls that have `fields` stay valid: these are made simpler,
    and not the bytes.
    """
    return _Shrinker(fault, probe, time.monotonic() + seconds, fields).run()


def drop_calls(fault: Fault, probe: Probe, seconds: float) -> Fault:
    """As `shrink`, over the calls only: a few probes, after which the signature is settled."""
    return _Shrinker(fault, probe, time.monotonic() + seconds).run_calls()


class _Shrinker:
    """Keeps the best fault so far and how much may still be spent."""

    def __init__(self, fault: Fault, probe: Probe, deadline: float, fields: Fields | None = None) -> None:
        self._fields = fields
        self._best = fault
        self._probe = probe
        self._deadline = deadline
        self._left = MAX_PROBES

    def run(self) -> Fault:
        size = self._best.case.size + 1
        while self._best.case.size < size and self._may_go_on():
            size = self._best.case.size
            self._drop_calls()
            for call in range(len(self._best.case.calls)):
                if self._simplify_fields(call):
                    continue
                self._shorten_vector(call)
                self._clear_vector(call)
                self._simplify_scalars(call)
        return self._best

    def run_calls(self) -> Fault:
        self._drop_calls()
        return self._best

    def _may_go_on(self) -> bool:
        return self._left > 0 and time.monotonic() < self._deadline

    def _accept(self, case: Case) -> bool:
        if not self._may_go_on():
            return False
        self._left -= 1
        best = self._best
        found = self._probe(case)
        if found is None or found.strength < best.strength:
            return False
        if (found.kind, found.invariant, found.function) != (best.kind, best.invariant, best.function):
            return False
        if found.case.size > best.case.size:
            return False
        self._best = found
        return True

    def _drop_calls(self) -> None:
        """Many calls at once first: of fifty, most are usually beside the point."""
        count = max(len(self._best.case.calls) // 2, 1)
        while self._may_go_on():
            at = len(self._best.case.calls) - count
            while at > -count and self._may_go_on():
                smaller = _without_calls(self._best.case, max(at, 0), count)
                if smaller is not None:
                    self._accept(smaller)
                at = min(at, len(self._best.case.calls)) - count
            if count == 1:
                break
            count //= 2
        if self._best.case.context and len(self._best.case.calls) == 1:
            self._accept(replace(self._best.case, context=False))

    def _simplify_fields(self, call: int) -> bool:
        """Simplify every field of a typed call; False when it has none."""
        place = 0
        while call < len(self._best.case.calls) and self._may_go_on():
            simpler = self._fields and self._fields(self._best.case, call, place)
            if simpler is None:
                break
            if not any(self._accept(case) for case in simpler if case.size <= self._best.case.size):
                place += 1
        return place > 0

    def _shorten_vector(self, call: int) -> None:
        chunk = len(self._vector(call)) // 2
        while chunk >= 1 and self._may_go_on():
            at = len(self._vector(call)) - chunk
            while at >= 0 and self._may_go_on():
                smaller = _without_bytes(self._best.case, call, at, chunk)
                if smaller is not None:
                    self._accept(smaller)
                at -= chunk
            chunk //= 2

    def _clear_vector(self, call: int) -> None:
        """Bytes that do not matter become zeros, so that those that do stand out."""
        chunk = len(self._vector(call))
        while chunk >= 1 and self._may_go_on():
            at = 0
            while at < len(self._vector(call)) and self._may_go_on():
                data = self._vector(call)
                cleared = data[:at] + bytes(min(chunk, len(data) - at)) + data[at + chunk :]
                if cleared != data:
                    index = vector_index(self._best.case.calls[call])
                    self._accept(_with_argument(self._best.case, call, index, cleared))
                at += chunk
            chunk //= 2

    def _vector(self, call: int) -> bytes:
        calls = self._best.case.calls
        if call >= len(calls) or (at := vector_index(calls[call])) < 0:
            return b""
        data = calls[call].args[at]
        assert isinstance(data, bytes)
        return data

    def _simplify_scalars(self, call: int) -> None:
        if call >= len(self._best.case.calls):
            return
        for at, value in enumerate(self._best.case.calls[call].args):
            if isinstance(value, float):
                _ = value in (0.0, 1.0) or self._try(call, at, 0.0) or self._try(call, at, 1.0)
            elif isinstance(value, int) and value:
                self._simplify_integer(call, at, value)

    def _simplify_integer(self, call: int, at: int, value: int) -> None:
        """0, 1 or -1 if one of them will do, else the nearest to 0 that a binary search finds."""
        simple = (0, 1, -1)
        before = simple[: simple.index(value)] if value in simple else simple
        if any(self._try(call, at, choice) for choice in before):
            return
        sign, fails, holds = (1 if value > 0 else -1), abs(value), 1
        while fails - holds > 1 and self._may_go_on():
            middle = (fails + holds) // 2
            if self._try(call, at, sign * middle):
                fails = middle
            else:
                holds = middle

    def _try(self, call: int, at: int, value: Value) -> bool:
        calls = self._best.case.calls
        return call < len(calls) and self._accept(_with_argument(self._best.case, call, at, value))


def _with_argument(case: Case, call: int, at: int, value: Value) -> Case:
    old = case.calls[call]
    new = replace(old, args=(*old.args[:at], value, *old.args[at + 1 :]))
    return replace(case, calls=(*case.calls[:call], new, *case.calls[call + 1 :]))


def _without_calls(case: Case, at: int, count: int) -> Case | None:
    """The case with `count` calls taken out; None when none would be left, or not the secret's."""
    end = min(at + count, len(case.calls))
    secret = case.secret
    if end - at >= len(case.calls) or at >= end or (secret is not None and at <= secret.call < end):
        return None
    if secret is not None and end <= secret.call:
        secret = replace(secret, call=secret.call - (end - at))
    calls, boxes = case.calls[:at] + case.calls[end:], case.boxes[:at] + case.boxes[end:]
    return replace(case, calls=calls, boxes=boxes, secret=secret)


def _without_bytes(case: Case, call: int, at: int, count: int) -> Case | None:
    """The case with `count` bytes taken out of one vector; the secret's window moves with its bytes."""
    index = vector_index(case.calls[call])
    data = case.calls[call].args[index]
    assert isinstance(data, bytes)
    if at < 0 or at + count > len(data):
        return None
    secret = case.secret
    if secret is not None and secret.call == call:
        if at + count <= secret.offset:
            secret = replace(secret, offset=secret.offset - count)
        elif at < secret.offset + secret.length:
            kept = secret.length - (min(at + count, secret.offset + secret.length) - max(at, secret.offset))
            if kept < len(secret.first) or (secret.cut and kept <= secret.cut):
                return None
            secret = replace(secret, offset=min(secret.offset, at), length=kept)
    return replace(_with_argument(case, call, index, data[:at] + data[at + count :]), secret=secret)
