"""A guest under test: opens sandboxes on it and keeps those that are used again and again."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar, cast

from hlfuzz.bindings import Interface as Schema
from hlfuzz.guest import Guest
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.events import Run
from hlfuzz.invariants.host import Recorder
from hlfuzz.invariants.interface import Interface
from hlfuzz.invariants.observe import LOWEST_NATIVE_POINTER, LOWEST_POINTER, Observation, call_text
from hlfuzz.invariants.run import run_case
from hlfuzz.invariants.session import Session
from hlfuzz.invariants.settings.config import Config
from hlfuzz.invariants.typed import Typed, describe_typed
from hlfuzz.model import Call
from hlfuzz.sandbox import Dispatcher, Pool, Provider, Sandbox, Snapshot, Trace, Wasi

Reset = Literal["strict", "memory"]
EngineName = Literal["auto", "kvm", "inprocess"]


class Closable(Protocol):
    """What is closed with a target."""

    @property
    def calls(self) -> int:
        """Guest calls made with it that no session of the target has made."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


_Kept = TypeVar("_Kept", bound=Closable)


@dataclass(frozen=True, slots=True)
class Pristine:
    """A sandbox at its snapshot: registers of its CPU (none in-process), bytes of each exported memory, and
    `Session.state_digest`."""

    registers: Mapping[str, bytes]
    sizes: Mapping[str, int]
    digest: str


