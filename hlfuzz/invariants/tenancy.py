"""The ways in which two tenants share a platform: side by side, one after the other, by leases of a pool."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hlfuzz.errors import HlfuzzWarning
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.events import Called
from hlfuzz.invariants.run import run_case
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.target import Reset, Target
from hlfuzz.model import ExternKind, Ok
from hlfuzz.sandbox import Sandbox

LISTENER: Final = 0
TELLER: Final = 1
"""Sandbox numbers of a case: what the teller is given, the listener must not notice."""

Needles = Sequence[tuple[str, bytes]]
"""What to search for, with the name of the form it has (`canary.needles`)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run shows of the listener: its calls, everything it was left with as a digest, and where a
    needle lay that the teller was given ("" nowhere)."""

    calls: tuple[Called, ...]
    state: str
    leak: str


class Tenancy(Protocol):
    """One way. `name` is for messages."""

    name: str

    def run(self, case: Case, needles: Needles) -> Seen:
        """Make the calls of both tenants, told apart by `case.boxes`, and look at the listener."""
        ...


def tenancies(target: Target, reset: Reset) -> list[Tenancy]:
    """Every way that the target's engine has. They last as long as the target."""
    ways: list[Tenancy] = [
        SideBySide(
            "two sandboxes", target, target.session(reset, "listener"), target.session(reset, "teller")
        ),
        InTurns(target, target.session(reset)),
        target.kept(f"leases {reset}", lambda: Leases(target, reset)),
    ]
    if target.session(reset).is_kvm:
        ways.append(target.kept(f"clones {reset}", lambda: Clones(target, reset)))
    return ways


class SideBySide:
    """Two sandboxes at the same time, the calls in the case's order."""

    def __init__(self, name: str, target: Target, listener: Session, teller: Session) -> None:
        self.name = name
        self._target = target
        self._sessions = {LISTENER: listener, TELLER: teller}

    def run(self, case: Case, needles: Needles) -> Seen:
        leak = state = ""

        def look() -> None:  # the teller's context is open: a page that both have shows now
            nonlocal leak, state
            listener = self._sessions[LISTENER]
            leak = find(listener, needles)
            state = left_with(self._target, listener)

        run = run_case(self._sessions, case, look=look)
        return Seen(tuple(c for c in run.calls if c.box == LISTENER), state, leak)


class Clones(SideBySide):
    """Two sandboxes that began with one snapshot."""

    def __init__(self, target: Target, reset: Reset) -> None:
        snapshot = target.session(reset).box.snapshot()
        pair = [target.open(reset=reset, snapshot=snapshot) for _ in (LISTENER, TELLER)]
        super().__init__("two clones of one snapshot", target, *pair)

    calls = 0
    """The target counts those of its sessions."""

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()


class InTurns:
    """One sandbox: all of the teller's calls, a reset, all of the listener's."""

    name = "one sandbox in turns"

    def __init__(self, target: Target, session: Session) -> None:
        self._target = target
        self._session = session

    def run(self, case: Case, needles: Needles) -> Seen:
        session = self._session
        run_case({TELLER: session}, part(case, TELLER))
        leak = find(session, needles)
        return listen(self._target, session, case, leak)


class Leases:
    """A pool of one sandbox: the teller leases it and gives it back in use, then the listener leases it."""

    name = "two leases of one pool"

    def __init__(self, target: Target, reset: Reset) -> None:
        self._target = target
        self._reset: Reset = reset
        self._pool, self._recorder = target.open_pool(reset=reset)
        self.calls = 0

    def run(self, case: Case, needles: Needles) -> Seen:
        told = part(case, TELLER)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HlfuzzWarning)  # the context that is left open
            with self._lease() as session:
                run_case({TELLER: session}, told)
                leave_in_use(session.box, told)
        with self._lease() as session:
            leak = find(session, needles)
            return listen(self._target, session, case, leak)

    @contextmanager
    def _lease(self) -> Generator[Session]:
        with self._pool.lease() as box:
            session = Session(box, self._recorder, self._reset)
            yield session
            self.calls += session.calls

    def close(self) -> None:
        self._pool.close()


def part(case: Case, tenant: int) -> Case:
    """The calls of one tenant."""
    kept = [(c, b) for c, b in zip(case.calls, case.boxes, strict=True) if b == tenant]
    return replace(case, calls=tuple(c for c, _ in kept), boxes=tuple(b for _, b in kept), secret=None)


def listen(target: Target, session: Session, case: Case, leak: str) -> Seen:
    """Make the listener's calls."""
    state = ""

    def look() -> None:
        nonlocal state
        state = left_with(target, session)

    run = run_case({LISTENER: session}, part(case, LISTENER), look=look)
    return Seen(run.calls, state, leak)


def leave_in_use(box: Sandbox, told: Case) -> None:
    """What only the pool's own reset can bring back: an open context, or bytes that the host wrote."""
    if told.context:
        context = box.context()
        for call in told.calls:
            if not isinstance(context.try_call(call.function, *call.args), Ok):
                break
    vectors = [a for c in told.calls for a in c.args if isinstance(a, bytes)]
    if not told.context and box.guest.default_memory() and vectors:
        memory = box.memory()
        for heap in memory.writable[-1:]:
            longest = max(vectors, key=len)[: len(heap)]
            memory.write(heap.stop - len(longest), longest)


def left_with(target: Target, session: Session) -> str:
    """Memory, globals and output of the sandbox right now."""
    digest = session.state_digest()
    if target.wasi is None:
        return digest
    did = session.box.wasi
    return f"{digest} {did.stdout!r} {did.stderr!r} {did.exit_code}"


def find(session: Session, needles: Needles) -> str:
    """Where one of the needles lies in what a guest in this sandbox may read; "" nowhere. In a micro-VM that
    is all of its RAM, and under strict reset the mailbox and the registers; in-process the exported memories.
    """
    box = session.box
    if session.vm is None:
        return _find_in_memories(box, needles)
    registers: Mapping[str, bytes] | None = None
    for form, needle in needles:
        if (at := box.find_bytes(needle)) is not None:
            return f"{form} at guest address 0x{at:x}"
        if session.reset != "strict":
            continue
        if (at := box.find_bytes(needle, "mailbox")) is not None:
            return f"{form} at 0x{at:x} in the mailbox"
        registers = box.cpu_state() if registers is None else registers
        for name, value in registers.items():
            if needle in value:
                return f"{form} in the register {name}"
    return ""


def _find_in_memories(box: Sandbox, needles: Needles) -> str:
    for export in box.guest.info.exports:
        if export.kind is ExternKind.MEMORY:
            memory = box.memory(export.name)
            data = memory.read(0, memory.size)
            for form, needle in needles:
                if (at := data.find(needle)) >= 0:
                    return f"{form} at {at} of the memory {export.name!r}"
    return ""
