"""Limits that are not enforced in one way, which one attack of `bounds` alone can find."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import patch

import guests
import wasmtime

from hlfuzz.guest import Guest
from hlfuzz.invariants import Subject
from hlfuzz.invariants.guests.hostile import HOSTILE
from hlfuzz.model import Timeout, Trap, Violation
from hlfuzz.sandbox import hostcalls
from hlfuzz.sandbox.engines.inprocess import engine as inprocess
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from hlfuzz.sandbox.engines.kvm import KvmEngine
from hlfuzz.sandbox.vectors import Vectors
from planted import Planted
from planted.contexts import planted as patched
from planted.contexts import replaced


def no_table_limit(sound: Any) -> Any:
    return lambda store, memory_size, table_elements: sound(store, memory_size=memory_size)


def overflows_as_unreachable(sound: Any) -> Any:
    def trap_of(error: Any) -> Trap:
        trap = sound(error)
        return Trap("unreachable") if trap.code == "stack-overflow" else trap

    return trap_of


def returns_out_of_bounds(sound: Any) -> Any:
    def failed(engine: InProcessEngine, error: Any) -> Any:
        outcome = sound(engine, error)
        return [] if isinstance(outcome, Trap) and outcome.code == "memory-out-of-bounds" else outcome

    return failed


def writes_what_fits(sound: Any) -> Any:
    def write(engine: InProcessEngine, memory: Any, address: int, data: bytes) -> bool:
        return sound(engine, memory, address, data[: max(engine.memory_size(memory) - address, 0)])

    return write


def late_allocator_lies(sound: Any) -> Any:
    def put(vectors: Vectors, *args: Any) -> Any:
        address = sound(vectors, *args)
        return Violation("the allocator gave nothing") if isinstance(address, Timeout) else address

    return put


def one_call_more(sound: Any) -> Any:
    """The host function runs, and then it is found that this was one call too many."""

    def host_call(engine: InProcessEngine, index: int, *args: Any) -> Any:
        if engine._most_host_calls is not None and engine._host_calls_made == engine._most_host_calls:
            engine._host.invoke(index, (), engine)
        return sound(engine, index, *args)

    return host_call


def holds_once(sound: Any) -> Any:
    def host_call(engine: InProcessEngine, *args: Any) -> Any:
        if engine._exceeded is None and engine.stats().host_calls > 150:
            engine._most_host_calls = None
        return sound(engine, *args)

    return host_call


def leaves_a_byte(sound: Any) -> Any:
    def trapped(engine: KvmEngine) -> Any:
        outcome = sound(engine)
        if (memory := engine._guest.default_memory()) is not None:
            engine.memory_write(memory, 9000, b"x")
        return outcome

    return trapped


def opens_what_does_not_fit(sound: Any) -> Any:
    def limit(guest: Guest) -> int:
        needed = max((m.type.min_pages for m in guest.info.memories), default=0)
        return max(sound.fget(guest), needed << 16)

    return property(limit)


def of_native_guests(code: str, instead: Trap | None) -> Callable[[Any], Any]:
    """What a trap of this code becomes in a native guest."""

    def make(sound: Any) -> Any:
        def trapped(engine: KvmEngine) -> Any:
            outcome = sound(engine)
            is_it = isinstance(outcome, Trap) and outcome.code == code
            return instead if is_it and engine._guest.kind == "elf" else outcome

        return trapped

    return make


def _planted(name: str, what: str, *faults: Callable[[], Any], engine: str = "inprocess") -> Planted:
    opened = partial(patched, guests.CLEAN_ECHO, engine, *faults)
    return Planted(name, "bounds", Subject.PLATFORM, what, opened, kvm=engine == "kvm")


_host_call = partial(replaced, InProcessEngine, "host_call")

FAULTS = (
    _planted("no-table-limit", "a table may grow without a limit",
             replaced(wasmtime.Store, "set_limits", no_table_limit)),
    _planted("overflow-as-unreachable", "the overflow of the stack arrives as another trap",
             replaced(inprocess, "trap_of", overflows_as_unreachable)),
    _planted("one-nested-call-more", "one call more may be nested than allowed",
             lambda: patch.object(hostcalls, "MAX_DEPTH", hostcalls.MAX_DEPTH + 1)),
    _planted("out-of-bounds-returns", "a store out of bounds ends the call as if it had returned",
             replaced(InProcessEngine, "_failed", returns_out_of_bounds)),
    _planted("vector-cut-short", "of a byte vector is written what fits into memory",
             replaced(InProcessEngine, "memory_write", writes_what_fits)),
    _planted("late-allocator-as-violation", "an allocator that does not end is told as one that lies",
             replaced(Vectors, "put", late_allocator_lies)),
    _planted("no-log-limit", "what a guest writes to its standard output is all kept",
             lambda: patch.object(HOSTILE["log-flood"].wasi, "stdout_limit", 1 << 30)),
    _planted("start-function-skipped", "start functions do not run",
             replaced(InProcessEngine, "_run_starts", lambda sound: lambda engine, instance: None)),
    _planted("one-host-call-more", "the host call over the limit reaches its host function",
             _host_call(one_call_more)),
    _planted("limit-holds-once", "the limit of host calls holds in the first call only",
             _host_call(holds_once)),
    _planted("a-byte-after-a-trap", "a byte is written into memory after the reset that follows a trap",
             replaced(KvmEngine, "_trapped", leaves_a_byte), engine="kvm"),
    _planted("limit-below-need", "a guest is opened with a limit that is smaller than its memory",
             replaced(Guest, "memory_limit", opens_what_does_not_fit)),
    _planted("native-fault-returns", "a native guest that touches what it may not seems to have returned",
             replaced(KvmEngine, "_trapped", of_native_guests("page-fault", None)), engine="kvm"),
    _planted("native-overflow-as-fault", "the overflow of a native guest's stack is told as another fault",
             replaced(KvmEngine, "_trapped", of_native_guests("stack-overflow", Trap("page-fault"))),
             engine="kvm"),
    _planted("native-halt-returns", "a privileged instruction of a native guest ends its call in order",
             replaced(KvmEngine, "_trapped", of_native_guests("general-protection", None)), engine="kvm"),
)  # fmt: skip
