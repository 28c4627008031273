"""Errors that do not arrive, or leave something behind, and limits that nobody enforces."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import guests
from needs import missing
from patient import CAN_SPIN

from hlfuzz.errors import EnvironmentProblem, SnapshotError
from hlfuzz.guest import Guest
from hlfuzz.invariants import Session, Subject, Target, bounds
from hlfuzz.invariants.failures import exits, threads
from hlfuzz.model import HostError, Timeout
from hlfuzz.sandbox import box, calls, gate, hostcalls, snapshots
from hlfuzz.sandbox.engines.kvm import KvmEngine
from hlfuzz.vmm import DispatchedMachine, Machine, Template, library, template
from hlfuzz.vmm.library import lib
from planted import Planted

SPIN_SECONDS = 20.0
"""How long another process may have the CPU on which a vCPU can spin."""


@contextmanager
def _patched(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[Target]:
    """A target while `owner.name` is what `make` makes of it."""
    with patch.object(owner, name, make(getattr(owner, name))), guests.target(guests.CLEAN_ECHO, "kvm") as t:
        yield t


def _in(owner: Any, name: str) -> Callable[..., Callable[[], AbstractContextManager[Target]]]:
    """Decorator: the function makes the faulty `owner.name` of the sound one; its value opens a target."""
    return lambda make: lambda: _patched(owner, name, make)


@_in(hostcalls.HostCalls, "invoke")
def swallowed(sound: Any) -> Any:
    def invoke(self: Any, index: int, args: Any, engine: Any) -> Any:
        try:
            return sound(self, index, args, engine)
        except Exception:
            return tuple(0 for _ in self._guest.info.imports[index].type.results)

    return invoke


@_in(hostcalls.HostCalls, "failure")
def replaced(sound: Any) -> Any:
    def failure(self: Any, index: int, error: Exception) -> Any:
        found = sound(self, index, error)
        if not isinstance(found, HostError):
            return found
        return HostError(found.function, found.message, RuntimeError(found.message))

    return failure


@_in(hostcalls.HostCalls, "failure")
def misnamed(sound: Any) -> Any:
    def failure(self: Any, index: int, error: Exception) -> Any:
        found = sound(self, index, error)
        return HostError("env.other", found.message, error) if isinstance(found, HostError) else found

    return failure


@_in(hostcalls.HostCalls, "invoke")
def no_exit(sound: Any) -> Any:
    def invoke(self: Any, *args: Any) -> Any:
        try:
            return sound(self, *args)
        except SystemExit as error:
            raise RuntimeError("a host function may not exit") from error

    return invoke


@_in(gate.Gate, "leave_host")
def stuck(sound: Any) -> Any:
    def leave_host(self: gate.Gate) -> None:
        import sys

        if sys.exception() is None:
            sound(self)

    return leave_host


@_in(Machine, "fail")
def unreset(sound: Any) -> Any:
    def fail(self: Machine, message: str) -> int:
        lib.hl_test_fault(self.pointer, lib.HL_FAULT_NO_RESET)
        try:
            return sound(self, message)
        finally:
            lib.hl_test_fault(self.pointer, 0)

    return fail


@_in(KvmEngine, "_trapped")
def unreset_trap(sound: Any) -> Any:
    def trapped(self: Any) -> Any:
        if self._failure is None:
            self.memory_write(self._guest.default_memory(), 70_000, b"left by a trap")
        return sound(self)

    return trapped


@_in(gate.Gate, "refuse")
def any_thread(sound: Any) -> Any:
    def refuse(self: gate.Gate) -> Any:
        owner, self.owner = self.owner, gate.get_ident()
        try:
            sound(self)
        finally:
            self.owner = owner

    return refuse


@_in(hostcalls.Caller, "expire")
def undying(sound: Any) -> Any:
    return lambda self: None


@_in(gate.Gate, "enter_host")
def reentrant(sound: Any) -> Any:
    def enter_host(self: gate.Gate) -> None:
        self._host_depth += 1

    return enter_host


@_in(KvmEngine, "_host_call")
def charged(sound: Any) -> Any:
    def host_call(self: Any) -> int:
        start = time.monotonic()
        code = sound(self)
        return self._stop(Timeout(self._deadline_us)) if time.monotonic() - start > 0.1 else code

    return host_call


@contextmanager
def interruption_ends() -> Iterator[Target]:
    with (
        patch.object(exits, "errno", SimpleNamespace(EINTR=errno.EIO)),
        guests.target(guests.CLEAN_ECHO, "kvm") as target,
    ):
        yield target


@contextmanager
def spinning_ends() -> Iterator[Target]:
    if not CAN_SPIN:
        missing("two CPUs, for the spin transport")
    # the checker does without such a case while another process has the CPU; here it waits
    waits = partial(_patient_open, threads.open_patient)
    with (
        patch.object(threads, "open_patient", waits),
        _patched(KvmEngine, "__init__", ends_when_interrupted) as target,
    ):
        yield target


def _patient_open(open_patient: Callable[..., Session], target: Target, **options: Any) -> Session:
    give_up = time.monotonic() + SPIN_SECONDS
    while True:
        try:
            return open_patient(target, **options)
        except EnvironmentProblem as problem:
            if problem.reason != "cpu":
                raise
            if time.monotonic() > give_up:
                missing(f"a CPU for the spin transport: {problem}")
            time.sleep(0.005)


def ends_when_interrupted(sound: Any) -> Any:
    def init(self: KvmEngine, guest: Any, host: Any, machine: Machine, *options: Any) -> None:
        sound(self, guest, host, machine, *options)
        if len(options) > 1:  # else it boots
            assert lib.hl_test_fault(machine.pointer, lib.HL_FAULT_INTERRUPTION_ENDS) == lib.HL_DONE

    return init


@_in(DispatchedMachine, "_run")
def failed_as_late(sound: Any) -> Any:
    def run(self: DispatchedMachine, handed_over: int) -> int:
        code = sound(self, handed_over)
        return lib.HL_TIMEOUT if code == lib.HL_DEAD else code

    return run


@_in(KvmEngine, "entry")
def lasting(sound: Any) -> Any:
    late: set[int] = set()

    def entry(self: Any, export: Any) -> Any:
        run = sound(self, export)

        def call(args: Any, reset: bool) -> Any:
            if id(self) in late:
                return Timeout(self._deadline_us)
            outcome = run(args, reset)
            if isinstance(outcome, Timeout) and self._deadline_us < 10_000:
                late.add(id(self))
            return outcome

        return call

    return entry


@_in(Template, "clone")
def leaking(sound: Any) -> Any:
    kept: list[Any] = []

    def clone(self: Template, **options: Any) -> Any:
        try:
            return sound(self, **options)
        except EnvironmentProblem:
            kept.append(sound(self, **options))
            raise

    return clone


@_in(template, "check")
def wordless(sound: Any) -> Any:
    def check(result: Any, error: Any, where: str) -> Any:
        if result == library.ffi.NULL:
            raise EnvironmentProblem("no sandbox", reason="kvm")
        return result

    return check


@_in(snapshots, "save")
def littering(sound: Any) -> Any:
    def save(made: Template, path: Any, *, compress: bool) -> None:
        try:
            sound(made, path, compress=compress)
        except SnapshotError:
            path.with_name(".tmp-half").write_bytes(b"half")
            raise

    return save


@_in(box, "_micros")
def late(sound: Any) -> Any:
    return lambda name, seconds: sound(name, seconds if name == "wall_deadline" else 10 * seconds)


@_in(KvmEngine, "_end")
def unsaid(sound: Any) -> Any:
    def end(self: Any, outcome: Any) -> Any:
        sound(self, outcome)
        return None if isinstance(outcome, Timeout) else outcome

    return end


@contextmanager
def page_more() -> Iterator[Target]:
    sound: Any = Guest.memory_limit
    with (
        patch.object(Guest, "memory_limit", property(lambda self: sound.fget(self) + 65536)),
        # guests that were booted before have the sound limit
        patch.object(bounds, "_guest", lru_cache(bounds._guest.__wrapped__)),
        guests.target(guests.CLEAN_ECHO, "kvm") as target,
    ):
        yield target


def without(**options: Any) -> Callable[[], AbstractContextManager[Target]]:
    @_in(Template, "clone")
    def clone(sound: Any) -> Any:
        return lambda self, **given: sound(self, **{**given, **options})

    return clone


@contextmanager
def no_output_limit() -> Iterator[Target]:
    with without(output_bytes=None)() as target, patch.object(calls, "over_output", lambda n, most: None):
        yield target


@_in(hostcalls.Caller, "_spend")
def unspent(sound: Any) -> Any:
    return lambda self, count: None


@_in(Machine, "kill")
def unkilled(sound: Any) -> Any:
    def kill(self: Machine) -> int:
        lib.hl_test_fault(self.pointer, lib.HL_FAULT_NO_RESET)
        try:
            return sound(self)
        finally:
            lib.hl_test_fault(self.pointer, 0)

    return kill


def _planted(name: str, what: str, open_: Any, invariant: str = "error-containment") -> Planted:
    return Planted(name, invariant, Subject.PLATFORM, what, open_)


FAULTS = (
    _planted("host-error-swallowed", "an exception of a host function becomes a result of zeros", swallowed),
    _planted("host-error-replaced", "the cause of HostFunctionError is a copy of the exception", replaced),
    _planted("host-error-misnamed", "the error names another host function", misnamed),
    _planted("exit-swallowed", "SystemExit of a host function arrives as an ordinary error", no_exit),
    _planted("stuck-after-host-error", "after a failed host function the sandbox stays busy for ever", stuck),
    _planted("no-reset-after-host-error", "the reset after a failed host function does nothing", unreset),
    _planted(
        "state-left-by-trap", "memory is written once more after the reset that follows a trap", unreset_trap
    ),
    _planted("re-entrance-allowed", "a sandbox can be called inside its own host function", reentrant),
    _planted("late-caller", "a Caller works after its host function has returned", undying),
    _planted("wrong-thread-not-named", "a use from a foreign thread is not refused as that", any_thread),
    _planted("host-time-charged", "the guest is charged for the time that its host sleeps", charged),
    _planted("interrupt-is-fatal", "an interrupted KVM_RUN ends the sandbox", interruption_ends),
    _planted(
        "vcpu-thread-interrupted",
        "the thread of a spinning vCPU takes an interruption for the end of its guest",
        spinning_ends,
    ),
    _planted(
        "dispatched-failure-as-timeout",
        "when its vCPU cannot be run a dispatched call ends as if its time were over",
        failed_as_late,
    ),
    _planted(
        "timeout-lasts", "after a short deadline has passed once, each later call has passed it too", lasting
    ),
    _planted("failed-clone-leaks", "a clone that fails leaves a VM behind", leaking),
    _planted("wordless-failure", "an operation of KVM fails and the message does not say which", wordless),
    _planted("deadline-ten-times-late", "a guest is stopped after ten times its deadline", late, "bounds"),
    _planted(
        "timeout-as-return",
        "a call that was stopped at its deadline seems to have returned",
        unsaid,
        "bounds",
    ),
    _planted(
        "memory-limit-off-by-one", "a memory may grow by one page more than allowed", page_more, "bounds"
    ),
    _planted("no-output-limit", "a call may give back more bytes than allowed", no_output_limit, "bounds"),
    _planted(
        "no-host-call-limit",
        "a call may reach the host as often as it likes",
        without(host_calls=None),
        "bounds",
    ),
    _planted("no-read-limit", "a host function may move more bytes than allowed", unspent, "bounds"),
    _planted("state-left-by-limit", "memory is not restored when a limit ends a call", unkilled, "bounds"),
    _planted("half-a-snapshot-file", "a save that fails leaves a temporary file behind", littering),
)
