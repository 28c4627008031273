"""What must become of a lie about a pointer or a length, and whether it did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hlfuzz.errors import CallFailed, ContextFinished, EnvironmentProblem, UsageError
from hlfuzz.invariants.lying.claims import MOST_BYTES, Lie
from hlfuzz.invariants.lying.pointers import DATA, LIMITS, ROOM, PointerLiar, ask
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.model import HostError, LimitExceeded, Ok, Outcome, Violation
from hlfuzz.sandbox import CallContext


def judge_lie(liar: PointerLiar, lie: Lie) -> str:
    """Has the guest tell that lie; what is wrong with what became of it, "" when nothing is."""
    box = liar.box
    try:
        with box.context() as context:
            problem = _tell(liar, context, lie)
            context.finish()
        after = box.try_call("marked")
    except EnvironmentProblem:
        raise
    except Exception as error:
        return f"raised {type(error).__name__}, which is no outcome: {error}"
    if problem:
        return problem
    if after != Ok((0,)):
        return f"left a sandbox that is not at its snapshot: the next call {outcome_text(after)}"
    return ""


def _tell(liar: PointerLiar, context: CallContext, lie: Lie) -> str:
    context.call("mark")
    if lie.what in ("allocator", "growing-allocator"):
        context.call("allocate_at", lie.address, int(lie.what == "growing-allocator"))
    liar.host.taken = None
    found = _outcome(lambda: ask(context, lie))
    wanted = _expected(context, lie)
    if isinstance(wanted, bytes):
        got = _bytes_of(liar, context, lie, found)
        if got != wanted:
            shown = outcome_text(found) if not isinstance(got, bytes) else f"gave {got[:48]!r}"
            return f"is true, and the call {shown}, not {len(wanted)} bytes {wanted[:48]!r}"
        return ""
    if not _is(found, wanted):
        return f"should end as {wanted}, but the call {outcome_text(found)}"
    if liar.host.taken is not None and lie.what == "send":
        return f"gave the host function {len(liar.host.taken)} bytes"
    return _refuses_more(context)


def _refuses_more(context: CallContext) -> str:
    try:
        outcome = context.try_call("marked")
    except ContextFinished:
        return ""
    return f"did not end the call context: another call in it {outcome_text(outcome)}"


def _outcome(run: Callable[[], Any]) -> Outcome:
    try:
        return Ok((run(),))
    except CallFailed as failed:
        return failed.outcome


def _expected(context: CallContext, lie: Lie) -> bytes | str:
    """The bytes that cross when the guest tells the truth, else the kind of outcome."""
    size = context.memory().size
    address, length = lie.address, lie.length
    match lie.what:
        case "flood":
            assert LIMITS.host_calls is not None
            return b"" if length <= LIMITS.host_calls else "limit host_calls"
        case "allocator" | "growing-allocator":
            fits = address != 0 and address + len(DATA) <= size
            return DATA if fits else "violation"
        case "receive":
            return DATA if address + len(DATA) <= size else "host-error"
        case "inplace":
            address = ROOM
        case _:
            pass
    if address + length > size:
        return "host-error" if lie.what == "send" else "violation"
    if length > MOST_BYTES:
        return "limit host_call_bytes" if lie.what == "send" else "limit output_bytes"
    return context.read(address, length)


def _bytes_of(liar: PointerLiar, context: CallContext, lie: Lie, found: Outcome) -> bytes | None:
    """What crossed, in whichever direction."""
    if not isinstance(found, Ok):
        return None
    match lie.what:
        case "send":
            return liar.host.taken
        case "receive":
            return context.read(lie.address, len(DATA))
        case "flood":
            return b""
        case _:
            (value,) = found.values
            return value if isinstance(value, bytes) else None


def _is(outcome: Outcome, wanted: str) -> bool:
    if wanted == "violation":
        return isinstance(outcome, Violation)
    if wanted == "host-error":
        return isinstance(outcome, HostError) and isinstance(outcome.exception, UsageError)
    return isinstance(outcome, LimitExceeded) and outcome.limit == wanted.removeprefix("limit ")
