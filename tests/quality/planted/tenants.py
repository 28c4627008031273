"""One tenant learns what another was given: through the platform, through a guest, or through the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import guests

import hlfuzz.sandbox.box
import hlfuzz.sandbox.context
from hlfuzz.guest import Guest
from hlfuzz.invariants import HostCall, Session, Subject, Target
from hlfuzz.invariants.host import Recorder
from hlfuzz.model import Trap
from hlfuzz.sandbox import Caller, Sandbox
from hlfuzz.sandbox.calls import Calls, as_outcome
from hlfuzz.sandbox.pool import LeasedSandbox
from planted import Planted


@contextmanager
def pool_without_reset() -> Iterator[Target]:
    with (
        patch.object(Sandbox, "recover", lambda self: True),
        guests.target(guests.CLEAN_ARITHMETIC, "inprocess") as target,
    ):
        yield target


@contextmanager
def pool_that_takes_back_what_is_in_use() -> Iterator[Target]:
    def take_back(self: LeasedSandbox, *error: object) -> None:
        self.pool.take_back(self.slot)

    with (
        patch.object(LeasedSandbox, "__exit__", take_back),
        guests.target(guests.CLEAN_ARITHMETIC, "inprocess") as target,
    ):
        yield target


@contextmanager
def one_engine_for_two_sandboxes() -> Iterator[Target]:
    open_engine = hlfuzz.sandbox.box.open_engine
    engines: dict[tuple[object, ...], Any] = {}

    def open_shared(name: Any, guest: Guest, host: Any, options: Any) -> Any:
        key = (guest.digest, options.reset)
        if key not in engines:
            engines[key] = open_engine(name, guest, host, options)
        return engines[key]

    with (
        patch.object(hlfuzz.sandbox.box, "open_engine", open_shared),
        guests.target(guests.CLEAN_ECHO, "inprocess") as target,
    ):
        yield target


@contextmanager
def reset_that_forgets_the_last_context() -> Iterator[Target]:
    def end_context(self: Sandbox) -> None:
        self._context = None
        self._gate.close_context()

    with (
        patch.object(Sandbox, "end_context", end_context),
        guests.target(guests.LEAKS_EARLIER, "kvm") as target,
    ):
        yield target


@contextmanager
def host_wrapper_that_keeps_the_last_arguments() -> Iterator[Target]:
    recording = Recorder._recording
    last: dict[str, HostCall] = {}

    def kept(self: Recorder, name: str, *args: Any) -> Callable[..., int]:
        note = recording(self, name, *args)

        def note_the_one_before(caller: Caller, given: Any) -> int:
            at = note(caller, given)
            new = self._calls[at]
            self._calls[at] = last.get(name, new)
            last[name] = new
            return at

        return note_the_one_before

    with (
        patch.object(Recorder, "_recording", kept),
        guests.target(guests.CLEAN_ECHO, "inprocess") as target,
    ):
        yield target


@contextmanager
def mailbox_that_is_not_wiped() -> Iterator[Target]:
    from hlfuzz.vmm.library import lib

    with faulty(lib.HL_FAULT_FORGET_MAILBOX), guests.target(guests.CLEAN_ARITHMETIC, "kvm") as target:
        yield target


@contextmanager
def faulty(fault: int) -> Iterator[None]:
    """Every sandbox that a target opens has that native fault."""
    from hlfuzz.vmm.library import lib

    open_sound = Target.open

    def open_faulty(self: Target, **options: Any) -> Session:
        session = open_sound(self, **options)
        engine: Any = session.box._engine
        assert lib.hl_test_fault(engine._machine.pointer, fault) == lib.HL_DONE
        return session

    with patch.object(Target, "open", open_faulty):
        yield


@contextmanager
def vectors_that_go_to_every_sandbox() -> Iterator[Target]:
    from hlfuzz.vmm import DEFAULT_MEMORY, Machine

    bytes_call, make = Machine.bytes_call, Machine.__init__
    machines: list[Machine] = []

    def made(self: Machine, *args: Any) -> None:
        make(self, *args)
        machines.append(self)

    def everywhere(self: Machine, *args: Any) -> Any:
        call, result = bytes_call(self, *args)

        def call_everywhere(data: bytes, length: int, flags: int) -> int:
            for machine in machines:
                if machine is not self and not machine.closed:
                    machine.memory_write(DEFAULT_MEMORY, 64, data)
            return call(data, length, flags)

        return call_everywhere, result

    with (
        patch.object(Machine, "__init__", made),
        patch.object(Machine, "bytes_call", everywhere),
        guests.target(guests.CLEAN_ECHO, "kvm") as target,
    ):
        yield target


@contextmanager
def trap_that_quotes_another_tenant() -> Iterator[Target]:
    run = Calls.run
    last: list[bytes] = []

    def run_and_keep(self: Calls, function: str, args: tuple[object, ...], *more: Any) -> Any:
        last[:] = [*last, *(a for a in args if isinstance(a, bytes))][-8:]
        return run(self, function, args, *more)

    def outcome(returned: Any) -> Any:
        result = as_outcome(returned)
        if isinstance(result, Trap):
            return Trap(result.code, f"{result.message} (seen lately: {last!r})", result.fault)
        return result

    with (
        patch.object(Calls, "run", run_and_keep),
        patch.object(hlfuzz.sandbox.box, "as_outcome", outcome),
        patch.object(hlfuzz.sandbox.context, "as_outcome", outcome),
        guests.target(guests.TRUSTS_LENGTH, "inprocess") as target,
    ):
        yield target


ASKS_FOR_BYTES = guests.CLEAN_ECHO.replace(
    "(call $write (local.get 0) (local.get 1)) (local.get 1)",
    "(call $swap (local.get 0) (local.get 1))",
).replace(
    '(import "env" "write" (func $write (param i32 i32)))',
    '(import "env" "swap" (func $swap (param i32 i32) (result i32)))',
)


@contextmanager
def host_function_that_remembers() -> Iterator[Target]:
    told = [0]

    def swap(caller: Caller, pointer: int, length: int) -> int:
        before, told[0] = told[0], sum(caller.read(pointer, length))
        return before

    target = guests.target(ASKS_FOR_BYTES, "inprocess")
    target.host["env.swap"] = swap
    with target:
        yield target


def _platform(name: str, what: str, open_: Callable[[], Any], *, kvm: bool = False) -> Planted:
    return Planted(name, "noninterference", Subject.PLATFORM, what, open_, kvm)


FAULTS = (
    _platform(
        "pool-leases-without-reset",
        "a pool hands out what its host wrote for the lease before",
        pool_without_reset,
    ),
    _platform(
        "pool-takes-back-what-is-in-use",
        "a sandbox goes back to its pool with an open context",
        pool_that_takes_back_what_is_in_use,
    ),
    _platform(
        "two-sandboxes-one-engine",
        "two sandboxes of one guest run in the same engine",
        one_engine_for_two_sandboxes,
    ),
    _platform(
        "context-left-for-the-next-tenant",
        "a context ends and its memory stays",
        reset_that_forgets_the_last_context,
        kvm=True,
    ),
    _platform(
        "host-wrapper-keeps-arguments",
        "what wraps a host function hands it the arguments of the call before",
        host_wrapper_that_keeps_the_last_arguments,
    ),
    _platform(
        "mailbox-not-wiped",
        "a strict reset leaves an earlier tenant's bytes in the mailbox",
        mailbox_that_is_not_wiped,
        kvm=True,
    ),
    _platform(
        "vector-in-every-sandbox",
        "a byte vector is also written to the neighbours' memory",
        vectors_that_go_to_every_sandbox,
        kvm=True,
    ),
    _platform(
        "trap-quotes-another-tenant",
        "the message of a trap holds bytes of other calls",
        trap_that_quotes_another_tenant,
    ),
    Planted(
        "host-function-remembers",
        "noninterference",
        Subject.HOST,
        "a host function of the user's answers from what it was last told",
        host_function_that_remembers,
        False,
    ),
)
