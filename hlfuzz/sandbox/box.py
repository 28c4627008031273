"""`Sandbox`: one guest that can be called, and is brought back to its snapshot after each call."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from threading import get_ident
from types import TracebackType
from typing import Final, Literal, TypeVar, cast

from hlfuzz.errors import HlfuzzError, StartError, UsageError
from hlfuzz.guest import CallLimits, Guest
from hlfuzz.model import (
    Call,
    CallRecord,
    Difference,
    Failure,
    HostCallRecord,
    LimitExceeded,
    Outcome,
    Stats,
    Value,
)
from hlfuzz.sandbox.calls import Calls, as_outcome
from hlfuzz.sandbox.context import CallContext
from hlfuzz.sandbox.dispatch.calls import Dispatch, DispatchedCalls, open_lane
from hlfuzz.sandbox.dispatch.lane import Lane
from hlfuzz.sandbox.engines.base import EngineName, Options, Returned
from hlfuzz.sandbox.engines.choose import open_engine
from hlfuzz.sandbox.evidence import Evidence
from hlfuzz.sandbox.failures import failed, raise_failure
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.hostcalls import HostCalls
from hlfuzz.sandbox.memory import Globals, GuestMemory
from hlfuzz.sandbox.places import explained
from hlfuzz.sandbox.providers import Provider, link
from hlfuzz.sandbox.snapshots import Snapshot
from hlfuzz.sandbox.vectors import BytesForm, ResultForm
from hlfuzz.sandbox.wasi import Wasi, WasiActivity
from hlfuzz.sandbox.wasi.process import Process
from hlfuzz.sandbox.wasi.provide import provide
from hlfuzz.vmm import Change, Region, Searched

MAX_DIFFERENCES: Final = 65536
"""Ranges that `Sandbox.differences` lists at most (crates/capi/src/differ.rs)."""
Trace = Callable[[CallRecord], object]
_T = TypeVar("_T")


class Sandbox(DispatchedCalls):
    """A guest with its host functions, in a micro-VM or in this process; used by the thread that opens it.

    Arguments:
        guest: the module, or the native guest.
        host: providers of its imports by "module.name": callables, `HostFunction`, `Memory`, `Table`,
            `Global`.
        engine: "kvm" (micro-VM), "inprocess" (PyPI `wasmtime`), or "auto": kvm where it is usable.
        reset: "strict" (memory and all registers) or "memory" (of Wasm guests only); `inprocess` always makes
            a new instance.
        transport: kvm only: "spin" (two CPUs, fast), "exit" (one CPU), or "auto".
        cpu: kvm with spin only: the CPU of the vCPU thread; None chooses one.
        deadline: CPU seconds of the guest in one call; host functions do not count.
        wall_deadline: wall-clock seconds of the guest in one call; None: 10, or ten times `deadline` if more.
        call_limits: what one call may use; None: the defaults of `CallLimits`.
        verify: kvm only: compare all memory with the snapshot on every N-th reset; 0 never.
        allocator: the guest's allocator export, or a scratch address, for byte vectors; None: by convention.
        wasi: what a guest built for WASI preview 1 is given; None: nothing, and no WASI import is provided.
        trace: called with a `CallRecord` after each call.
        snapshot: kvm only: the state that it begins with and is reset to; None: the one after the guest's
            start function, which otherwise does not run.
        dispatch: "asyncio", or a `Dispatcher` for another loop: the guest runs in a thread of its own, calls
            are awaited (`acall`), and host functions, which may be coroutines, run in this thread.
        evidence: kvm only: keep the guest's state when a call traps or runs past its deadline, for
            `evidence()`.

    Raises `LinkError`, `ModuleError`, `StartError`, `SnapshotError`, `EnvironmentProblem`; `UsageError` for
    a bad argument.
    """

    _context: CallContext | None = None
    _process: Process | None = None
    _lane: Lane | None = None

    def __init__(
        self,
        guest: Guest,
        host: Mapping[str, Provider] | None = None,
        *,
        engine: Literal["auto"] | EngineName = "auto",
        reset: Literal["strict", "memory"] = "strict",
        transport: Literal["auto", "spin", "exit"] = "auto",
        cpu: int | None = None,
        deadline: float = 1.0,
        wall_deadline: float | None = None,
        call_limits: CallLimits | None = None,
        verify: int = 0,
        allocator: str | int | None = None,
        wasi: Wasi | None = None,
        trace: Trace | None = None,
        snapshot: Snapshot | None = None,
        dispatch: Dispatch = None,
        evidence: bool = False,
    ) -> None:
        _check_choice("reset", reset, ("strict", "memory"))
        _check_choice("transport", transport, ("auto", "spin", "exit"))
        if guest.kind == "elf" and reset != "strict":
            raise UsageError(
                f"a native guest can keep state in registers ({guest.name}): it needs reset='strict'"
            )
        if verify < 0:
            raise UsageError(
                f"negative number of resets (Sandbox verify={verify}): give 0 for never, 1 for each"
            )
        cpu_us = _micros("deadline", deadline)
        # A cap that nobody chose must not be shorter than the deadline that somebody did.
        wall_us = (
            max(10_000_000, 10 * cpu_us) if wall_deadline is None else _micros("wall_deadline", wall_deadline)
        )
        limits = call_limits or CallLimits()
        self._guest = guest
        self._gate = gate = Gate()
        providers = dict(host or {})
        self._process = None
        if wasi is not None:
            self._process, functions = provide(guest, wasi, providers)
            providers.update(functions)
        linked = link(guest, providers)
        saved = snapshot and snapshot.host_state_for(self._process and self._process.key)
        self._lane = lane = open_lane(dispatch, gate)
        options = Options(
            reset,
            transport,
            cpu,
            cpu_us,
            wall_us,
            verify,
            limits,
            None if snapshot is None else partial(snapshot.template_for, guest),
            lane,
            evidence,
        )
        self._host = HostCalls(guest, linked, gate, self._process, lane, limits)
        try:
            self._engine = open_engine(engine, guest, self._host, options)
        except BaseException as e:
            if lane is not None:
                lane.close()
            if self._process is not None and isinstance(e, StartError):
                e.add_note(self._process.last_words())
            raise
        if snapshot is not None:
            self._host.started(saved)
        self._calls = self._host.calls = Calls(guest, self._engine, allocator, limits)
        self._bound = self._calls.bound
        self._with_bytes = self._calls.with_bytes
        self._trace: Trace | None = None
        self.trace = trace

    @property
    def guest(self) -> Guest:
        """The guest in it."""
        return self._guest

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._gate.is_closed

    @property
    def engine(self) -> EngineName:
        """The engine that runs it."""
        return self._engine.name

    @property
    def trace(self) -> Trace | None:
        """Called with a `CallRecord` after each call of the sandbox or a context; may be set at any time."""
        return self._trace

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._trace = trace
        # The fast path knows nothing of traces and WASI: it finds no bound export and takes the slow one.
        plain = trace is None and self._process is None
        self._bound = self._calls.bound if plain else {}
        self._with_bytes = self._calls.with_bytes if plain else {}

    def call(self, function: str, /, *args: Value | bytes) -> Returned:
        """Call an export and reset. None, its value, or a tuple of its values.

        i32 and i64 may be signed or unsigned; bytes in the place of two integer parameters are written to
        memory that the guest allocates, and passed as pointer and length. Raises `CallFailed` (`GuestTrap`,
        `GuestTimeout`, `AbiViolation`, `HostFunctionError`, `GuestLimitExceeded`) and `UsageError`.
        """
        if get_ident() != self._gate.box:
            self._gate.refuse()
        bound = self._bound.get(function)
        if bound is not None and bound[1] == len(args):
            result = bound[0](args, True)
        else:
            result = self.run(function, args, "none", reset=True)
        if isinstance(result, Failure):
            return raise_failure(function, result)
        return result

    def try_call(self, function: str, /, *args: Value | bytes) -> Outcome:
        """As `call`, with the outcome as data: nothing that a guest does is raised. Raises `UsageError`."""
        if get_ident() != self._gate.box:
            self._gate.refuse()
        return as_outcome(self.run(function, args, "none", reset=True))

    def call_bytes(
        self, function: str, data: bytes, /, *more: Value | bytes, result: ResultForm = "none"
    ) -> Returned:
        """Call `function(pointer, length, *more)` with `data` in guest memory, and reset.

        `result` says how bytes come back: "none" (the results as they are), "pair" (results pointer and
        length), "packed" (one i64, pointer << 32 | length), "inplace" (the result is a length, the bytes
        replaced `data`). Raises as `call`; results outside memory are an `AbiViolation`.
        """
        if get_ident() != self._gate.box:
            self._gate.refuse()
        at_once = self._with_bytes.get((function, result))
        if at_once is not None and not more and data.__class__ is bytes:
            returned = at_once((data,), True)
        else:
            returned = self.run(function, (data, *more), result, reset=True)
        if isinstance(returned, Failure):
            raise failed(function, returned)
        return returned

    def bytes_caller(self, function: str, result: BytesForm) -> Callable[[bytes], bytes]:
        """`call_bytes` with function and result form chosen once: a function from bytes to bytes, for many
        calls. It raises as `call_bytes`."""
        gate = self._gate
        key: tuple[str, ResultForm] = (function, result)

        def call(data: bytes) -> bytes:
            at_once = self._with_bytes.get(key)
            if at_once is None:
                returned = self.call_bytes(function, data, result=result)
            else:
                if get_ident() != gate.box:
                    gate.refuse()
                returned = at_once((data,), True)
            if isinstance(returned, bytes):
                return returned
            assert isinstance(returned, Failure)
            raise failed(function, returned)

        return call

    def context(self) -> CallContext:
        """Open a call context: a span of calls that share state. Raises `ContextBusy` when one is open."""
        if get_ident() != self._gate.box:
            self._gate.refuse()
        self._context = CallContext(self, self._gate)
        if self._process is not None:
            self._process.begin()
        return self._context

    def snapshot(self) -> Snapshot:
        """The state right now, for other sandboxes to begin with; in an open context ask the context. The
        sandbox goes on undisturbed, and its own resets lead where they led before.

        Raises `ContextBusy` while a call or context is open, `UsageError` on the engine `inprocess`,
        `EnvironmentProblem`.
        """
        self._gate.check_quiet("snapshot")
        if get_ident() != self._gate.box:
            self._gate.refuse()
        return self.freeze()

    def memory(self, name: str | None = None) -> GuestMemory:
        """A view of the exported memory `name`, or of the default one ("memory", else the first exported)."""
        self._gate.check_owner()
        return GuestMemory(self._guest, self._engine, name, self._gate.check_owner)

    @property
    def globals(self) -> Globals:
        """The exported globals by name."""
        self._gate.check_owner()
        return Globals(self._guest, self._engine, self._gate.check_owner)

    @property
    def wasi(self) -> WasiActivity:
        """What the last call outside a context, or the open or last context, did through WASI. Raises
        `UsageError` for a sandbox opened without `wasi=`."""
        self._gate.check_owner()
        if self._process is None:
            raise UsageError(
                f"no WASI ({self._guest.name}): open the sandbox with "
                'wasi=hlfuzz.Wasi(allow="all"), or one that names the groups of functions to allow'
            )
        return self._process.activity()

    def reset(self) -> None:
        """Bring all state back to the snapshot; undoes writes to `memory()` and `globals`."""
        if get_ident() != self._gate.box:
            self._gate.refuse()
        self._engine.reset()

    def verify(self) -> int:
        """Pages of guest memory that differ from the snapshot right now: 0 after a reset that did its work.

        Reading a global or asking for a memory's size makes the guest run, and so may write a page. Raises
        `UsageError` on the engine `inprocess`, which has no guest memory of its own to compare.
        """
        self._gate.check_owner()
        return self._only_on_kvm(self._engine.verify(), "verify()")

    def differences(self, *, read_only: bool = False, limit: int = 64) -> tuple[Difference, ...]:
        """What is not as in the snapshot right now, byte for byte: guest memory and, with reset="strict", the
        mailbox. The first `limit` (1 to 65536) ranges, by address; empty after a reset that did its work.

        `read_only`: only where the guest may not write. Reading a global or asking for a memory's size makes
        the guest run, and so may make a difference. Raises as `verify`.
        """
        self._gate.check_owner()
        if not 1 <= limit <= MAX_DIFFERENCES:
            raise UsageError(f"limit out of range (differences, {limit}): give 1 to {MAX_DIFFERENCES}")
        pieces = self._only_on_kvm(
            self._engine.differences(read_only=read_only, limit=limit), "differences()"
        )
        return tuple(explained(self._guest, piece) for piece in pieces)

    def cpu_state(self) -> Mapping[str, bytes]:
        """Every register of the guest's CPU that the host can read, by name, little endian: general ones,
        segments (selector, base, limit, attributes), control, x87, SSE, AVX, debug and model-specific ones,
        and what is pending. Two sandboxes of one guest with reset="strict" and transport="exit" have the same
        between calls. Raises as `verify`."""
        self._gate.check_owner()
        return self._only_on_kvm(self._engine.cpu_state(), "cpu_state()")

    def region_hash(self, region: Region) -> int:
        """Hash of a part of guest memory: "tables" (page tables, descriptors, stubs), "text" (code of
        runtime and guest) or "all"; or of the "snapshot", which it has in common with other sandboxes. Equal
        content has equal hashes within a process. Raises as `verify`."""
        self._gate.check_owner()
        return self._only_on_kvm(self._engine.region_hash(region), "region_hash()")

    def find_bytes(self, needle: bytes, region: Searched = "all") -> int | None:
        """Guest address at which `needle` first lies in guest RAM ("all"), or in the mailbox that host and
        guest exchange calls through; None: nowhere. What no call may find there, such as a secret of an
        earlier tenant, can so be looked for byte by byte. Raises as `verify`, and `UsageError` for a needle
        of zeros only, which untouched memory is full of."""
        self._gate.check_owner()
        if not needle.strip(b"\0"):
            raise UsageError("nothing to look for (find_bytes): give bytes that are not all zero")
        found = self._only_on_kvm(self._engine.find(needle, region), "find_bytes()")
        return found[0] if found else None

    def meddle(self, change: Change | None) -> int:
        """For tests of tests: have memory that host and guest share changed while the host reads it, until
        the next call of this; None only ends the change before. Returns how often the host has read shared
        memory since that began, or a second thread has written it. Raises as `verify`, and `UsageError` for a
        change that is not inside."""
        self._gate.check_owner()
        return self._only_on_kvm(self._engine.meddle(change), "meddle()")

    def evidence(self) -> Evidence | None:
        """The guest's state when a call last trapped or ran past its deadline, before it was reset; given
        once. None: no call did, or the sandbox was opened without `evidence=True`."""
        self._gate.check_owner()
        core = self._engine.kept_core()
        return None if core is None else Evidence(self._guest, core)

    def capture(self) -> Evidence:
        """The guest's state right now, between calls, in a context, or in a host function. Raises
        `UsageError` while a call runs, and on the engine `inprocess`."""
        self._gate.check_owner()
        return Evidence(self._guest, self._only_on_kvm(self._engine.take_core(), "capture()"))

    def _only_on_kvm(self, value: _T | None, what: str) -> _T:
        if value is None:
            raise UsageError(
                f"{what} needs a micro-VM (engine {self.engine}): open the sandbox with engine='kvm'"
            )
        return value

    def stats(self) -> Stats:
        """Counters since it was opened."""
        self._gate.check_owner()
        return self._engine.stats()

    def close(self) -> None:
        """Free everything; again is fine, an open context ends, and so do dispatched calls. Raises
        `WrongThread`, and `ContextBusy` in a host function."""
        if self._gate.is_closed:
            return
        if not self._gate.is_forked:
            if self._lane is None or not self._lane.is_busy:
                self._gate.check_idle()
            self._gate.check_thread()
            if self._lane is not None:
                self._lane.close()
        self._gate.close()
        self._engine.close()

    def __enter__(self) -> Sandbox:
        self._gate.check_owner()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Sandbox {self._guest.name} {self._engine.name}{' closed' if self._gate.is_closed else ''}>"

    # For Pool, which sees to it that one thread at a time does this.

    def hand_to(self, box: Sandbox, gate: Gate) -> None:
        """Make `box` this sandbox for the holder of `gate`: it and what is made of it work while the gate is
        open."""
        box._gate = gate
        box._guest = self._guest
        box._host = self._host
        box._engine = self._engine
        box._calls = self._calls
        box._bound = self._bound
        box._with_bytes = self._with_bytes
        box._trace = self._trace
        if self._process is not None:
            box._process = self._process
            self._process.begin()  # what it noted is the last holder's
        self._host.gate = gate
        if self._lane is not None:
            box._lane = self._lane
            self._lane.adopt(gate)

    def recover(self) -> bool:
        """Bring it back to its snapshot; False when it cannot serve another call."""
        engine = self._engine
        try:
            engine.reset()
            if engine.troubled:
                if not engine.ping():
                    return False
                engine.reset()
        except HlfuzzError:
            return False
        engine.troubled = False
        return True

    def discard(self) -> None:
        """Free everything, whoever had it."""
        if self._lane is not None:
            self._lane.close()
        self._gate.close()
        self._engine.close()

    # For CallContext; the caller has passed the gate.

    def run(
        self, function: str, args: tuple[object, ...], form: ResultForm, *, reset: bool
    ) -> Returned | Failure:
        """One call, traced when a trace is set."""
        if reset and self._process is not None:
            self._process.begin()
        if self._trace is None:
            return self._calls.run(function, args, form, reset)
        records: list[HostCallRecord] = []
        self._host.records = records
        start = time.perf_counter()
        try:
            result = self._calls.run(function, args, form, reset)
        finally:
            seconds = time.perf_counter() - start
            self._host.records = None
        pages = self._engine.stats().last_pages if reset and self._engine.name == "kvm" else None
        self._trace(
            CallRecord(
                Call(function, cast("tuple[Value, ...]", args)),
                as_outcome(result),
                tuple(records),
                seconds,
                pages,
            )
        )
        return result

    def freeze(self) -> Snapshot:
        """The state right now."""
        template = self._only_on_kvm(self._engine.snapshot(), "snapshot()")
        process = self._process
        return Snapshot(self._guest, template, process and (process.key, process.save()))

    def place(self, vectors: tuple[bytes, ...]) -> list[int] | Failure:
        """Byte vectors in guest memory, for the next call."""
        return self._calls.place(vectors)

    def claim_output(self, length: int) -> LimitExceeded | None:
        """The outcome of a call that gives back so many bytes, if that is too many."""
        return self._calls.claim_output(length)

    def end_context(self) -> None:
        """The open context ended: reset, and be callable again."""
        self._context = None
        self._engine.reset()
        self._gate.close_context()


def _micros(name: str, seconds: float) -> int:
    if not (isfinite(seconds) and 1e-6 <= seconds <= 86_400):
        raise UsageError(
            f"time out of range (Sandbox {name}={seconds}): choose from 0.000001 to 86400 seconds"
        )
    return round(seconds * 1e6)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"unknown choice (Sandbox {name}={value!r}): choose one of {', '.join(choices)}")
