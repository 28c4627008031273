"""A guest under test: opens sandboxes on it and keeps those that are used again and again."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import Literal

from hlfuzz.guest import Guest
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.events import Run
from hlfuzz.invariants.host import Recorder
from hlfuzz.invariants.interface import Interface
from hlfuzz.invariants.observe import call_text
from hlfuzz.invariants.run import run_case
from hlfuzz.invariants.session import Session
from hlfuzz.model import Call
from hlfuzz.sandbox import Sandbox, Trace, Wasi

Reset = Literal["strict", "memory"]
EngineName = Literal["auto", "kvm", "inprocess"]


class Target:
    """A guest, what is known of its interface, and how to open it. Keeps long-lived sessions, opened on first
    use.

    `deadline` is the CPU time of one call in seconds; `seeds` are inputs that generators start from; `wasi`
    is what a WASI guest is given.
    """

    def __init__(
        self,
        guest: Guest,
        interface: Interface,
        *,
        engine: EngineName = "auto",
        deadline: float = 0.5,
        seeds: Sequence[bytes] = (),
        wasi: Wasi | None = None,
    ) -> None:
        self.guest = guest
        self.interface = interface
        self.engine: EngineName = engine
        self.deadline = deadline
        self.seeds = tuple(seeds)
        self.wasi = wasi
        self._sessions: dict[tuple[Reset, str], Session] = {}
        self._open: set[Session] = set()
        self._peer: Target | None = None
        self._closed_calls = 0

    def open(
        self,
        *,
        reset: Reset = "memory",
        deadline: float | None = None,
        trace: Trace | None = None,
        evidence: bool = False,
    ) -> Session:
        """A new sandbox; `evidence` as in `Sandbox`.

        Raises: LinkError, StartError, EnvironmentProblem as `Sandbox` does.
        """
        recorder = Recorder(self.guest.info, self.interface.host)
        if self.guest.kind == "elf":  # it has no other level
            reset = "strict"
        box = Sandbox(
            self.guest,
            recorder.providers,
            engine=self.engine,
            reset=reset,
            deadline=deadline or self.deadline,
            allocator=self.interface.allocator,
            wasi=self.wasi,
            trace=trace,
            evidence=evidence,
        )
        session = Session(box, recorder, reset, self._closed)
        self._open.add(session)
        return session

    def _closed(self, session: Session) -> None:
        self._open.discard(session)
        self._closed_calls += session.calls

    def run(self, case: Case, *, strict: bool = False) -> Run:
        """Run a case in long-lived sandboxes and return its events. `strict` uses the strict reset level."""
        reset: Reset = "strict" if strict else "memory"
        boxes = dict.fromkeys(case.boxes or (0,))
        return run_case({box: self.session(reset, f"box {box}" if box else "main") for box in boxes}, case)

    def call_text(self, call: Call) -> str:
        """The call as Python would write it, with long byte vectors shortened."""
        return call_text(call)

    def session(self, reset: Reset = "memory", role: str = "main") -> Session:
        """The long-lived sandbox of that reset level and role."""
        key = (reset, role)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = self.open(reset=reset)
        return session

    @cached_property
    def pristine_digest(self) -> str:
        """`Session.state_digest` of a sandbox that was opened and never called."""
        with self.open() as fresh:
            return fresh.state_digest()

    @cached_property
    def memory_bytes(self) -> int:
        """Size of the default memory, doubled: what the guest's pointers stay below for as long as it grows
        little."""
        return 2 * self.session().memory_bytes()

    @property
    def peer(self) -> Target:
        """The same target on the in-process engine."""
        if self._peer is None:
            self._peer = Target(
                self.guest,
                self.interface,
                engine="inprocess",
                deadline=self.deadline,
                seeds=self.seeds,
                wasi=self.wasi,
            )
        return self._peer

    @property
    def calls(self) -> int:
        """Guest calls made so far through its sessions, closed ones and those of `peer` included."""
        peer = 0 if self._peer is None else self._peer.calls
        return self._closed_calls + peer + sum(s.calls for s in self._open)

    def close(self) -> None:
        """Closes every session; the target may be used again."""
        for session in tuple(self._open):
            session.close()
        self._sessions.clear()
        if self._peer is not None:
            self._peer.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
