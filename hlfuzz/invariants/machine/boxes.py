"""Rules of the machine about the life of sandboxes: opened, cloned, frozen, reset, closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, consumes, precondition, rule

from hlfuzz.errors import UsageError
from hlfuzz.invariants.experiments.lab import in_thread
from hlfuzz.invariants.experiments.slate import slate
from hlfuzz.invariants.machine.base import MOST_SNAPSHOTS, VALUES, Machine, nothing
from hlfuzz.invariants.machine.calls import CallRules
from hlfuzz.invariants.machine.model import CLOSED, OTHER_THREAD, BoxModel, Refused
from hlfuzz.invariants.machine.real import Box, State, agree
from hlfuzz.sandbox import LeasedSandbox, Snapshot

OWN_HOMES: Final = st.sampled_from(("here", "turns", "loop"))
"""Of sandboxes that are no pool's."""
ONLY_STRICT: Final = Refused(UsageError, "loaded from a file needs the reset level strict")


class BoxRules(CallRules):
    """What is done with sandboxes as a whole."""

    @precondition(lambda self: self.has_room)
    @rule(target=Machine.boxes, home=OWN_HOMES)
    def open(self, home: str) -> Box:
        where = self.home(home)
        return self.add(self.open_box(where), BoxModel(), where)

    @precondition(lambda self: self.has_room)
    @rule(target=Machine.boxes, state=Machine.states, home=OWN_HOMES)
    def clone(self, state: State, home: str) -> Box:
        where = self.home(home)
        model = BoxModel(state.notes, from_file=state.from_file)
        return self.add(self.clone_of(state, where), model, where)

    @precondition(lambda self: self.snapshots < MOST_SNAPSHOTS)
    @rule(target=Machine.states, box=Machine.boxes, value=VALUES)
    def snapshot(self, box: Box, value: int) -> State | MultipleResults[State]:
        """Of its context where one is open, after the host wrote a note."""
        box.host_writes(value)
        if box.context is not None:
            return self.take(box.context.model.refusal, box, box.context.real.snapshot) or nothing()
        return self.take(box.model.refusal, box, box.real.snapshot) or nothing()

    @precondition(lambda self: self.snapshots < MOST_SNAPSHOTS)
    @rule(target=Machine.states, state=Machine.states, compress=st.booleans())
    def save_and_load(self, state: State, compress: bool) -> State:
        """With the level "memory" no sandbox is made of what comes from a file."""
        self.snapshots += 1
        path = self.folder / "snapshot"
        state.real.save(path, compress=compress)
        loaded = State(Snapshot.load(path, slate()), state.notes, from_file=True)
        if self.reset == "memory":
            agree("a clone", ONLY_STRICT, lambda: self.lab.open(snapshot=loaded.real, **self.options))
        self.look_into(loaded)
        return loaded

    @rule(box=Machine.boxes)
    def reset_to_snapshot(self, box: Box) -> None:
        """Which is refused while a context is open."""
        refusal = box.model.refusal
        box.agree("reset()", refusal, box.real.reset)
        if refusal is None:
            box.model.reset()
            self.verify(box)

    @rule(box=Machine.boxes)
    def use_in_another_thread(self, box: Box) -> None:
        refusal = (box.context and box.context.model.refusal) or OTHER_THREAD

        def use() -> None:
            agree("a call in another thread", refusal, lambda: box.caller.call("write", 0, 1))
            agree("context() in another thread", OTHER_THREAD, box.real.context)

        in_thread(use)

    @rule(target=Machine.ended, box=consumes(Machine.boxes), value=VALUES, begins=st.booleans())
    def end(self, box: Box, value: int, begins: bool) -> Box:
        """Closed, or given back to its pool; perhaps with a context open, or calls in progress."""
        if begins:
            self.note_in_context(box, value)
        real = box.real
        if isinstance(real, LeasedSandbox):
            self.give_back(box, lambda: real.pool.release(real))
        else:
            self.close_in_progress(box)
        self.use_after_end(box)
        return box

    def give_back(self, box: Box, give_back: Callable[[], object]) -> None:
        """End a lease, in the way that is given."""
        raise NotImplementedError

    def close_in_progress(self, box: Box) -> None:
        """End any other."""
        raise NotImplementedError

    @rule(box=Machine.ended)
    def use_after_end(self, box: Box) -> None:
        real, refusal = box.real, box.model.refusal or CLOSED
        box.agree("close() again", None, real.close)
        box.agree("a call after the end", refusal, lambda: real.call("write", 0, 1))
        box.agree("context() after the end", refusal, real.context)
        box.agree("memory() after the end", refusal, real.memory)
        for context in (*box.old, *([box.context] if box.context else ())):
            of, model = context.real, context.model
            box.agree("a call of its context", model.refusal, lambda of=of: of.call("write", 0, 1))
            box.agree("finish() of its context", None if model.is_finished else refusal, of.finish)
