"""Lies about pointers and lengths: of results, of an allocator, of buffers in host calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any, Final, Literal, TypeAlias

from hlfuzz.errors import CallFailed, ContextFinished, EnvironmentProblem, UsageError
from hlfuzz.guest import CallLimits, Guest
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.model import HostError, LimitExceeded, Ok, Outcome, Violation
from hlfuzz.sandbox import CallContext, Caller, EngineName, HostFunction, Sandbox

LIMITS: Final = CallLimits(host_calls=64, host_call_bytes=4096, output_bytes=4096)
"""Small, so that a flood is over soon."""
DEADLINE_SECONDS: Final = 2.0
PAGE: Final = 65536
ROOM: Final = 1024
DATA: Final = b"sixteen bytes in"
_U32: Final = 0xFFFF_FFFF

_WAT: Final = """(module
  (import "env" "take" (func $take (param i32 i32)))
  (import "env" "fill" (func $fill (param i32)))
  (memory (export "memory") 1 2)
  (global $room (mut i32) (i32.const 1024))
  (global $grow (mut i32) (i32.const 0))
  (global $mark (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32)
    (if (global.get $grow) (then (drop (memory.grow (i32.const 1)))))
    (global.get $room))
  (func (export "allocate_at") (param i32 i32)
    (global.set $room (local.get 0)) (global.set $grow (local.get 1)))
  (func (export "mark") (global.set $mark (i32.const 1)) (i32.store (i32.const 2048) (i32.const 1)))
  (func (export "marked") (result i32) (i32.add (global.get $mark) (i32.load (i32.const 2048))))
  (func (export "pair") (param i32 i32 i32 i32) (result i32 i32) (local.get 2) (local.get 3))
  (func (export "packed") (param i32 i32 i64) (result i64) (local.get 2))
  (func (export "inplace") (param i32 i32 i32) (result i32) (local.get 2))
  (func (export "send") (param i32 i32) (call $take (local.get 0) (local.get 1)))
  (func (export "receive") (param i32) (call $fill (local.get 0)))
  (func (export "flood") (param i32)
    (loop (if (local.get 0) (then
      (call $take (i32.const 0) (i32.const 0))
      (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br 1)))))
  (data (i32.const 0) "the first bytes of the memory")
  (data (i32.const 65504) "and the last 32 bytes of memory!"))"""

What: TypeAlias = Literal[
    "pair", "packed", "inplace", "allocator", "growing-allocator", "send", "receive", "flood"
]


@dataclass(frozen=True, slots=True)
class Lie:
    """What the guest claims: results that are a `pair`, `packed` or a length `inplace`, the address that its
    `allocator` gives (the `growing-allocator` grows the memory first), the buffer that it `send`s or wants to
    `receive` 16 bytes in, or how many host calls it `flood`s the host with. Numbers are unsigned."""

    what: What
    address: int = 0
    length: int = 0


class _Host:
    """What the guest's host functions do, and the bytes that they were given."""

    def __init__(self) -> None:
        self.taken: bytes | None = None
        self.providers = {
            "env.take": HostFunction(self._take, caller=True),
            "env.fill": HostFunction(self._fill, caller=True),
        }

    def _take(self, caller: Caller, address: int, length: int) -> None:
        self.taken = caller.read(address, length & _U32)

    @staticmethod
    def _fill(caller: Caller, address: int) -> None:
        caller.write(address, DATA)


@dataclass(frozen=True, slots=True)
class PointerLiar:
    """The lying guest in a sandbox of the engine under test."""

    box: Sandbox
    host: _Host


@cache
def _guest() -> Guest:
    import wasmtime

    return Guest.from_wasm(bytes(wasmtime.wat2wasm(_WAT)), name="liar")


def open_pointer_liar(
    engine: Literal["auto"] | EngineName,
    reset: Literal["strict", "memory"],
    *,
    allocator: int | None = None,
) -> PointerLiar:
    """The lying guest in a new sandbox, which the caller closes. `allocator`: an address for vectors in the
    place of its own allocator."""
    host = _Host()
    box = Sandbox(
        _guest(),
        host.providers,
        engine=engine,
        reset=reset,
        transport="exit",  # needs no free CPU, and reads what a guest says with the same code
        deadline=DEADLINE_SECONDS,
        call_limits=LIMITS,
        allocator=allocator,
    )
    return PointerLiar(box, host)


_LIMIT: Final = 4096
_SPANS: Final[tuple[tuple[int, int], ...]] = (
    (PAGE - 1, 2),
    (PAGE, 1),
    (PAGE - 32, 33),
    (0, _U32),
    (_U32, 1),
    (1, _U32),  # the sum is 0 in 32 bits
    (_U32, _U32),
    (1 << 31, 1 << 31),
    (_U32 - 15, 16),
    (PAGE + 1, 0),
    (_U32, 0),
    (0, PAGE + 1),
    (0, PAGE),  # true, but more than the limit
    (0, _LIMIT + 1),
    (PAGE - _LIMIT, _LIMIT),  # from here on nothing is wrong
    (PAGE - 1, 1),
    (PAGE - 32, 32),
    (0, _LIMIT),
    (PAGE, 0),
    (0, 0),
)
"""Addresses and lengths round the ends of the memory, of the limit, and of 32 bits."""
_ROOMS: Final = (
    0,
    _U32,
    _U32 - 15,
    PAGE,
    PAGE - 15,
    PAGE - 16,
    1 << 31,
    2 * PAGE - 15,
    2 * PAGE - 16,
    1,
)
_EDGES: Final = (0, 1, 16, 32, _LIMIT, PAGE, 2 * PAGE, 1 << 31, 1 << 32)


def lie_batch(seed: int) -> Iterator[Lie]:
    """With seed 0 those that go to every edge; else 64 random ones near them."""
    if seed:
        yield from _random_lies(Random(seed))
        return
    for address, length in _SPANS:
        yield Lie("pair", address, length)
        yield Lie("packed", address, length)
        yield Lie("send", address, length)
        if address == 0:
            yield Lie("inplace", 0, length)
    for room in _ROOMS:
        yield Lie("allocator", room)
        yield Lie("growing-allocator", room)
        yield Lie("receive", room)
    for count in (64, 65, 1 << 20):
        yield Lie("flood", 0, count)


def _random_lies(rng: Random) -> Iterator[Lie]:
    kinds: tuple[What, ...] = (
        "pair",
        "packed",
        "inplace",
        "allocator",
        "growing-allocator",
        "send",
        "receive",
    )
    for _ in range(64):
        address, length = ((rng.choice(_EDGES) + rng.randrange(-40, 41)) & _U32 for _ in range(2))
        if rng.random() < 0.5:
            length = (PAGE - address + rng.randrange(-2, 3)) & _U32
        what = rng.choice(kinds)
        if what in ("allocator", "growing-allocator", "receive"):
            length = 0
        yield Lie(what, 0 if what == "inplace" else address, length)


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


def ask(context: CallContext, lie: Lie) -> Any:
    address, length = lie.address, lie.length
    match lie.what:
        case "pair":
            return context.call_bytes("pair", DATA, address, length, result="pair")
        case "packed":
            return context.call_bytes("packed", DATA, address << 32 | length, result="packed")
        case "inplace":
            return context.call_bytes("inplace", DATA, length, result="inplace")
        case "allocator" | "growing-allocator":
            return context.call_bytes("inplace", DATA, len(DATA), result="inplace")
        case "send":
            return context.call("send", address, length)
        case "receive":
            return context.call("receive", address)
        case "flood":
            return context.call("flood", length)


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
    if length > _LIMIT:
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
