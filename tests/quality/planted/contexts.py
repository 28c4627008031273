"""Faults of call contexts and of callbacks, planted in the sandbox and in the engines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from threading import get_ident
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

import guests

import hlfuzz.sandbox.box
import hlfuzz.sandbox.hostcalls
from hlfuzz.errors import UsageError
from hlfuzz.invariants import Subject, Target
from hlfuzz.model import HostError, Violation
from hlfuzz.sandbox import CallContext, Sandbox
from hlfuzz.sandbox.dispatch.lane import Lane, settling
from hlfuzz.sandbox.dispatch.threaded import ThreadedEngine
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from hlfuzz.sandbox.engines.kvm import KvmEngine
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.providers import Linked
from planted import Planted

COUNTS_BYTES = """(module (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param i32 i32) (result i32)
    (i32.store (i32.const 64) (i32.add (i32.load (i32.const 64)) (local.get 1)))
    (i32.load (i32.const 64))))"""
"""Sums the lengths of what it is given."""


@contextmanager
def planted(wat: str, engine: str, *patches: Callable[[], Any]) -> Iterator[Target]:
    """The target while these are in force."""
    active = [make() for make in patches]
    for one in active:
        one.start()
    try:
        with guests.target(wat, engine, seeds=[b"hello"]) as target:
            yield target
    finally:
        for one in reversed(active):
            one.stop()


def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[], Any]:
    """`owner.name` replaced by what `make` makes of it."""
    return lambda: patch.object(owner, name, make(getattr(owner, name)))


# Call contexts


def skips_reset(sound: Any) -> Any:
    def end_context(box: Sandbox) -> None:
        with patch.object(type(box._engine), "reset", lambda engine: None):
            sound(box)

    return end_context


def resets_after_each_call(sound: Any) -> Any:
    def run(box: Sandbox, function: str, args: Any, form: Any, *, reset: bool) -> Any:
        return sound(box, function, args, form, reset=True)

    return run


def finishes_again(sound: Any) -> Any:
    def finish(context: CallContext) -> None:
        context._gate.check_idle()
        context._end("finished")

    return finish


def allows_after_finish(sound: Any) -> Any:
    def refuse(context: CallContext) -> None:
        if not context._finished:
            sound(context)

    return refuse


def opens_a_second(sound: Any) -> Any:
    def context(box: Sandbox) -> CallContext:
        if box._gate.has_context:
            return CallContext(box, box._gate)
        return sound(box)

    return context


def allows_other_threads(sound: Any) -> Any:
    def refuse(gate: Gate) -> None:
        if gate.is_closed or gate.is_forked or get_ident() == gate.owner:
            sound(gate)

    return refuse


def forgets_poison(kind: type) -> Callable[[Any], Any]:
    def make(sound: Any) -> Any:
        def run(context: CallContext, *args: Any) -> Any:
            result = sound(context, *args)
            if isinstance(result, kind):
                context._poison = ""
            return result

        return run

    return make


def leaves_without_reset(sound: Any) -> Any:
    def exit_(context: CallContext, *args: Any) -> None:
        with patch.object(Sandbox, "end_context", lambda box: box._gate.close_context()):
            sound(context, *args)

    return exit_


def resets_when_refused(sound: Any) -> Any:
    def run(context: CallContext, *args: Any) -> Any:
        try:
            return sound(context, *args)
        except UsageError:
            context._box._engine.reset()
            raise

    return run


def finishes_after_close(sound: Any) -> Any:
    def finish(context: CallContext) -> None:
        if not context._gate.is_closed:
            sound(context)

    return finish


class Alike:
    """What is done to one in-process sandbox is done to all those of the same guest."""

    def __init__(self) -> None:
        self.alive: WeakSet[InProcessEngine] = WeakSet()

    def opened(self, sound: Any) -> Any:
        def open_(engine: InProcessEngine, *args: Any) -> None:
            sound(engine, *args)
            self.alive.add(engine)

        return open_

    def all(self, sound: Any) -> Any:
        def do(engine: InProcessEngine, *args: Any) -> Any:
            for other in tuple(self.alive):
                if other is not engine and other._guest is engine._guest and other._instance is not None:
                    sound(other, *args)
            return sound(engine, *args)

        return do


def resets_after_vectors(sound: Any) -> Any:
    def bytes_entry(engine: KvmEngine, *args: Any) -> Any:
        entry = sound(engine, *args)
        return lambda values, reset: entry(values, True)

    return bytes_entry


def keeps_vectors(sound: Any) -> Any:
    def run(box: Sandbox, function: str, args: Any, form: Any, *, reset: bool) -> Any:
        if not reset and any(isinstance(a, bytes) for a in args):
            box._keeps = True  # type: ignore[attr-defined]
        return sound(box, function, args, form, reset=reset)

    return run


def skips_reset_of_vectors(sound: Any) -> Any:
    skipping = skips_reset(sound)

    def end_context(box: Sandbox) -> None:
        (skipping if box.__dict__.pop("_keeps", False) else sound)(box)

    return end_context


def snapshot_of_the_start(sound: Any) -> Any:
    def snapshot(context: CallContext) -> Any:
        sound(context)
        with Sandbox(context._box.guest, {"env.tell": lambda value: value}, engine="kvm") as fresh:
            return fresh.snapshot()

    return snapshot


def snapshot_of_the_start_without_imports(sound: Any) -> Any:
    def snapshot(context: CallContext) -> Any:
        box = context._box
        if box.guest.info.imports:
            return sound(context)
        with Sandbox(box.guest, engine="kvm") as fresh:
            return fresh.snapshot()

    return snapshot


# Callbacks


def mapped(wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Callable[[Any], Any]:
    """Every host function wrapped."""

    def make(sound: Any) -> Any:
        def link(*args: Any) -> Linked:
            return sound(*args).map(wrap)

        return link

    return make


def in_another_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any) -> Any:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(function, *args).result()

    return call


def buffers_in_another_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    elsewhere = in_another_thread(function)
    return lambda *args: (elsewhere if len(args) == 3 else function)(*args)


def swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    held: list[tuple[Any, ...]] = []

    def call(*args: Any) -> Any:
        if not held:
            held.append(args)
            return args[-1]
        result = function(*args)
        function(*held.pop())
        return result

    return call


class Late:
    """Host functions that return nothing are run at the end of the context."""

    def __init__(self) -> None:
        self.held: list[Callable[[], Any]] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if len(args) == 3:
                self.held.append(partial(function, *args))
                return None
            return function(*args)

        return call

    def deliver(self, sound: Any) -> Any:
        def end_context(box: Sandbox) -> None:
            sound(box)
            for call in self.held:
                call()
            self.held.clear()

        return end_context


class AfterClose:
    """The last host call is made once more when the sandbox is closed."""

    def __init__(self) -> None:
        self.last: list[Callable[[], Any]] = []

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.last = [partial(function, *args)]
            return function(*args)

        return call

    def deliver(self, sound: Any) -> Any:
        def close(box: Sandbox) -> None:
            sound(box)
            for call in self.last:
                call()
            self.last = []

        return close


def in_the_workers_thread(sound: Any) -> Any:
    def call_host(engine: ThreadedEngine, index: int, args: Any, inner: Any) -> Any:
        return engine._host.invoke(index, args, inner)

    return call_host


def cancels_in_name_only(sound: Any) -> Any:
    def cancel(lane: Lane, turn: Any, error: BaseException | None = None) -> None:
        if turn not in lane._queue or lane._is_closing:
            sound(lane, turn, error)

    return cancel


def after_a_failure(sound: Any) -> Any:
    def failure(host: Any, index: int, error: Exception) -> Any:
        outcome = sound(host, index, error)
        if isinstance(outcome, HostError) and host._linked.functions:
            function = host._linked.functions[index]
            function.fn(*((None,) if function.caller else ()), 3)
        return outcome

    return failure


def twice_without_result(function: Callable[..., Any]) -> Callable[..., Any]:
    settled = settling(function)

    def call(*args: Any) -> Any:
        result = settled(*args)
        return settled(*args) if result is None else result

    return call


def _alike(wat: str, what: str) -> Any:
    alike = Alike()
    return planted(
        wat,
        "inprocess",
        replaced(InProcessEngine, "__init__", alike.opened),
        replaced(InProcessEngine, what, alike.all),
    )


def _late() -> Any:
    late = Late()
    return planted(
        guests.CLEAN_ECHO,
        "kvm",
        replaced(hlfuzz.sandbox.box, "link", mapped(late.wrap)),
        replaced(Sandbox, "end_context", late.deliver),
    )


def _after_close() -> Any:
    after = AfterClose()
    return planted(
        guests.CLEAN_ARITHMETIC,
        "kvm",
        replaced(hlfuzz.sandbox.box, "link", mapped(after.wrap)),
        replaced(Sandbox, "close", after.deliver),
    )


def _platform(
    name: str, invariant: str, what: str, engine: str, wat: str, *faults: Callable[[], Any]
) -> Planted:
    opened = partial(planted, wat, engine, *faults)
    return Planted(name, invariant, Subject.PLATFORM, what, opened, kvm=engine == "kvm")


_link = partial(replaced, hlfuzz.sandbox.box, "link")
_ADD = guests.CLEAN_ARITHMETIC

FAULTS = (
    _platform(
        "context-without-reset", "context-finish", "finish() ends the context and does not reset",
        "kvm", _ADD, replaced(Sandbox, "end_context", skips_reset),
    ),
    _platform(
        "reset-within-context", "context-persist", "each call of a context is followed by a reset",
        "kvm", _ADD, replaced(Sandbox, "run", resets_after_each_call),
    ),
    _platform(
        "finish-ends-the-next-context", "context-finish", "finish() of an old context resets the open one",
        "kvm", _ADD, replaced(CallContext, "finish", finishes_again),
    ),
    _platform(
        "context-used-after-finish", "context-finish", "a context takes calls after finish()",
        "kvm", _ADD, replaced(CallContext, "_refuse", allows_after_finish),
    ),
    _platform(
        "two-contexts-at-once", "context-finish", "a second context is opened beside the first",
        "kvm", _ADD, replaced(Sandbox, "context", opens_a_second),
    ),
    _platform(
        "context-in-another-thread", "context-finish", "another thread may use an open context",
        "inprocess", _ADD, replaced(Gate, "refuse", allows_other_threads),
    ),
    _platform(
        "poison-forgotten", "context-finish", "a context goes on after a call that ended in a host error",
        "kvm", _ADD, replaced(CallContext, "_run", forgets_poison(HostError)),
    ),
    _platform(
        "poison-of-a-vector-forgotten", "context-finish",
        "a context goes on after the guest's allocator gave an address outside its memory",
        "kvm", guests.BAD_ALLOCATOR, replaced(CallContext, "_run", forgets_poison(Violation)),
    ),
    _platform(
        "finish-after-close", "context-finish", "finish() of a context is accepted after close()",
        "kvm", _ADD, replaced(CallContext, "finish", finishes_after_close),
    ),
    _platform(
        "reset-by-a-refused-call", "context-persist", "a call that is refused resets the context",
        "kvm", _ADD, replaced(CallContext, "_run", resets_when_refused),
    ),
    _platform(
        "left-without-reset", "context-finish", "leaving a context's block without finish() does not reset",
        "kvm", _ADD, replaced(CallContext, "__exit__", leaves_without_reset),
    ),
    _platform(
        "vectors-outlive-a-context", "context-finish",
        "a context that was given a byte vector does not reset at its end",
        "kvm", COUNTS_BYTES,
        replaced(Sandbox, "run", keeps_vectors), replaced(Sandbox, "end_context", skips_reset_of_vectors),
    ),
    Planted(
        "reset-of-all-sandboxes", "context-persist", Subject.PLATFORM,
        "a reset resets the other sandboxes of the guest as well",
        partial(_alike, _ADD, "reset"), kvm=False,
    ),
    Planted(
        "vector-for-all-sandboxes", "context-persist", Subject.PLATFORM,
        "a byte vector is written to the other sandboxes of the guest as well",
        partial(_alike, COUNTS_BYTES, "memory_write"), kvm=False,
    ),
    _platform(
        "reset-after-a-vector", "context-persist",
        "in a context a call with a byte vector is followed by a reset",
        "kvm", COUNTS_BYTES, replaced(KvmEngine, "bytes_entry", resets_after_vectors),
    ),
    _platform(
        "snapshot-of-the-start", "context-persist", "a snapshot of a context holds the state before it",
        "kvm", _ADD, replaced(CallContext, "snapshot", snapshot_of_the_start),
    ),
    _platform(
        "snapshot-without-imports", "context-persist",
        "a snapshot of a context of a guest without imports holds the state before it",
        "kvm", guests.COUNTS, replaced(CallContext, "snapshot", snapshot_of_the_start_without_imports),
    ),
    _platform(
        "callback-in-another-thread", "callback-thread", "host functions run in a thread of their own",
        "kvm", _ADD, _link(mapped(in_another_thread)),
    ),
    _platform(
        "buffers-in-another-thread", "callback-thread",
        "host functions that take a buffer run in a thread of their own",
        "kvm", guests.CLEAN_ECHO, _link(mapped(buffers_in_another_thread)),
    ),
    _platform(
        "callback-in-the-workers-thread", "callback-thread",
        "a dispatched sandbox runs host functions in the thread of the guest",
        "inprocess", _ADD, replaced(ThreadedEngine, "_call_host", in_the_workers_thread),
    ),
    _platform(
        "callbacks-swapped", "callback-thread", "every second host call overtakes the one before it",
        "kvm", _ADD, _link(mapped(swapped)),
    ),
    _platform(
        "callback-after-an-error", "callback-thread", "another host call is made after one that has failed",
        "kvm", _ADD, replaced(hlfuzz.sandbox.hostcalls.HostCalls, "failure", after_a_failure),
    ),
    _platform(
        "cancelled-in-name-only", "callback-thread", "a queued call runs although it was cancelled",
        "kvm", _ADD, replaced(Lane, "cancel", cancels_in_name_only),
    ),
    _platform(
        "callback-twice-when-dispatched", "callback-thread",
        "a dispatched sandbox runs host functions without a result twice",
        "kvm", guests.CLEAN_ECHO,
        replaced(hlfuzz.sandbox.hostcalls, "settling", lambda sound: twice_without_result),
    ),
    Planted(
        "callback-after-finish", "callback-thread", Subject.PLATFORM,
        "host functions without a result run when the context has ended", _late,
    ),
    Planted(
        "callback-after-close", "callback-thread", Subject.PLATFORM,
        "a host function runs once more when the sandbox is closed", _after_close,
    ),
)  # fmt: skip
