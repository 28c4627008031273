"""Runs a guest in a KVM micro-VM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.guest import CallLimits, Guest
from hlfuzz.model import (
    Exited,
    Export,
    Failure,
    FuncType,
    GlobalType,
    HostError,
    LimitExceeded,
    Stats,
    Timeout,
    Value,
    Violation,
)
from hlfuzz.sandbox.engines.base import EngineName, Entry, HostSide, Options, Returned
from hlfuzz.sandbox.engines.booting import booted, imported_globals
from hlfuzz.sandbox.symbols import located
from hlfuzz.sandbox.values import canonical_args
from hlfuzz.vmm import (
    DEFAULT_MEMORY,
    BytesForm,
    Change,
    Core,
    DispatchedMachine,
    Machine,
    Piece,
    Region,
    Room,
    Searched,
    Slots,
    Template,
    differing_bytes,
    global_values,
    keep_cores,
    kept_core,
    meddle,
    status,
    take,
    take_core,
    vcpu_registers,
)

_POINTER_AND_LENGTH: Final = 2


class KvmEngine:
    """The engine of one sandbox, over one `Machine`."""

    def __init__(
        self,
        guest: Guest,
        host: HostSide,
        machine: Machine,
        deadline_us: int,
        limits: CallLimits | None = None,
    ) -> None:
        """`limits` are those that the machine enforces; None while the guest starts."""
        self._guest = guest
        self._host = host
        self._state = host.state
        self._machine = machine
        self._deadline_us = deadline_us
        self._limits = limits
        self._imports = [
            (t, Slots(t.results)) if isinstance(t := i.type, FuncType) else None for i in guest.info.imports
        ]
        default = guest.default_memory()
        self._default_memory = -1 if default is None else default.index
        self._depth = 0
        self._failure: HostError | Violation | Exited | LimitExceeded | None = None
        self._ended: Failure | None = None
        """Outcome of a nested call that ended every open call with it."""
        self.asked_host = False
        self.troubled = False
        self.is_clean = machine.is_clean

    @property
    def name(self) -> EngineName:
        return "kvm"

    def entry(self, export: Export) -> Entry:
        machine = self._machine
        type_ = cast("FuncType", export.type)
        slots = Slots(type_.params)
        fast = machine.fast_call(export, slots)
        results = machine.results(type_)

        def call(args: tuple[object, ...], reset: bool) -> Returned | Failure:
            # A try block costs nothing until it is left by an exception; Ctrl-C may come at any instruction.
            depth = self._depth
            try:
                if fast is not None:
                    try:
                        code = fast(args, reset)
                    except (TypeError, OverflowError, ValueError):
                        code = checked(args, reset)
                else:
                    code = checked(args, reset)
                if code == status.DONE:
                    return results()
                return self._go_on(code, results)
            except HlfuzzError:  # nothing was done, or nothing more can be
                raise
            except BaseException:
                self._abandon(depth)
                raise

        def checked(args: tuple[object, ...], reset: bool) -> int:
            slots.put(canonical_args(args, type_, export.name))
            return machine.call(export, slots, reset)

        return self._with_state(call)

    def bytes_entry(self, export: Export, form: BytesForm, room: Room) -> Entry | None:
        machine = self._machine
        type_ = cast("FuncType", export.type)
        slots = Slots(type_.params)
        alone = len(type_.params) == _POINTER_AND_LENGTH
        run, at_once = machine.bytes_call(export, slots, form, room)
        if form == "none":
            at_once = later = machine.results(type_)
        else:
            later = machine.result_bytes

        def call(args: tuple[object, ...], reset: bool) -> Returned | Failure:
            depth = self._depth
            try:
                if not alone:
                    slots.put(canonical_args((0, 0, *args[1:]), type_, export.name))
                data: Any = args[0]
                code = run(data, len(data), reset)
                if code == status.DONE:
                    return at_once()
                outcome = self._go_on(code, later)
                return _named(outcome, room) if isinstance(outcome, Violation) else outcome
            except HlfuzzError:
                raise
            except BaseException:
                self._abandon(depth)
                raise

        return self._with_state(call)

    def run(self, start: Callable[[], int]) -> Failure | None:
        """Run what `start` starts to its end, with the host functions."""
        try:
            outcome = self._go_on(start(), _no_results)
        except BaseException:
            self._machine.close()
            raise
        return outcome if isinstance(outcome, Failure) else None

    def reset(self) -> None:
        if self._machine.reset() != status.DONE:
            raise self._dead()
        if self._state is not None:
            self._state.reset()

    def memory_size(self, memory: Export) -> int:
        return self._machine.memory_size(self._position(memory))

    def memory_writable(self, memory: Export) -> tuple[range, ...]:
        return self._machine.memory_writable(self._position(memory))

    def memory_read(self, memory: Export, address: int, length: int) -> bytes | None:
        return self._machine.memory_read(self._position(memory), address, length)

    def memory_write(self, memory: Export, address: int, data: bytes) -> bool:
        return self._machine.memory_write(self._position(memory), address, data)

    def global_get(self, export: Export) -> Value:
        return self._machine.global_get(export, cast("GlobalType", export.type))

    def global_set(self, export: Export, value: Value) -> None:
        self._machine.global_set(export, cast("GlobalType", export.type), value)

    def ping(self) -> bool:
        return self._machine.ping() == status.DONE

    def verify(self) -> int | None:
        return self._machine.differing_pages()

    def region_hash(self, region: Region) -> int | None:
        return self._machine.region_hash(region)

    def find(self, needle: bytes, region: Searched) -> tuple[int, ...] | None:
        at = self._machine.find(needle, region)
        return () if at is None else (at,)

    def differences(self, *, read_only: bool, limit: int) -> list[Piece] | None:
        return differing_bytes(self._machine, read_only=read_only, limit=limit)

    def cpu_state(self) -> dict[str, bytes] | None:
        return vcpu_registers(self._machine)

    def meddle(self, change: Change | None) -> int | None:
        return meddle(self._machine, change)

    def snapshot(self) -> Template | None:
        return take(self._machine, self._guest.name)

    def kept_core(self) -> Core | None:
        return kept_core(self._machine)

    def take_core(self) -> Core | None:
        return take_core(self._machine)

    def stats(self) -> Stats:
        return self._machine.stats()

    def close(self) -> None:
        self._machine.close()

    def _go_on(self, code: int, results: Callable[[], Returned]) -> Returned | Failure:
        while True:
            if code == status.DONE:
                return results()
            if code == status.RUNNING:
                code = self._machine.wait()
            elif code == status.HOSTCALL:
                code = self._host_call()
                if self._ended is not None:
                    return self._end(self._ended)
            elif code == status.TRAP:
                return self._trapped()
            elif code == status.TIMEOUT:
                failure, self._failure = self._failure, None
                return self._end(failure or Timeout(self._deadline_us))
            elif code == status.DEAD:
                raise self._dead()
            else:
                raise UsageError(
                    f"call refused ({self._guest.name}): {self._machine.message() or 'a call is open'}"
                )

    def _host_call(self) -> int:
        index = self._machine.host_call()
        self.asked_host = self.asked_host or self._state is None or not self._state.covers(index)
        imported = self._imports[index]
        assert imported is not None  # the library checked that it is a function
        type_, slots = imported
        args = () if any(t.is_reference for t in type_.params) else self._machine.host_args(type_.params)
        self._depth += 1
        try:
            values = self._host.invoke(index, args, self)
        except Exception as e:
            if self._ended is not None:
                return status.TRAP
            failure = self._host.failure(index, e)
            if isinstance(failure, LimitExceeded) and self._limits is not None:
                return self._stop(failure)
            self._failure = failure
            return self._machine.fail("" if isinstance(failure, Exited) else failure.message)
        finally:
            self._depth -= 1
        if self._ended is not None:
            return status.TRAP
        slots.put(values)
        return self._machine.resume(slots)

    def _stop(self, outcome: Failure) -> int:
        """End every open call with `outcome`, and restore the snapshot."""
        if self._machine.kill() != status.DONE:
            raise self._dead()
        self._ended = outcome
        return status.TRAP

    def _trapped(self) -> Failure:
        self.troubled = True
        trap = self._machine.trap()
        # whatever the guest answered to it: a failure is told once, and to nobody else
        failure, self._failure = self._failure, None
        if trap.limit and self._limits is not None:
            return self._end(LimitExceeded(trap.limit, getattr(self._limits, trap.limit), trap.message))
        if trap.by_vector:
            return Violation(trap.message)
        if failure is not None:
            return self._end(failure) if trap.restored else failure
        outcome = located(self._guest, self._machine, trap)
        return self._end(outcome) if trap.restored else outcome

    def _end(self, outcome: Failure) -> Failure:
        """The sandbox is at its snapshot: every open call has ended with `outcome`."""
        self.troubled = True
        self._ended = outcome if self._depth else None
        return outcome

    def _abandon(self, depth: int) -> None:
        """An exception leaves a call with `depth` host functions round it, perhaps still open: end it,
        unless an outer call will."""
        self.troubled = True
        self._depth = depth
        self._host.unwound(depth)
        if depth == 0:
            self._failure = self._ended = None
            if not self._machine.closed and self._machine.kill() != status.DONE:
                raise self._dead()

    def _with_state(self, call: Entry) -> Entry:
        """`call`, after which the host's side is reset where the guest was."""
        state = self._state
        if state is None:
            return call

        def call_with_state(args: tuple[object, ...], reset: bool) -> Returned | Failure:
            try:
                return call(args, reset)
            finally:
                if reset:
                    state.reset()

        return call_with_state

    def _dead(self) -> HlfuzzError:
        return HlfuzzError(f"the micro-VM cannot go on ({self._guest.name}): {self._machine.message()}")

    def _position(self, memory: Export) -> int:
        # The default memory's place is known without asking the guest.
        return DEFAULT_MEMORY if memory.index == self._default_memory else memory.index


