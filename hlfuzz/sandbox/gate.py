"""Who may use a sandbox now: the owner thread, once at a time, not after close and not in a forked child.

The check of the fast path is one comparison of `threading.get_ident()` with `Gate.box` (or `Gate.context`),
which hold the owner's ident while a call may start and 0 at all other times.
"""

from __future__ import annotations

import os
from threading import get_ident
from typing import NoReturn
from weakref import WeakSet

from hlfuzz.errors import ContextBusy, ForkedProcess, SandboxClosed, WrongThread


class Gate:
    """The state of one sandbox as far as it decides who may do what."""

    # As defaults of the class, because a pool makes a gate for each lease.
    _closed = _forked = _returned = _context_open = _outside = _away = False
    _host_depth = 0
    context = 0
    """Ident of the thread that may call the open context, or 0."""

    def __init__(self) -> None:
        self.owner = get_ident()
        self.box = self.owner
        """Ident of the thread that may call the sandbox itself, or 0."""
        _gates.add(self)

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def is_forked(self) -> bool:
        return self._forked

    @property
    def host_depth(self) -> int:
        """Host functions that are running: more than one when they call back into the guest."""
        return self._host_depth

    def open_context(self) -> None:
        self._context_open = True
        self._settle()

    def close_context(self) -> None:
        self._context_open = False
        self._settle()

    def enter_host(self) -> None:
        """A host function starts: the guest is in a call, only a `Caller` may go on."""
        self._host_depth += 1
        self.box = self.context = 0

    def leave_host(self) -> None:
        self._host_depth -= 1
        self._settle()

    def unwind(self, depth: int) -> None:
        """An exception has left all but `depth` host functions."""
        self._host_depth = depth
        self._settle()

    def enter_turn(self) -> None:
        """A dispatched call goes on, or none is left: for what runs now, the sandbox is as any other."""
        self._outside = self._away = False
        self._settle()

    def leave_turn(self, *, away: bool) -> None:
        """A dispatched call waits: what runs now is outside of it. `away`: the guest is at work."""
        self._outside = True
        self._away = away
        self._settle()

    @property
    def has_context(self) -> bool:
        return self._context_open

    def close(self) -> None:
        self._closed = True
        self._settle()

    def end_lease(self) -> None:
        """Nothing can be done through this gate any more."""
        self._closed = self._returned = True
        self.box = self.context = 0

    def check_owner(self) -> None:
        """Raise unless the owner thread may look at the sandbox's state, call in progress or not."""
        if self._forked or self._closed or self._away or get_ident() != self.owner:
            self.refuse()

    def check_thread(self) -> None:
        """Raise unless the owner thread may ask for calls, now or later."""
        if self._forked or self._closed or get_ident() != self.owner:
            self.refuse()

    def check_idle(self) -> None:
        """Raise unless nothing is in progress; an open context does not count."""
        self.check_owner()
        if self._host_depth:
            self.refuse()

    def check_quiet(self, what: str) -> None:
        """Raise unless the owner thread may do `what`, which no call may be open for."""
        self.check_owner()
        if self._host_depth:
            raise ContextBusy(
                f"no {what} while a call is open (in a host function): take it before the call or after it"
            )

    def refuse(self) -> NoReturn:
        """Raise what keeps the current thread from using the sandbox."""
        if self._forked:
            raise ForkedProcess("sandbox of the parent process (after fork): open a new one in the child")
        if self._returned:
            raise SandboxClosed("sandbox went back to its pool (used after its lease): lease one again")
        if self._closed:
            raise SandboxClosed("sandbox is closed (call after close): open a new one")
        if get_ident() != self.owner:
            raise WrongThread("sandbox used from a thread that did not open it: open one in each thread")
        if self._outside:
            raise ContextBusy("a dispatched call is in progress: await it first, or use acall, which queues")
        if self._host_depth:
            raise ContextBusy(
                "a call is in progress (in a host function): use the Caller's `call` to call the guest"
            )
        raise ContextBusy("a call context is open on this sandbox: call through it, or finish() it first")

    def _settle(self) -> None:
        usable = not (self._closed or self._forked or self._host_depth or self._outside)
        self.box = self.owner if usable and not self._context_open else 0
        self.context = self.owner if usable and self._context_open else 0

    def after_fork(self) -> None:
        self._forked = True
        self._settle()


class LentGate(Gate):
    """The gate of one lease; its pool tells it of a fork. Each lease has its own, so that what was made of an
    earlier one stays shut. Made without `__init__` and opened by setting `owner` and `box`: leases are
    frequent."""


_gates: WeakSet[Gate] = WeakSet()


def _after_fork() -> None:
    for gate in _gates:
        gate.after_fork()


os.register_at_fork(after_in_child=_after_fork)
