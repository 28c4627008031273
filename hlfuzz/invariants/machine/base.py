"""What all rules of the machine share: the sandboxes so far, the pool, and the comparison after each step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, ClassVar, Final

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple

from hlfuzz.errors import HlfuzzError, HlfuzzWarning, UsageError
from hlfuzz.invariants.experiments.lab import Lab
from hlfuzz.invariants.machine.homes import Home, Loop, Thread, Turns
from hlfuzz.invariants.machine.model import BoxModel, Refusal, Refused
from hlfuzz.invariants.machine.real import Box, Host, State, agree_seen
from hlfuzz.invariants.target import EngineName, Reset
from hlfuzz.sandbox import LeasedSandbox, Pool, Sandbox, Snapshot, why_no_kvm

MOST_BOXES: Final = 3
"""With so many open, leases included, no more are opened."""
POOL_SIZE: Final = 2
MOST_SNAPSHOTS: Final = 6
MOST_SPINS: Final = 1
"""Endless loops in one run: each takes as long as a deadline."""

VALUES: Final = st.integers(1, 7)
"""What is noted: of a table, a place in it."""

NO_SNAPSHOTS: Final = Refused(UsageError, "needs a micro-VM (engine inprocess)")
"""On the engine `inprocess`."""


def nothing() -> MultipleResults[Any]:
    """What a rule gives that was refused."""
    return multiple()


@dataclass(eq=False)
class Waiting:
    """A thread that waits for a lease."""

    home: Thread
    lease: Future[LeasedSandbox]


class Machine(RuleBasedStateMachine):
    """The options, and what there is at a moment."""

    engine: ClassVar[EngineName] = "auto"
    """As in `Sandbox`."""
    reset: ClassVar[Reset] = "strict"
    """As in `Sandbox`."""
    options: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Further options of `Sandbox`: transport, deadline, …"""

    boxes: Bundle[Box] = Bundle("boxes")
    ended: Bundle[Box] = Bundle("ended")
    states: Bundle[State] = Bundle("states")

    def __init__(self) -> None:
        super().__init__()
        self.lab = Lab(self.engine, self.reset)
        self.host = Host(self.lab)
        self.all_boxes: list[Box] = []
        self.pool: Pool | None = None
        self.pool_is_closed = False
        self.waiting: list[Waiting] = []
        self.served: list[Box] = []
        """Leased by who had to wait, and not used yet."""
        self.snapshots = self.spins = 0
        self.homes: dict[str, Home] = {"here": Home()}
        self._ends = ExitStack()
        self.is_kvm = self.engine == "kvm" or (self.engine == "auto" and not why_no_kvm())

    @property
    def open_boxes(self) -> list[Box]:
        """Those that are not closed."""
        return [box for box in self.all_boxes if not box.model.is_closed]

    @property
    def has_room(self) -> bool:
        """Whether one more sandbox may be opened."""
        return len(self.open_boxes) < MOST_BOXES

    @property
    def leased(self) -> int:
        """How many sandboxes of the pool are leased."""
        return sum(box.model.is_leased for box in self.open_boxes)

    def add(self, real: Sandbox, model: BoxModel, home: Home) -> Box:
        """A sandbox that takes part from here on."""
        box = Box(real, model, home)
        self.all_boxes.append(box)
        return box

    def home(self, name: str) -> Home:
        """ "here", "turns", "loop", or a thread by any other name; made when it is first needed."""
        if name not in self.homes:
            self.homes[name] = {"turns": Turns, "loop": Loop}.get(name, Thread)()
        return self.homes[name]

    def new_home(self) -> Thread:
        """One more thread."""
        home = self.homes[f"thread {len(self.homes)}"] = Thread()
        return home

    def open_box(self, home: Home, **options: Any) -> Sandbox:
        """A sandbox that lives there."""
        lab = self.host.waiting if isinstance(home, Loop) else self.lab
        return home.make(lambda: lab.open(dispatch=home.dispatch, **{**self.options, **options}))

    @cached_property
    def folder(self) -> Path:
        """Where snapshots are saved; it ends with the machine."""
        return Path(self._ends.enter_context(TemporaryDirectory(prefix="hlfuzz-")))

    def take(self, refusal: Refusal, box: Box, take: Callable[[], Snapshot]) -> State | None:
        """A snapshot of the state as it is now, which a sandbox made from it begins with."""
        self.snapshots += 1
        real = box.agree("snapshot()", refusal or (None if self.is_kvm else NO_SNAPSHOTS), take)
        if real is None:
            return None
        state = State(real, box.model.now, box.model.from_file)
        self.look_into(state)
        return state

    def look_into(self, state: State) -> None:
        """A sandbox that is made of a snapshot begins with what is in it."""
        with self.clone_of(state) as clone:
            agree_seen(Box(clone, BoxModel(state.notes), self.homes["here"]))

    def clone_of(self, state: State, home: Home | None = None) -> Sandbox:
        """A sandbox made of a snapshot; of one from a file with reset="strict", as it must be."""
        options = {"reset": "strict"} if state.from_file else {}
        return self.open_box(home or self.homes["here"], snapshot=state.real, **options)

    def verify(self, box: Box) -> None:
        """All of the VM's RAM must be as in the snapshot, right after a reset."""
        pages = box.home.run(box.real, box.real.verify) if self.is_kvm else 0
        assert not pages, f"{pages} pages of the VM's RAM differ from the snapshot after a reset"

    @invariant()
    def agrees(self) -> None:
        for box in self.open_boxes:
            agree_seen(box)
        assert not self.host.wrong, self.host.wrong

    def teardown(self) -> None:
        # How a sandbox ends is for the rules: an error here would hide what was found before.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", HlfuzzWarning)
            if self.pool is not None:
                with suppress(HlfuzzError):
                    self.pool.close(timeout=0)  # and nobody waits for a lease any more
            for box in self.open_boxes:
                with suppress(HlfuzzError):
                    self.put_away(box)
        for home in self.homes.values():
            home.close()
        self._ends.close()
        assert not self.host.wrong, self.host.wrong

    @staticmethod
    def put_away(box: Box) -> None:
        """Close it, or give it back."""
        real = box.real
        if isinstance(real, LeasedSandbox):
            box.home.run(real, lambda: real.pool.release(real))
        else:
            box.home.end(real)