class Target:
    """A guest, what is known of its interface, and how to open it. Keeps long-lived sessions, opened on first
    use.

    `deadline` is the CPU time of one call in seconds; `seeds` are inputs that generators start from; `wasi`
    is what a WASI guest is given. `host` are host functions and other providers of the user's own, by
    "module.name": they are called for real and recorded, and come before the stand-ins that the interface
    allows. They must answer alike in every sandbox, which `determinism` checks. `native` is a native guest
    built from the same source, for `differential`. With a `schema` its
    methods take the place of those in `interface`, calls are typed, and host functions that are not given
    answer valid records; where `interface` has a schema already, that one counts.
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
        host: Mapping[str, Provider] | None = None,
        native: Guest | None = None,
        schema: Schema | None = None,
    ) -> None:
        """Raises `LinkError` when the guest was built for another schema."""
        if schema is not None and interface.typed is None:
            config = Config(host=interface.host, tenant_open=interface.tenant_open)
            interface = describe_typed(guest, Typed(schema), config)
        self.guest = guest
        self.interface = interface
        self.host = dict(host or {})
        self.native = native
        self.engine: EngineName = engine
        self.deadline = deadline
        self.seeds = tuple(seeds)
        self.wasi = wasi
        self._sessions: dict[tuple[Reset, str], Session] = {}
        self._open: set[Session] = set()
        self._peer: Target | None = None
        self._keep: dict[str, Closable] = {}
        self._closed_calls = 0
        self._listener: Callable[[Call, Observation], None] | None = None

    def open(
        self,
        *,
        reset: Reset = "memory",
        deadline: float | None = None,
        trace: Trace | None = None,
        evidence: bool = False,
        snapshot: Snapshot | None = None,
        dispatch: Dispatcher | None = None,
    ) -> Session:
        """A new sandbox; `evidence`, `snapshot` and `dispatch` as in `Sandbox`.

        Raises: LinkError, StartError, EnvironmentProblem as `Sandbox` does.
        """
        recorder = self.recorder()
        options = self._options(reset)
        options |= {"deadline": deadline or self.deadline, "trace": trace, "evidence": evidence}
        box = Sandbox(self.guest, recorder.providers, snapshot=snapshot, dispatch=dispatch, **options)
        self.engine = box.engine  # "auto" was decided: no later sandbox may be on another one
        session = Session(box, recorder, options["reset"], self._closed, self.interface.typed, self._called)
        self._open.add(session)
        return session

    def _closed(self, session: Session) -> None:
        self._open.discard(session)
        self._closed_calls += session.calls

    def _called(self, call: Call, seen: Observation) -> None:
        if self._listener is not None:
            self._listener(call, seen)

    @contextmanager
    def heard_by(self, listener: Callable[[Call, Observation], None]) -> Generator[None]:
        """Meanwhile the listener is told of each call that is observed in a sandbox of the target."""
        self._listener = listener
        try:
            yield
        finally:
            self._listener = None

    def open_pool(self, *, reset: Reset = "memory") -> tuple[Pool, Recorder]:
        """A pool of one sandbox, and what its host functions see. Raises as `open`."""
        recorder = self.recorder()
        return Pool(self.guest, recorder.providers, size=1, **self._options(reset)), recorder

    def recorder(self) -> Recorder:
        """Host functions for one sandbox. Raises: LinkError, UsageError for one that cannot be used."""
        recorder = Recorder(self.guest.info, self.interface.host, self.host)
        if self.interface.typed is not None:
            for key, provider in self.interface.typed.stand_ins(self.guest, recorder.note).items():
                if recorder.providers.setdefault(key, provider) is provider:
                    recorder.stand_ins.add(key)
        return recorder

    def _options(self, reset: Reset) -> dict[str, Any]:
        return {
            "engine": self.engine,
            "reset": "strict" if self.guest.kind == "elf" else reset,  # a native guest has no other level
            "deadline": self.deadline,
            "allocator": self.interface.allocator,
            "wasi": self.wasi,
        }

    def run(self, case: Case, *, strict: bool = False) -> Run:
        """Run a case in long-lived sandboxes and return its events. `strict` uses the strict reset level."""
        reset: Reset = "strict" if strict else "memory"
        boxes = dict.fromkeys(case.boxes or (0,))
        return run_case({box: self.session(reset, f"box {box}" if box else "main") for box in boxes}, case)

    def call_text(self, call: Call) -> str:
        """The call as Python would write it, with the values of the schema; long ones are shortened."""
        typed = self.interface.typed
        return (typed.text(call) if typed is not None else None) or call_text(call)

    def simpler_fields(self, case: Case, call: int, place: int) -> Iterator[Case] | None:
        """The case with something simpler in field number `place` of a call, for the shrinker; None where the
        call is not typed, or has fewer fields."""
        if self.interface.typed is None:
            return None
        # Imported here: it loads Hypothesis, as all that makes typed calls.
        from hlfuzz.invariants.typed.simplify import simpler_fields

        return simpler_fields(self.interface.typed, case, call, place)

    @property
    def schema(self) -> Schema | None:
        """The schema that calls are typed by, if there is one."""
        return self.interface.typed.interface if self.interface.typed is not None else None

    def session(self, reset: Reset = "memory", role: str = "main") -> Session:
        """The long-lived sandbox of that reset level and role."""
        key = (reset, role)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = self.open(reset=reset)
        return session

    def drop(self, session: Session) -> None:
        """Close a session that may be of no use any more; the next one of its role is a new one."""
        self._sessions = {key: kept for key, kept in self._sessions.items() if kept is not session}
        session.discard()

    def kept(self, name: str, make: Callable[[], _Kept]) -> _Kept:
        """What `make` made when this name was first asked for; it is closed with the target."""
        if name not in self._keep:
            self._keep[name] = make()
        return cast("_Kept", self._keep[name])

    @cached_property
    def pristine(self) -> Pristine:
        """What is known of a sandbox that was opened and never called."""
        with self.open(reset="strict") as fresh:
            registers = dict(fresh.box.cpu_state()) if fresh.is_kvm else {}
            return Pristine(registers, fresh.memory_sizes(), fresh.state_digest())

    @property
    def pristine_digest(self) -> str:
        """`Session.state_digest` of a sandbox that was opened and never called."""
        return self.pristine.digest

    @cached_property
    def addresses(self) -> range:
        """What the guest's pointers are: up to twice the default memory, which they stay below for as long as
        it grows little; a native guest's lie in its program, stack and heap, which never grow."""
        size = self.session().memory_bytes()
        if self.guest.kind == "elf":
            return range(LOWEST_NATIVE_POINTER, size)
        return range(LOWEST_POINTER, 2 * size)

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
                host=self.host,
            )
        return self._peer

    @property
    def twin(self) -> Target | None:
        """The guest that was built as a native program from the same source, with the same interface as far
        as it has it; None when there is none."""
        if self.native is None:
            return None
        native = self.native
        imports = {i.key for i in native.info.imports}
        exports = {e.name for e in native.info.functions_exported}
        interface = replace(
            self.interface,
            methods=tuple(m for m in self.interface.methods if m.name in exports),
            host={name: mode for name, mode in self.interface.host.items() if name in imports},
            allocator=None,
        )
        host = {name: provider for name, provider in self.host.items() if name in imports}
        return self.kept(
            "twin", lambda: Target(native, interface, engine="kvm", deadline=self.deadline, host=host)
        )

    @property
    def calls(self) -> int:
        """Guest calls made so far through its sessions, closed ones and those of `peer` included, and by what
        it keeps."""
        peer = 0 if self._peer is None else self._peer.calls
        kept = sum(k.calls for k in self._keep.values())
        return self._closed_calls + peer + kept + sum(s.calls for s in self._open)

    def close(self) -> None:
        """Closes every session; the target may be used again."""
        for session in tuple(self._open):
            session.close()
        self._sessions.clear()
        for kept in self._keep.values():
            kept.close()
            self._closed_calls += kept.calls
        self._keep.clear()
        if self._peer is not None:
            self._peer.close()

    def __enter__(self) -> Target:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
