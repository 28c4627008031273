"""Runs a guest in this process with the PyPI `wasmtime` package; a reset is a new instance."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

import wasmtime

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.model import (
    Exited,
    Export,
    Failure,
    FuncType,
    HostError,
    LimitExceeded,
    Stats,
    Timeout,
    ValType,
    Value,
    Violation,
)
from hlfuzz.sandbox.engines.base import EngineName, Entry, HostSide, Options, Returned
from hlfuzz.sandbox.engines.inprocess import shims
from hlfuzz.sandbox.engines.inprocess.crossing import Raw, lift, lower, lowered
from hlfuzz.sandbox.engines.inprocess.instance import Instance, Loaded, as_list
from hlfuzz.sandbox.engines.inprocess.interrupts import Interrupts, held_back
from hlfuzz.sandbox.engines.inprocess.modules import front_module, modules_of, new_engine
from hlfuzz.sandbox.engines.inprocess.traps import frames_of, trap_of
from hlfuzz.sandbox.engines.inprocess.watchdog import Deadline
from hlfuzz.sandbox.engines.starting import INITIALIZE, START, exports_initialize, start_error
from hlfuzz.sandbox.symbols import symbols_of, with_site
from hlfuzz.sandbox.values import canonical_args
from hlfuzz.vmm import BytesForm, Change, Core, Piece, Region, Room, Searched, Template

_VALTYPES: Final[dict[str, Callable[[], wasmtime.ValType]]] = {
    "i32": wasmtime.ValType.i32,
    "i64": wasmtime.ValType.i64,
    "f32": wasmtime.ValType.f32,
    "f64": wasmtime.ValType.f64,
}


class InProcessEngine:
    """The engine of one sandbox. A start function that calls host functions calls them again at each
    reset."""

    def __init__(self, guest: Guest, host: HostSide, options: Options) -> None:
        self._guest = guest
        self._host = host
        self._deadline_us = options.deadline_us
        self._most_host_calls = options.limits.host_calls
        self._host_calls_made = 0
        self._seconds = (options.deadline_us / 1e6, options.wall_deadline_us / 1e6)
        modules = modules_of(guest)
        engine = new_engine(guest)
        self._loaded = Loaded(
            guest,
            engine,
            wasmtime.Module.deserialize(engine, modules.guest),
            front_module(engine, guest, host.globals) if guest.info.imports else None,
            None if modules.back is None else wasmtime.Module.deserialize(engine, modules.back),
            _host_linker(engine, self),
        )
        self._moved = modules.moved
        self._starts = [] if modules.start is None else [(modules.start, START)]
        if exports_initialize(guest):
            self._starts.append((INITIALIZE, repr(INITIALIZE)))
        self._stop = engine.increment_epoch
        self._deadline = Deadline(self._stop)
        self._interrupts = Interrupts(self._stop) if guest.info.functions_imported else None
        self._depth = 0
        self._failure: HostError | Violation | Exited | None = None
        self._exceeded: LimitExceeded | None = None
        """The limit that has ended the outermost call, whatever a host function makes of it."""
        self._escaping: BaseException | None = None
        self._calls = self._host_calls = self._traps = self._timeouts = self._resets = 0
        self._instance: Instance | None = None
        self._clean = True
        self.troubled = False
        self._live()

    @property
    def name(self) -> EngineName:
        return "inprocess"

    def entry(self, export: Export) -> Entry:
        type_ = cast("FuncType", export.type)
        shim = shims.call(export) if shims.is_shimmed(export) else None

        def call(args: tuple[object, ...], reset: bool) -> Returned | Failure:
            raw = lower(canonical_args(args, type_, export.name), type_.params)
            instance = self._live()
            func = instance.function(export.name) if shim is None else instance.shimmed(shim)
            self._calls += 1
            self._clean = False
            outermost = self._depth == 0
            try:
                result = self._run(func, raw, self._seconds)
            except BaseException:
                if outermost:
                    self._depth = 0
                    self._host.unwound(0)
                    self.reset()
                raise
            if outermost and (reset or isinstance(result, Timeout | LimitExceeded)):
                self.reset()
            if isinstance(result, Failure):
                return result
            values = lift(result, type_.results)
            return values if len(values) > 1 else values[0] if values else None

        return call

    def bytes_entry(self, export: Export, form: BytesForm, room: Room) -> Entry | None:
        return None

    def reset(self) -> None:
        self._resets += 1
        self._drop()
        self._live()
        self._clean = True

    def memory_size(self, memory: Export) -> int:
        instance = self._live()
        return instance.memory(memory).data_len(instance.store)

    def memory_writable(self, memory: Export) -> tuple[range, ...]:
        size = self.memory_size(memory)
        return (range(size),) if size else ()

    def memory_read(self, memory: Export, address: int, length: int) -> bytes | None:
        instance = self._live()
        mem = instance.memory(memory)
        if address + length > mem.data_len(instance.store):
            return None
        # the package takes no address at the very end, not even for nothing
        return bytes(mem.read(instance.store, address, address + length)) if length else b""

    def memory_write(self, memory: Export, address: int, data: bytes) -> bool:
        instance = self._live()
        mem = instance.memory(memory)
        if address + len(data) > mem.data_len(instance.store):
            return False
        if data:
            self._clean = False
            mem.write(instance.store, data, address)
        return True

    def global_get(self, export: Export) -> Value:
        return self._live().global_get(export)

    def global_set(self, export: Export, value: Value) -> None:
        self._clean = False
        self._live().global_set(export, value)

    def is_clean(self) -> bool:
        return self._clean

    def ping(self) -> bool:
        return self._instance is not None

    def verify(self) -> int | None:
        return None

    def region_hash(self, region: Region) -> int | None:
        return None

    def find(self, needle: bytes, region: Searched) -> tuple[int, ...] | None:
        return None

    def differences(self, *, read_only: bool, limit: int) -> list[Piece] | None:
        return None

    def cpu_state(self) -> dict[str, bytes] | None:
        return None

    def meddle(self, change: Change | None) -> int | None:
        return None

    def snapshot(self) -> Template | None:
        return None

    def kept_core(self) -> Core | None:
        return None

    def take_core(self) -> Core | None:
        return None

    def stats(self) -> Stats:
        return Stats(
            engine="inprocess",
            calls=self._calls,
            host_calls=self._host_calls,
            traps=self._traps,
            timeouts=self._timeouts,
            resets=self._resets,
        )

    def stop(self) -> None:
        """End the guest's code soon, from any thread; what comes of it is not to be used, and a reset must
        follow."""
        self._stop()

    def close(self) -> None:
        self._drop()

    def host_call(self, index: int, type_: FuncType, raw: tuple[Raw, ...]) -> Raw | list[Raw]:
        """A host function, called by the front shim; the last result tells the shim to trap."""
        self._host_calls += 1
        self._host_calls_made += 1
        # the package takes no int for an f64
        results: list[Raw] = [0.0 if t is ValType.F64 else 0 for t in lowered(type_.results)]
        stop = 1
        most = self._most_host_calls
        if most is not None and self._host_calls_made > most:
            self._exceeded = LimitExceeded("host_calls", most, f"more than {most} host calls in one call")
            return [*results, stop] if results else stop
        try:
            args = () if any(t.is_reference for t in type_.params) else lift(raw, type_.params)
            self._leave_guest()
            values = self._host.invoke(index, args, self)
            self._enter_guest()
            # In a nested call, which the host function may have hidden.
            if not self._deadline.fired and self._exceeded is None:
                results = lower(values, type_.results)
                stop = 0
        except Exception as e:
            failure = self._host.failure(index, e)
            if isinstance(failure, LimitExceeded):
                self._exceeded = self._exceeded or failure
            else:
                self._failure = failure
        except BaseException as e:
            self._escaping = e
        finally:
            if self._interrupts is not None:
                self._interrupts.in_host = False
        return [*results, stop] if results else stop

    def _enter_guest(self) -> None:
        if self._interrupts is not None:
            self._interrupts.in_host = False
        if not self._deadline.fired:
            self._deadline.resume()

    def _leave_guest(self) -> None:
        self._deadline.pause()
        if self._interrupts is not None:
            self._interrupts.in_host = True

    def _run(self, func: wasmtime.Func, raw: list[Raw], seconds: tuple[float, float]) -> list[Raw] | Failure:
        """Call into the guest. Raises only what is no `Exception` from a host function, and Ctrl-C."""
        if self._depth:
            self._enter_guest()
            try:
                return self._call(func, raw)
            finally:
                self._leave_guest()
        if self._interrupts is not None:
            self._interrupts.hold()
        self._failure = self._escaping = self._exceeded = None
        self._host_calls_made = 0
        self._deadline.start(*seconds)
        try:
            outcome = self._call(func, raw)
        finally:
            self._deadline.pause()
            if self._interrupts is not None:
                self._interrupts.release()
        if self._deadline.fired and not isinstance(outcome, Timeout):
            self._live().arm()  # it ended just before the kick, which must not hit the next call
        return outcome

    def _call(self, func: wasmtime.Func, raw: list[Raw]) -> list[Raw] | Failure:
        self._depth += 1
        try:
            return as_list(func(self._live().store, *raw))
        except (wasmtime.Trap, wasmtime.WasmtimeError) as e:
            return self._failed(e)
        finally:
            self._depth -= 1

    def _failed(self, error: wasmtime.Trap | wasmtime.WasmtimeError) -> Failure:
        self.troubled = True
        if self._escaping is not None:
            raise self._escaping
        if self._deadline.fired:
            self._timeouts += self._depth == 1
            return Timeout(self._deadline_us)
        if self._exceeded is not None:
            return self._exceeded
        if self._failure is not None:
            failure, self._failure = self._failure, None
            return failure
        self._traps += 1
        trap = trap_of(error)
        frames, site = symbols_of(self._guest).frames(frames_of(error, self._moved))
        return replace(trap, message=with_site(trap.message, site), frames=frames)

    def _live(self) -> Instance:
        """The instance; a new one after a reset, with its start functions run."""
        if self._instance is None:
            with held_back():
                self._instance = Instance(self._loaded)
            try:
                self._run_starts(self._instance)
            except BaseException:
                self._drop()
                raise
        return self._instance

    def _run_starts(self, instance: Instance) -> None:
        seconds = self._guest.limits.start_seconds
        self._host.starting()
        for name, called in self._starts:
            outcome = self._run(instance.function(name), [], (seconds, 10 * seconds))
            if isinstance(outcome, Failure):
                raise start_error(self._guest, called, outcome, seconds)
        self._host.started()

    def _drop(self) -> None:
        with held_back():
            instance, self._instance = self._instance, None
            if instance is not None:
                instance.close()


def open_inprocess(guest: Guest, host: HostSide, options: Options) -> InProcessEngine:
    """Open the engine. Raises `ModuleError`, `StartError`, `EnvironmentProblem`."""
    if guest.limits.grow == "trap":
        raise UsageError(
            f"Limits(grow='trap') needs a micro-VM ({guest.name}): the wasmtime package can only let a grow "
            "fail; open the sandbox with engine='kvm'"
        )
    return InProcessEngine(guest, host, options)


def _host_linker(engine: wasmtime.Engine, owner: InProcessEngine) -> wasmtime.Linker:
    linker = wasmtime.Linker(engine)
    this = weakref.ref(
        owner
    )  # the package keeps callbacks alive as long as the linker; no cycle through them
    for index, wanted in enumerate(owner._guest.info.imports):  # pyright: ignore[reportPrivateUsage]
        if isinstance(wanted.type, FuncType):
            low = shims.host_signature(wanted.type)
            type_ = wasmtime.FuncType(
                [_VALTYPES[t]() for t in low.params], [_VALTYPES[t]() for t in low.results]
            )
            linker.define_func(shims.HOST, str(index), type_, _callback(this, index, wanted.type))
    return linker


def _callback(
    this: weakref.ref[InProcessEngine], index: int, type_: FuncType
) -> Callable[..., Raw | list[Raw]]:
    def callback(*raw: Raw) -> Raw | list[Raw]:
        engine = this()
        assert engine is not None  # it is in a call
        return engine.host_call(index, type_, raw)

    return callback
