"""bounds (platform): limits of time, memory, output and host calls hold, and leave the sandbox usable."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar, Final

from hlfuzz.errors import CallFailed, HlfuzzError, ModuleError, StartError, UsageError
from hlfuzz.guest import Guest, Limits
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.guests.hostile import HOST_CALLS, HOSTILE, LIMITS, OUTPUT_BYTES, Hostile
from hlfuzz.invariants.guests.native_attacks import NATIVE
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, Ok, Outcome, Value
from hlfuzz.sandbox import Caller, HostFunction, Sandbox

DEADLINE_SECONDS: Final = 0.02
"""Of modules that never end, and of a start function."""

PATIENCE_SECONDS: Final = 0.3
"""Deadline of all others."""

LATE_SECONDS: Final = 0.1
"""A guest that uses so much more CPU time than its deadline allows was not stopped by it."""

LOOKS: Final = 3
"""On a busy machine a guest may be stopped late, but not so often in a row."""

ATTACKS: Final = {**HOSTILE, **NATIVE}
"""Everything that is tried; native guests need a micro-VM."""

_ATTEMPTS: Final = ("first call", "second call, after the reset")
_SMALLER_LIMIT: Final = "hlfuzz.smaller-limit"
_PAGE: Final = 65536


class Bounds(Invariant):
    """Runs small hostile guests on the engine under test, native ones too: endless loops, also in the start
    function, in the allocator and through the host; growth, recursion, floods of output, input, host calls
    and logs. Each must end as the limit says, in time, and the next call must find nothing of it. The guest
    itself is opened with a limit below its own memory, which must be refused.

    A case is one call named like the hostile module, or `hlfuzz.smaller-limit`.
    """

    id: ClassVar[str] = "bounds"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = (
        "limits of time, memory, table, stack, output and host calls hold and leave the sandbox usable"
    )
    observes: ClassVar[str] = (
        "How calls of bundled hostile modules end, how much CPU time they take, how often they reach the "
        "host, and what the next call sees."
    )
    blind: ClassVar[str] = (
        "Resources that no limit is for, such as bandwidth of memory or caches, and memory of the host "
        "process."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        names = ATTACKS if target.session().is_kvm else HOSTILE
        for name in (*names, _SMALLER_LIMIT):
            yield Case((Call(name),), context=False)

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        name = case.calls[0].function
        if name == _SMALLER_LIMIT:
            problem = _smaller_limit(target)
        elif name in ATTACKS:
            problem = _attack(target, name, "strict" if strict else "memory")
        else:
            return None
        if not problem:
            return None
        return self.violated(
            function=name,
            detail="",
            title=f"{name}: {problem}",
            evidence=(ATTACKS[name].wat,) if name in ATTACKS else (),
            case=case,
        )


@functools.lru_cache(maxsize=64)
def _guest(name: str, limits: Limits) -> Guest:
    attack = ATTACKS[name]
    load = Guest.from_elf if attack.native else Guest.from_wasm
    return load(attack.wasm, limits=limits, name=name)


class _Host:
    """The host functions that hostile modules import."""

    def __init__(self, guest: Guest) -> None:
        self.calls = 0
        known = {"env.tick": self._tick, "env.take": self._take, "env.nest": self._nest}
        self.functions = {
            i.key: HostFunction(known[i.key], caller=True) for i in guest.info.imports if i.key in known
        }

    def _tick(self, caller: Caller) -> None:
        self.calls += 1

    def _take(self, caller: Caller, address: int, length: int) -> None:
        caller.read(address, length)

    def _nest(self, caller: Caller) -> Value:
        """One more than the calls that could still be nested."""
        try:
            depth = caller.call("run")
        except UsageError:
            return 0
        return depth if isinstance(depth, int) else -1


def _attack(target: Target, name: str, reset: str) -> str:
    """ "" when the module was contained, else what happened."""
    hostile = ATTACKS[name]
    start_error = hostile.expected == "start-error"
    guest = _guest(name, replace(LIMITS, start_seconds=DEADLINE_SECONDS) if start_error else LIMITS)
    host = _Host(guest)
    late = ""
    for look in range(LOOKS):
        calls = _ATTEMPTS if look == 0 else _ATTEMPTS[:1]
        start = time.thread_time()
        try:
            box = _open(target, hostile, guest, host, reset)
        except StartError as error:
            if not start_error:
                raise
            wrong = "" if "did not end" in str(error) else f"it was not opened: {error}"
        else:
            with box:
                if start_error:
                    return "it was opened although its start function does not end"
                start = time.thread_time()
                wrong = _run(box, hostile, host, calls)
        seconds = time.thread_time() - start
        if wrong:
            return wrong
        if not hostile.never_ends or seconds < len(calls) * (DEADLINE_SECONDS + LATE_SECONDS):
            return ""
        late = f"a call took {seconds:.2f} s of CPU time with a deadline of {DEADLINE_SECONDS} s"
    return late


def _open(target: Target, hostile: Hostile, guest: Guest, host: _Host, reset: str) -> Sandbox:
    return Sandbox(
        guest,
        host.functions,
        engine=target.session().box.engine,
        reset="strict" if reset == "strict" or hostile.native else "memory",
        transport="exit",
        deadline=DEADLINE_SECONDS if hostile.never_ends else PATIENCE_SECONDS,
        call_limits=hostile.call_limits,
        wasi=hostile.wasi,
    )


def _run(box: Sandbox, hostile: Hostile, host: _Host, attempts: tuple[str, ...]) -> str:
    before = box.try_call("left")
    for attempt in attempts:
        host.calls = 0
        try:
            outcome = _outcome(box, hostile)
            pages = box.verify() if box.engine == "kvm" else 0  # before a call, which resets
            after = box.try_call("left")
        except HlfuzzError as error:
            return f"the {attempt} leaves the sandbox unusable: {error}"
        if not hostile.contained(outcome):
            return f"expected {hostile.expected}, but the {attempt} {outcome_text(outcome)}"
        most = hostile.call_limits.host_calls
        if most is not None and host.calls > most:
            return f"the {attempt} reached the host {host.calls} times with a limit of {HOST_CALLS}"
        if after != before:
            return f"after the {attempt} the next one {outcome_text(after)}, not {outcome_text(before)}"
        if pages:
            return f"{pages} pages of the VM's memory differ from the snapshot after the {attempt}"
    return ""


def _outcome(box: Sandbox, hostile: Hostile) -> Outcome:
    if hostile.way == "plain":
        return box.try_call(hostile.export)
    try:
        returned = box.call_bytes("run", bytes(OUTPUT_BYTES), result="packed")
    except CallFailed as error:
        return error.outcome
    return Ok((returned,) if isinstance(returned, bytes) else ())


def _smaller_limit(target: Target) -> str:
    needed = max((m.type.min_pages for m in target.guest.info.memories if not m.imported), default=0)
    if needed < 2:
        return ""  # the smallest limit is one page
    limits = Limits(memory_bytes=(needed - 1) * _PAGE)
    try:
        guest = Guest.from_wasm(target.guest.wasm, limits=limits, name=target.guest.name)
        host = target.recorder().providers
        with Sandbox(guest, host, engine=target.engine, wasi=target.wasi):
            return f"the guest, which needs {needed} pages of memory, was opened with {needed - 1}"
    except ModuleError:
        return ""
