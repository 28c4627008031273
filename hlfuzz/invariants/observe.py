"""What a call let its caller see: outcome and host calls; how two observations are compared and described."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from hlfuzz.invariants.record import Record
from hlfuzz.model import (
    Call,
    Exited,
    HostError,
    LimitExceeded,
    Ok,
    Outcome,
    Timeout,
    Trap,
    Value,
    Violation,
    value_bits,
)

LOWEST_POINTER: Final = 1024
"""Below this no linker places data in a linear memory (wasm-ld's default `--global-base`), so a smaller
number is no pointer."""
LOWEST_NATIVE_POINTER: Final = 2 << 20
"""A native guest's program begins here or above it (docs/native-guests.md)."""

POINTER_ALIGNMENT: Final = 4
_U32: Final = 0xFFFFFFFF

MAX_HOST_CALLS: Final = 16
"""Host calls of one call that text shows; a guest may make a million."""
LONG_RUN: Final = 8
"""From this many equal bytes on, text shows how many there are instead of each."""


@dataclass(frozen=True, slots=True)
class HostCall:
    """One host call as a recording stand-in saw it. `data` is the buffer that two of its arguments described.

    `problem` says what was wrong with that buffer ("" when nothing was), `thread` is where it ran.
    `answer` is what a host function of the user's own gave back, as text: its result, and what it did to the
    guest.
    """

    function: str
    args: tuple[Value, ...]
    data: bytes | None = None
    problem: str = ""
    thread: int = field(default=0, compare=False)
    answer: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that the caller of one call can see."""

    outcome: Outcome
    host_calls: tuple[HostCall, ...] = ()


def outcome_key(outcome: Outcome) -> tuple[object, ...]:
    """A hashable form, equal for two outcomes that are the same to the bit; messages are left out."""
    if isinstance(outcome, Ok):
        return ("ok", *(value_bits(v) for v in outcome.values))
    if isinstance(outcome, Trap):
        return ("trap", outcome.code)
    if isinstance(outcome, Timeout):
        return ("timeout",)
    if isinstance(outcome, Violation):
        return ("violation",)
    if isinstance(outcome, Exited):
        return ("exited", outcome.code)
    if isinstance(outcome, LimitExceeded):
        return ("limit", outcome.limit)
    return ("host-error", outcome.function)


def host_call_key(call: HostCall) -> tuple[object, ...]:
    """A hashable form; where the buffer was read its address does not count, its bytes do."""
    args = call.args if call.data is None else call.args[2:]
    return (call.function, call.data, *(value_bits(v) for v in args))


def observation_key(observation: Observation) -> tuple[object, ...]:
    """A hashable form of the whole observation."""
    return (outcome_key(observation.outcome), *(host_call_key(c) for c in observation.host_calls))


def changed_answer(a: Observation, b: Observation) -> tuple[HostCall, HostCall] | None:
    """The host calls with which two observations part ways, if a host function was asked the same in both and
    gave different answers; None: they do not, or it was asked something else."""
    for x, y in zip(a.host_calls, b.host_calls, strict=False):
        if host_call_key(x) != host_call_key(y):
            return None
        if x.answer != y.answer:
            return x, y
    return None


def _may_be_pointers(a: Value, b: Value, addresses: range) -> bool:
    """Whether two numbers may differ in addresses only: an i64 has room for one in each half, or for one and
    a length."""
    if not isinstance(a, int) or not isinstance(b, int):
        return False
    halves = ((a & _U32, b & _U32), (a >> 32, b >> 32))
    return all(
        x == y or all(v in addresses and v % POINTER_ALIGNMENT == 0 for v in (x, y)) for x, y in halves
    )


def _values_differ(a: tuple[Value, ...], b: tuple[Value, ...], addresses: range) -> bool:
    if len(a) != len(b):
        return True
    return any(
        value_bits(x) != value_bits(y) and not _may_be_pointers(x, y, addresses)
        for x, y in zip(a, b, strict=True)
    )


def difference(a: Observation, b: Observation, *, addresses: range = range(0)) -> str:
    """In which part two observations differ: "outcome", "host-calls", "host-data", "values" or "" (they do
    not).

    Two different integers that could both be among `addresses`, or hold such in their halves, are taken as
    equal: an allocator may well answer with another address after other calls, and that is no fault.
    """
    if type(a.outcome) is not type(b.outcome) or (
        isinstance(a.outcome, Trap | LimitExceeded | Exited) and a.outcome != b.outcome
    ):
        return "outcome"
    if [c.function for c in a.host_calls] != [c.function for c in b.host_calls]:
        return "host-calls"
    for x, y in zip(a.host_calls, b.host_calls, strict=True):
        if x.data != y.data:
            return "host-data"
        skip = 0 if x.data is None else 2
        if _values_differ(x.args[skip:], y.args[skip:], addresses):
            return "host-calls"
    if (
        isinstance(a.outcome, Ok)
        and isinstance(b.outcome, Ok)
        and _values_differ(a.outcome.values, b.outcome.values, addresses)
    ):
        return "values"
    return ""


def outcome_text(outcome: Outcome) -> str:
    """One line for people."""
    if isinstance(outcome, Ok):
        return "returned " + (
            ", ".join(_value_text(v) for v in outcome.values) if outcome.values else "nothing"
        )
    if isinstance(outcome, Trap):
        return f"trapped: {outcome.code}"
    if isinstance(outcome, Timeout):
        return f"timed out after {outcome.deadline_us / 1000:g} ms of CPU time"
    if isinstance(outcome, Violation):
        return f"broke the ABI: {outcome.message}"
    if isinstance(outcome, Exited):
        return f"exited with code {outcome.code}"
    if isinstance(outcome, LimitExceeded):
        return f"exceeded its limit {outcome.limit}: {outcome.message}"
    return _host_error_text(outcome)


def _host_error_text(outcome: HostError) -> str:
    return f"host function {outcome.function} failed: {outcome.message}"


def _value_text(value: Value) -> str:
    if isinstance(value, Record):
        return value.text
    return f"0x{value[::-1].hex()}" if isinstance(value, bytes) else repr(value)


def observation_text(observation: Observation, *, limit: int = 96) -> str:
    """One line for people: outcome and host calls, at most `limit` bytes of each buffer."""
    parts = [outcome_text(observation.outcome)]
    for call in observation.host_calls[:MAX_HOST_CALLS]:
        if call.data is None:
            shown = ", ".join(_value_text(v) for v in call.args) + (
                f" [{call.problem}]" if call.problem else ""
            )
        else:
            shown = call.data.text if isinstance(call.data, Record) else bytes_text(call.data, limit)
        parts.append(f"{call.function}({shown})")
    if (more := len(observation.host_calls) - MAX_HOST_CALLS) > 0:
        parts.append(f"and {more} more host calls")
    return "; ".join(parts)


def bytes_text(data: bytes | str, limit: int = 96) -> str:
    """Bytes or a text as Python would write them, with a run of equal ones as a product, shortened to `limit`
    of them."""
    parts: list[str] = []
    start = at = spent = 0
    for _, run in groupby(data):
        count = sum(1 for _ in run)
        if count >= LONG_RUN:
            parts += [repr(data[start:at])] if at > start else []
            parts.append(f"{data[at : at + 1]!r} * {count}")
            start, spent = at + count, spent + LONG_RUN
        else:
            spent += count
        at += count
        if spent > limit:
            break
    rest = data[start : max(at - max(spent - limit, 0), start)]
    if rest or not parts:
        parts.append(repr(rest))
    unit = "bytes" if isinstance(data, bytes) else "characters"
    return " + ".join(parts) + (f"… ({len(data)} {unit})" if spent > limit else "")


def call_text(call: Call) -> str:
    """`function(arguments)` with long byte vectors shortened."""
    shown = (bytes_text(a, 64) if isinstance(a, bytes) else repr(a) for a in call.args)
    return f"{call.function}({', '.join(shown)})"