def open_kvm(guest: Guest, host: HostSide, options: Options) -> KvmEngine:
    """Clone the guest's snapshot, or the one that it is to begin with. Raises `ModuleError`, `StartError`,
    `SnapshotError`, `EnvironmentProblem`."""
    lane, transport = options.lane, options.transport
    if options.snapshot is None:
        template = booted(guest, host, KvmEngine)
    else:
        template = options.snapshot(global_values(imported_globals(guest, host)))

    def make(pointer: Any) -> Machine:
        if lane is None:
            return Machine(pointer)
        lane.worker = machine = DispatchedMachine(pointer, lane.dispatcher.bell, lane.tag, lane.pause)
        return machine

    machine = template.clone(
        # a spinning vCPU beside the sandbox's own thread is for those who ask for it
        transport="exit" if lane is not None and transport == "auto" else transport,
        reset=options.reset,
        cpu=options.cpu,
        cpu_us=options.deadline_us,
        wall_us=options.wall_deadline_us,
        verify_every=options.verify,
        host_calls=options.limits.host_calls,
        output_bytes=options.limits.output_bytes,
        make=make,
    )
    if options.evidence:
        keep_cores(machine, True)
    return KvmEngine(guest, host, machine, options.deadline_us, options.limits)


def _named(violation: Violation, room: Room) -> Violation:
    """The native library knows no names."""
    name = f"allocator {room.allocator.name!r}" if room.allocator is not None else "the allocator"
    return Violation(violation.message.replace("the allocator", name, 1))


def _no_results() -> Returned:
    return None
