"""What a sandbox asks of an engine, and what an engine asks of the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from hlfuzz.guest import CallLimits, Guest
from hlfuzz.model import Exited, Export, Failure, HostError, LimitExceeded, Stats, Value, Violation
from hlfuzz.vmm import BytesForm, Change, Core, Piece, Region, Room, Searched, Template

if TYPE_CHECKING:
    from hlfuzz.sandbox.dispatch.lane import Lane

Returned: TypeAlias = Value | tuple[Value, ...] | None
"""A call's results as `.call()` gives them: None, the value, or a tuple of two or more."""

Entry: TypeAlias = Callable[[tuple[object, ...], bool], "Returned | Failure"]
"""Calls one export: `entry(args, reset)`. Checks the arguments (`UsageError`); with `reset` the state is the
snapshot's again when it returns, whatever happened. A timeout and an exceeded limit restore the snapshot even
without `reset`."""

EngineName: TypeAlias = Literal["kvm", "inprocess"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a sandbox runs, the same for all engines; one that an engine has no use for is ignored by it."""

    reset: Literal["strict", "memory"] = "strict"
    transport: Literal["auto", "spin", "exit"] = "auto"
    cpu: int | None = None
    deadline_us: int = 1_000_000
    wall_deadline_us: int = 10_000_000
    verify: int = 0
    limits: CallLimits = field(default_factory=CallLimits)
    snapshot: Callable[[bytes], Template] | None = None
    """Where it begins, given the values of the imported globals (`hlfuzz.vmm.global_values`); None: at its
    boot."""
    lane: Lane | None = None
    """Of a sandbox that is dispatched: the guest runs in a thread of its own."""
    evidence: bool = False
    """Keep the guest's state when a call fails, for `Engine.kept_core`."""


class HostState(Protocol):
    """What some host functions of a sandbox remember of its guest: part of the snapshot, and reset with it.

    They answer from this alone, so that a guest which calls no others when it starts has the same snapshot
    each time.
    """

    @property
    def key(self) -> Hashable:
        """Equal for two whose functions answer the same."""
        ...

    def covers(self, index: int) -> bool:
        """Whether the provider of import `index` answers from this state alone."""
        ...

    def starting(self) -> None:
        """The guest is about to start: the state is the first one."""
        ...

    def save(self) -> object:
        """The state as it is now; never changed afterwards."""
        ...

    def load(self, saved: Any) -> None:
        """The guest has started, or a snapshot was loaded: what `save` gave is the state and the
        snapshot's."""
        ...

    def reset(self) -> None:
        """Back to the snapshot's; again does no harm."""
        ...


class HostSide(Protocol):
    """The host functions and imported values of one sandbox, as engines see them."""

    @property
    def state(self) -> HostState | None:
        """What a reset of the guest must bring back on the host's side, if anything."""
        ...

    def starting(self) -> None:
        """The guest is about to start; what it asks for is not part of a call."""
        ...

    def started(self, saved: Any = None) -> None:
        """It has started, now or (`saved`) when its snapshot was made."""
        ...

    @property
    def globals(self) -> Mapping[int, Value]:
        """Values of imported globals by position in the import list, in canonical form."""
        ...

    def invoke(self, index: int, args: tuple[Value, ...], engine: Engine) -> tuple[Value, ...]:
        """Run the provider of import `index`, called by the guest in `engine`; canonical values both ways.

        May raise anything.
        """
        ...

    def unwound(self, depth: int) -> None:
        """An exception has left all but `depth` of the running host functions, perhaps (Ctrl-C) before they
        could say so themselves."""
        ...

    def failure(self, index: int, error: Exception) -> HostError | Violation | Exited | LimitExceeded:
        """The outcome of a call in which `invoke` raised `error`: a violation, the guest's own end, or
        an exceeded limit, if that is what it says."""
        ...


class Engine(Protocol):
    """One guest instance that can be called and brought back to its snapshot. One thread at a time."""

    @property
    def troubled(self) -> bool:
        """Set when a call ends by anything else than its return; whoever looks clears it."""
        ...

    @troubled.setter
    def troubled(self, troubled: bool) -> None: ...

    @property
    def name(self) -> EngineName: ...

    def entry(self, export: Export) -> Entry:
        """How to call an exported function whose signature has no reference types."""
        ...

    def bytes_entry(self, export: Export, form: BytesForm, room: Room) -> Entry | None:
        """How to call an export with a byte vector as its first argument, in the place of its first two
        parameters, in one step: `entry((data, *others), reset)`. None: not in this engine.

        Not for nested calls. A vector outside memory is a `Violation`.
        """
        ...

    def reset(self) -> None:
        """Bring all state back to the snapshot."""
        ...

    def memory_size(self, memory: Export) -> int:
        """Bytes of an exported memory."""
        ...

    def memory_writable(self, memory: Export) -> tuple[range, ...]:
        """Where an exported memory may be written, by address."""
        ...

    def memory_read(self, memory: Export, address: int, length: int) -> bytes | None:
        """A copy of guest memory; None when out of range."""
        ...

    def memory_write(self, memory: Export, address: int, data: bytes) -> bool:
        """Write guest memory; False (and nothing written) when out of range."""
        ...

    def global_get(self, export: Export) -> Value:
        """Value of an exported global of a numeric or vector type, in canonical form."""
        ...

    def global_set(self, export: Export, value: Value) -> None:
        """Set an exported mutable global to a value in canonical form."""
        ...

    @property
    def is_clean(self) -> Callable[[], object]:
        """Whether it is at its snapshot: no guest code ran, and nothing was written, since the last reset."""
        ...

    def ping(self) -> bool:
        """Whether the guest side still answers; leaves it to be reset."""
        ...

    def verify(self) -> int | None:
        """Pages of guest RAM that differ from the snapshot; None where the engine has no such memory."""
        ...

    def region_hash(self, region: Region) -> int | None:
        """Hash of a region of guest RAM; None where the engine has no such memory."""
        ...

    def find(self, needle: bytes, region: Searched) -> tuple[int, ...] | None:
        """The first address of guest RAM or the mailbox where `needle` is, if it is there; None where the
        engine has no such memory."""
        ...

    def differences(self, *, read_only: bool, limit: int) -> list[Piece] | None:
        """Bytes that differ from the snapshot; None where the engine has no such memory."""
        ...

    def cpu_state(self) -> dict[str, bytes] | None:
        """All registers of the guest's CPU that the host can read; None where the guest has none of its
        own."""
        ...

    def meddle(self, change: Change | None) -> int | None:
        """`hlfuzz.vmm.meddle`; None where the engine shares no memory with the guest."""
        ...

    def snapshot(self) -> Template | None:
        """The state right now; None where the engine cannot freeze one. Raises `UsageError` while a call is
        open, `EnvironmentProblem`."""
        ...

    def kept_core(self) -> Core | None:
        """The state that was kept when a call last failed, given once; None when none was."""
        ...

    def take_core(self) -> Core | None:
        """The state right now; None where the engine cannot. Raises `UsageError` while a call runs."""
        ...

    def stats(self) -> Stats:
        """Counters since it was opened."""
        ...

    def close(self) -> None:
        """Free everything; more than once is fine."""
        ...


OpenEngine: TypeAlias = Callable[[Guest, HostSide, Options], Engine]
"""Boots a guest. Raises `ModuleError`, `StartError`, `EnvironmentProblem`."""
