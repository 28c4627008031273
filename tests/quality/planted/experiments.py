"""Faults of call contexts and of callbacks that one experiment alone can find, at one thing it looks at."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import guests

import hlfuzz.sandbox.box
import hlfuzz.sandbox.context
import hlfuzz.sandbox.dispatch.calls
from hlfuzz.errors import CallCancelled, HlfuzzError, SandboxClosed
from hlfuzz.guest import Guest
from hlfuzz.invariants import Subject
from hlfuzz.model import HostError, Ok, Outcome, Timeout, Trap
from hlfuzz.sandbox import CallContext, Caller, Dispatcher, Sandbox
from hlfuzz.sandbox.dispatch.lane import Lane
from hlfuzz.sandbox.dispatch.pending import PendingCall
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.hostcalls import HostCalls
from planted import Planted
from planted.contexts import forgets_poison, in_another_thread, mapped, replaced
from planted.contexts import planted as patched

TABLE = 2
"""`Place.TABLE` of the slate, the guest of the experiments."""


def _is_slate(box: Sandbox) -> bool:
    return box.guest.name == "slate"


def _after(do: Callable[..., object]) -> Callable[[Any], Any]:
    """The method, and then `do(self, result, *args)`."""

    def make(sound: Any) -> Any:
        def method(self: Any, *args: Any, **options: Any) -> Any:
            result = sound(self, *args, **options)
            do(self, result, *args)
            return result

        return method

    return make


# What lasts within a context


def resets_after_two_host_calls(sound: Any) -> Any:
    def run(context: CallContext, *args: Any) -> Any:
        engine = context._box._engine
        before = engine.stats().host_calls
        result = sound(context, *args)
        if engine.stats().host_calls - before > 1:
            engine.reset()
        return result

    return run


class HostsCopy:
    """What the host writes goes into a copy, which only the host reads; `through`: to the guest as well."""

    def __init__(self, through: bool = False) -> None:
        self.through = through
        self.copies: WeakKeyDictionary[InProcessEngine, dict[object, Any]] = WeakKeyDictionary()

    def memory_write(self, sound: Any) -> Any:
        def write(engine: InProcessEngine, memory: Any, address: int, data: bytes) -> bool:
            self.copies.setdefault(engine, {})[address] = data
            return sound(engine, memory, address, data) if self.through else True

        return write

    def memory_read(self, sound: Any) -> Any:
        def read(engine: InProcessEngine, memory: Any, address: int, length: int) -> bytes | None:
            copy = self.copies.get(engine, {}).get(address)
            return sound(engine, memory, address, length) if copy is None else copy

        return read

    def global_set(self, sound: Any) -> Any:
        def set_(engine: InProcessEngine, export: Any, value: Any) -> None:
            self.copies.setdefault(engine, {})[export.name] = value

        return set_


def _hosts_copy(*names: str, through: bool = False) -> Any:
    copy = HostsCopy(through)
    return _inprocess(*(replaced(InProcessEngine, name, getattr(copy, name)) for name in names))


def _elsewhere(caller: Caller, function: str, args: tuple[Any, ...]) -> Any:
    with Sandbox(caller._guest, {"env.tell": lambda value: value}, engine="inprocess") as other:
        return other.call(function, *args)


def nests_in_another_sandbox(sound: Any) -> Any:
    return _elsewhere


def nests_procedures_in_another_sandbox(sound: Any) -> Any:
    def run(caller: Caller, function: str, args: tuple[Any, ...]) -> Any:
        does = _elsewhere if function == "write" else sound
        return does(caller, function, args)

    return run


class Neighbours:
    """What is done to one sandbox is done to the others, whose method `name` that is as well."""

    def __init__(self) -> None:
        self.alive: list[Sandbox] = []

    def note(self, sound: Any) -> Any:
        return _after(lambda box, result, *args: self.alive.append(box))(sound)

    def others(self, box: Sandbox) -> Iterator[Sandbox]:
        self.alive = [b for b in self.alive if not b.is_closed]
        yield from (b for b in self.alive if b is not box and b.guest is box.guest)

    def reset(self, box: Sandbox, *args: Any) -> None:
        for other in self.others(box):
            other._engine.reset()

    def after_single_calls(self, sound: Any) -> Any:
        def run(box: Sandbox, *args: Any, reset: bool) -> Any:
            if reset:
                self.reset(box)
            return sound(box, *args, reset=reset)

        return run

    def call(self, sound: Any) -> Any:
        def run(context: CallContext, *args: Any) -> Any:
            for other in self.others(context._box):
                if other._gate.has_context:
                    other.run(*args, reset=False)
            return sound(context, *args)

        return run


def _neighbours(owner: Any, name: str, what: str) -> Any:
    near = Neighbours()
    make = _after(near.reset) if what == "reset" else getattr(near, what)
    return _inprocess(replaced(Sandbox, "__init__", near.note), replaced(owner, name, make))


# What is gone after a context


def leaves_a_byte(box: Sandbox, *args: object) -> None:
    if (memory := box.guest.default_memory()) is not None:
        box._engine.memory_write(memory, 9000, b"x")


class Seen:
    """After a context the host sees once more what `method` of the engine showed at its end."""

    def __init__(self, method: str, *args: object) -> None:
        self.method = method
        self.args = args
        self.shown: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def remember(self, sound: Any) -> Any:
        def end_context(box: Sandbox) -> None:
            export = box.guest.default_memory() if self.args else _page(box.guest)
            last = getattr(box._engine, self.method)(export, *self.args) if _is_slate(box) else None
            sound(box)
            if last is not None:
                self.shown[box._engine] = last

        return end_context

    def show(self, sound: Any) -> Any:
        def see(engine: Any, *args: Any) -> Any:
            return self.shown.pop(engine) if engine in self.shown else sound(engine, *args)

        return see


def _page(guest: Guest) -> Any:
    return next((e for e in guest.info.exports if e.name == "page"), None)


def _seen(method: str, *args: object) -> Any:
    seen = Seen(method, *args)
    return _inprocess(
        replaced(Sandbox, "end_context", seen.remember), replaced(InProcessEngine, method, seen.show)
    )


def _note(box: Sandbox) -> Any:
    return box.run("read", (TABLE,), "none", reset=False)


def brings_the_table_back(sound: Any) -> Any:
    def end_context(box: Sandbox) -> None:
        left = _note(box) if _is_slate(box) else 0
        sound(box)
        if left:
            box.run("write", (TABLE, left), "none", reset=False)

    return end_context


class NextContext:
    """A context begins with what is in the table at the end of the one before."""

    def __init__(self) -> None:
        self.left: WeakKeyDictionary[Sandbox, Any] = WeakKeyDictionary()

    def end(self, sound: Any) -> Any:
        def end_context(box: Sandbox) -> None:
            if _is_slate(box):
                self.left[box] = _note(box)
            sound(box)

        return end_context

    def begin(self, sound: Any) -> Any:
        def context(box: Sandbox) -> CallContext:
            opened = sound(box)
            if left := self.left.pop(box, 0):
                box.run("write", (TABLE, left), "none", reset=False)
            return opened

        return context


def _next_context() -> Any:
    following = NextContext()
    return _inprocess(
        replaced(Sandbox, "end_context", following.end), replaced(Sandbox, "context", following.begin)
    )


class HostsWritesLast:
    """What the host wrote last is written again when the context has ended."""

    def __init__(self) -> None:
        self.last: WeakKeyDictionary[InProcessEngine, tuple[Any, ...]] = WeakKeyDictionary()

    def write(self, sound: Any) -> Any:
        return _after(lambda engine, result, *args: self.last.update({engine: args}))(sound)

    def end(self, sound: Any) -> Any:
        def again(box: Sandbox, *_: object) -> None:
            if (args := self.last.pop(box._engine, None)) is not None:
                box._engine.memory_write(*args)

        return _after(again)(sound)


def _hosts_writes_last() -> Any:
    last = HostsWritesLast()
    return _inprocess(
        replaced(InProcessEngine, "memory_write", last.write), replaced(Sandbox, "end_context", last.end)
    )


def finishes_the_open_one(sound: Any) -> Any:
    def finish(context: CallContext) -> None:
        if context.finished and (following := context._box._context) is not None:
            following._finished = "finished"
        sound(context)

    return finish


def resets_when_finished_again(sound: Any) -> Any:
    def finish(context: CallContext) -> None:
        if context.finished:
            context._box._engine.reset()
        sound(context)

    return finish


def forgets_every_second(sound: Any) -> Any:
    def end_context(box: Sandbox) -> None:
        box._ended = not getattr(box, "_ended", False)  # type: ignore[attr-defined]
        if box._ended:  # type: ignore[attr-defined]
            sound(box)
        else:
            with patch.object(type(box._engine), "reset", lambda engine: None):
                sound(box)

    return end_context


def writes_when_refused(sound: Any) -> Any:
    def refuse(context: CallContext) -> None:
        if context.finished and (memory := context._box.guest.default_memory()) is not None:
            context._box._engine.memory_write(memory, 64, b"\1")
        sound(context)

    return refuse


def resets_when_busy(sound: Any) -> Any:
    def reset(box: Sandbox) -> None:
        box._engine.reset()
        sound(box)

    return reset


def calls_and_refuses(sound: Any) -> Any:
    def run(context: CallContext, *args: Any) -> Any:
        if threading.get_ident() != context._gate.owner:
            context._box.run(*args, reset=False)
        return sound(context, *args)

    return run


class Silent:
    """Warnings that nobody gets."""

    @staticmethod
    def warn(*args: object, **options: object) -> None:
        """Says nothing."""


def resets_unless_an_exception_leaves(sound: Any) -> Any:
    def exit_(context: CallContext, kind: object, error: object, traceback: object) -> None:
        if error is None or context.finished:
            sound(context, kind, error, traceback)
        else:
            context._finished = "left"
            context._box._gate.close_context()

    return exit_


def resets_unless_poisoned(sound: Any) -> Any:
    def end_context(box: Sandbox) -> None:
        if box._context is not None and box._context._poison:
            with patch.object(type(box._engine), "reset", lambda engine: None):
                sound(box)
        else:
            sound(box)

    return end_context


def traps_as_returns(sound: Any) -> Any:
    def try_call(context: CallContext, *args: Any) -> Outcome:
        outcome = sound(context, *args)
        return Ok() if isinstance(outcome, Trap) else outcome

    return try_call


def _nothing(sound: Any) -> Any:
    return lambda self, *args: None


# Callbacks


def _first(host: HostCalls) -> Callable[..., Any]:
    function = host._linked.functions[0]
    return partial(function.fn, None) if function.caller else function.fn


def one_more(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        answer = function(*args)
        return answer + 1 if isinstance(answer, int) else answer

    return call


def twice_if(when: Callable[[HostCalls], bool]) -> Callable[[Any], Any]:
    """Host functions run twice where `when` says so."""

    def make(sound: Any) -> Any:
        def invoke(host: HostCalls, index: int, args: Any, engine: Any) -> Any:
            if when(host):
                sound(host, index, args, engine)
            return sound(host, index, args, engine)

        return invoke

    return make


def nested_ones_last(sound: Any) -> Any:
    """Those that a nested call reaches run when the outermost host function has returned."""
    held: list[Callable[[], Any]] = []

    def invoke(host: HostCalls, index: int, args: Any, engine: Any) -> Any:
        if host.gate.host_depth:
            held.append(partial(_first(host), *args))
            return (0,)
        result = sound(host, index, args, engine)
        while held:
            held.pop()()
        return result

    return invoke


def nested_ones_elsewhere(sound: Any) -> Any:
    def invoke(host: HostCalls, index: int, args: Any, engine: Any) -> Any:
        if host.gate.host_depth:
            return (in_another_thread(_first(host))(*args),)
        return sound(host, index, args, engine)

    return invoke


def ends_as_a_trap(kind: type) -> Callable[[Any], Any]:
    def make(sound: Any) -> Any:
        def try_call(box: Sandbox, *args: Any) -> Outcome:
            outcome = sound(box, *args)
            return Trap("unreachable") if isinstance(outcome, kind) else outcome

        return try_call

    return make


def asks_after_a_timeout(box: Sandbox, result: Any, *args: object) -> None:
    if isinstance(result, Timeout):
        _first(box._host)(1)


def asks_again(box: Sandbox, *_: object) -> None:
    """The host function that was reached runs once more."""
    if box._engine.stats().host_calls:
        _first(box._host)(1)


def asks_again_at_the_end_of_a_context(sound: Any) -> Any:
    def close(box: Sandbox) -> None:
        again = box._gate.has_context
        sound(box)
        if again:
            _first(box._host)(1)

    return close


def cancelled_as_failed(sound: Any) -> Any:
    def cancel(lane: Lane, turn: Any, error: BaseException | None = None) -> None:
        running = turn not in lane._queue and not lane._is_closing
        sound(lane, turn, HlfuzzError("the call has failed") if running else error)

    return cancel


def runs_what_was_cancelled(sound: Any) -> Any:
    def cancel(lane: Lane, turn: Any, error: BaseException | None = None) -> None:
        waits = turn in lane._queue and not lane._is_closing
        sound(lane, turn, error)
        if waits:
            lane._queue.append(turn)

    return cancel


class Quiet:
    """After a call was cancelled the host functions of the next one do not run."""

    def __init__(self) -> None:
        self.calls = 0

    def cancel(self, sound: Any) -> Any:
        return _after(lambda *_: setattr(self, "calls", 2))(sound)

    def invoke(self, sound: Any) -> Any:
        def invoke(host: HostCalls, *args: Any) -> Any:
            self.calls -= 1
            return (0,) if self.calls >= 0 else sound(host, *args)

        return invoke


def _quiet() -> Any:
    quiet = Quiet()
    return _inprocess(replaced(Lane, "cancel", quiet.cancel), replaced(HostCalls, "invoke", quiet.invoke))


def asks_when_closed_in_a_call(sound: Any) -> Any:
    def close(box: Sandbox) -> None:
        busy = box._lane is not None and box._lane.is_busy
        sound(box)
        if busy:
            _first(box._host)(1)

    return close


class Posted:
    """A host function of a call that close() has ended runs when events are processed next."""

    def __init__(self) -> None:
        self.posted: list[Callable[[], Any]] = []

    def close(self, sound: Any) -> Any:
        def close(box: Sandbox) -> None:
            if box._lane is not None and box._lane.is_busy:
                self.posted.append(partial(_first(box._host), 1))
            sound(box)

        return close

    def process_events(self, sound: Any) -> Any:
        def process_events(dispatcher: Dispatcher) -> int:
            while self.posted:
                self.posted.pop()()
            return sound(dispatcher)

        return process_events


def _posted() -> Any:
    posted = Posted()
    return _inprocess(
        replaced(Sandbox, "close", posted.close),
        replaced(Dispatcher, "process_events", posted.process_events),
    )


def closed_as_cancelled(sound: Any) -> Any:
    def finish(pending: PendingCall[Any], value: Any, error: BaseException | None) -> None:
        sound(pending, value, CallCancelled("closed") if isinstance(error, SandboxClosed) else error)

    return finish


def result_one_more(sound: Any) -> Any:
    def result(pending: PendingCall[Any]) -> Any:
        value = sound(pending)
        return value + 1 if isinstance(value, int) else value

    return result


def awaited_elsewhere(sound: Any) -> Any:
    def wait_for(lane: Lane, awaitable: Any, turn: Any) -> Any:
        return in_another_thread(lambda: asyncio.run(_await(awaitable)))()

    return wait_for


async def _await(awaitable: Any) -> Any:
    return await awaitable


def goes_on_when_cancelled(sound: Any) -> Any:
    async def outcome_of(pending: PendingCall[Any], **options: Any) -> Any:
        try:
            return await sound(pending, **options)
        except asyncio.CancelledError:
            return None

    return outcome_of


def _inprocess(*faults: Callable[[], Any]) -> Callable[[], Any]:
    return partial(patched, guests.CLEAN_ARITHMETIC, "inprocess", *faults)


def _planted(name: str, invariant: str, what: str, open_: Any, kvm: bool = False) -> Planted:
    return Planted(name, invariant, Subject.PLATFORM, what, open_, kvm)


def _persist(name: str, what: str, open_: Any) -> Planted:
    return _planted(name, "context-persist", what, open_)


def _finish(name: str, what: str, *faults: Callable[[], Any]) -> Planted:
    return _planted(name, "context-finish", what, _inprocess(*faults))


def _callback(name: str, what: str, *faults: Callable[[], Any]) -> Planted:
    return _planted(name, "callback-thread", what, _inprocess(*faults))


_end = partial(replaced, Sandbox, "end_context")
_run = partial(replaced, CallContext, "_run")

FAULTS = (
    _persist(
        "reset-after-two-host-calls", "in a context a call with two host calls is followed by a reset",
        _inprocess(_run(resets_after_two_host_calls)),
    ),
    _persist(
        "hosts-own-memory", "what the host writes into memory goes into a copy that only it reads",
        _hosts_copy("memory_write", "memory_read"),
    ),
    _persist(
        "hosts-own-global", "what the host writes into a global reaches no call",
        _hosts_copy("global_set"),
    ),
    _persist(
        "hosts-last-bytes", "the host reads what it wrote itself, and not what a call has written since",
        _hosts_copy("memory_write", "memory_read", through=True),
    ),
    _persist(
        "nested-in-another-sandbox", "a nested call runs in a sandbox of its own",
        _inprocess(replaced(Caller, "_run", nests_in_another_sandbox)),
    ),
    _persist(
        "nested-writes-elsewhere", "a nested call that returns nothing runs in a sandbox of its own",
        _inprocess(replaced(Caller, "_run", nests_procedures_in_another_sandbox)),
    ),
    _persist(
        "single-call-resets-all", "a call outside of contexts resets the other sandboxes of the guest",
        lambda: _neighbours(Sandbox, "run", "after_single_calls")(),
    ),
    _persist(
        "finish-resets-all", "finish() resets the other sandboxes of the guest",
        lambda: _neighbours(Sandbox, "end_context", "reset")(),
    ),
    _persist(
        "reset-resets-all", "reset() of a sandbox resets the others of its guest",
        lambda: _neighbours(Sandbox, "reset", "reset")(),
    ),
    _persist(
        "call-in-each-context", "a call of one context is made in all open contexts of the guest",
        lambda: _neighbours(CallContext, "_run", "call")(),
    ),
    _planted(
        "snapshot-resets", "context-persist", "a context is reset when a snapshot of it is taken",
        partial(patched, guests.CLEAN_ARITHMETIC, "kvm",
                replaced(CallContext, "snapshot", _after(lambda context, *_: context._box._engine.reset()))),
        kvm=True,
    ),
    _planted(
        "a-byte-after-finish", "context-finish", "finish() writes a byte into memory when it has reset",
        partial(patched, guests.CLEAN_ARITHMETIC, "kvm", _end(_after(leaves_a_byte))), kvm=True,
    ),
    _planted(
        "global-seen-after-finish", "context-finish",
        "after a context the host reads once more what it left in a global",
        lambda: _seen("global_get")(),
    ),
    _planted(
        "memory-seen-after-finish", "context-finish",
        "after a context the host reads once more what it left in memory",
        lambda: _seen("memory_read", 64, 4)(),
    ),
    _planted(
        "host-write-outlives-a-context", "context-finish",
        "what the host wrote last in a context is there after it", lambda: _hosts_writes_last()(),
    ),
    _finish("table-outlives-a-context", "a table is not restored by finish()", _end(brings_the_table_back)),
    _planted(
        "table-of-the-context-before", "context-finish",
        "a context begins with the table as the one before left it", lambda: _next_context()(),
    ),
    _finish(
        "finish-marks-the-next-context", "a second finish() ends the context that was opened since",
        replaced(CallContext, "finish", finishes_the_open_one),
    ),
    _finish(
        "second-finish-resets", "a second finish() resets the sandbox, whoever uses it now",
        replaced(CallContext, "finish", resets_when_finished_again),
    ),
    _finish("every-second-finish", "every second finish() does not reset", _end(forgets_every_second)),
    _finish(
        "refused-write-is-written", "a call after finish() is refused, and has written memory",
        replaced(CallContext, "_refuse", writes_when_refused),
    ),
    _finish(
        "refused-reset-resets", "reset() is refused while a context is open, and has reset it",
        replaced(Sandbox, "reset", resets_when_busy),
    ),
    _finish(
        "refused-call-is-made", "a call from another thread is refused after it was made",
        _run(calls_and_refuses),
    ),
    _finish(
        "left-without-a-warning", "leaving a context without finish() is not worth a warning",
        lambda: patch.object(hlfuzz.sandbox.context, "warnings", Silent),
    ),
    _finish(
        "left-by-an-exception", "a context that an exception leaves is not reset",
        replaced(CallContext, "__exit__", resets_unless_an_exception_leaves),
    ),
    _finish("trap-forgotten", "a context goes on after a trap", _run(forgets_poison(Trap))),
    _finish("timeout-forgotten", "a context goes on after a deadline", _run(forgets_poison(Timeout))),
    _finish(
        "violation-forgotten", "a context goes on after an answer that breaks its schema",
        replaced(CallContext, "poison", _nothing),
    ),
    _finish(
        "trap-as-return", "a call of a context that traps seems to have returned",
        replaced(CallContext, "try_call", traps_as_returns),
    ),
    _finish(
        "poisoned-without-reset", "finish() of a context in which a call failed does not reset",
        _end(resets_unless_poisoned),
    ),
    _planted(
        "fork-not-noticed", "context-finish", "a forked child may use the sandboxes of its parent",
        partial(patched, guests.CLEAN_ARITHMETIC, "kvm", replaced(Gate, "after_fork", _nothing)), kvm=True,
    ),
    _callback("answer-one-more", "the guest gets a number greater by one than the host function's answer",
              replaced(hlfuzz.sandbox.box, "link", mapped(one_more))),
    _callback(
        "callback-twice-in-a-context", "in a context each host function runs twice",
        replaced(HostCalls, "invoke", twice_if(lambda h: h.gate.has_context and h._lane is None)),
    ),
    _callback("nested-callback-late", "host functions that a nested call reaches run after the outer one",
              replaced(HostCalls, "invoke", nested_ones_last)),
    _callback("nested-callback-elsewhere", "host functions that a nested call reaches run in another thread",
              replaced(HostCalls, "invoke", nested_ones_elsewhere)),
    _callback("host-error-as-trap", "a call whose host function raised seems to have trapped",
              replaced(Sandbox, "try_call", ends_as_a_trap(HostError))),
    _callback("timeout-as-trap", "a call that ran past its deadline seems to have trapped",
              replaced(Sandbox, "try_call", ends_as_a_trap(Timeout))),
    _callback("callback-after-a-timeout", "a host function runs once more after a deadline",
              replaced(Sandbox, "run", _after(asks_after_a_timeout))),
    _callback("callback-at-finish", "a host function runs once more at finish()",
              replaced(Sandbox, "end_context", _after(asks_again))),
    _callback("callback-at-reset", "a host function runs once more at reset()",
              replaced(Sandbox, "reset", _after(asks_again))),
    _callback("callback-at-close-of-a-context", "a host function runs once more when close() ends a context",
              replaced(Sandbox, "close", asks_again_at_the_end_of_a_context)),
    _callback("dispatched-result-one-more", "the result of a dispatched call is greater by one",
              replaced(PendingCall, "result", result_one_more)),
    _callback(
        "callback-twice-in-a-dispatched-context", "in a dispatched context each host function runs twice",
        replaced(HostCalls, "invoke", twice_if(lambda h: h.gate.has_context and h._lane is not None)),
    ),
    _callback("cancelled-as-failed", "a call that has begun and is cancelled seems to have failed",
              replaced(Lane, "cancel", cancelled_as_failed)),
    _callback("cancelled-call-runs", "a queued call that was cancelled ends as such, and runs",
              replaced(Lane, "cancel", runs_what_was_cancelled)),
    _planted("no-callback-after-cancel", "callback-thread",
             "host functions of the call after a cancelled one do not run", lambda: _quiet()()),
    _callback("callback-at-close-of-a-call", "close() in a dispatched call runs a host function",
              replaced(Sandbox, "close", asks_when_closed_in_a_call)),
    _planted("callback-posted-by-close", "callback-thread",
             "a host function of a call that close() has ended runs with the next events",
             lambda: _posted()()),
    _callback("closed-as-cancelled", "a call that close() has ended seems to have been cancelled",
              replaced(PendingCall, "finish", closed_as_cancelled)),
    _callback("coroutines-in-another-loop", "coroutines of the host run in a loop and a thread of their own",
              replaced(Lane, "wait_for", awaited_elsewhere)),
    _callback("cancelled-task-returns", "an awaited call that was cancelled returns nothing",
              replaced(hlfuzz.sandbox.dispatch.calls, "outcome_of", goes_on_when_cancelled)),
)  # fmt: skip
