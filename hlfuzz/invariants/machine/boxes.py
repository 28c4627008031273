"""Rules of the machine about the life of sandboxes: opened, cloned, leased, frozen, reset, ended."""

from __future__ import annotations

from hypothesis.stateful import MultipleResults, consumes, precondition, rule

from hlfuzz.errors import PoolTimeout, SandboxClosed, WrongThread
from hlfuzz.invariants.experiments.lab import in_thread
from hlfuzz.invariants.machine.base import MOST_SNAPSHOTS, POOL_SIZE, VALUES, Machine, nothing
from hlfuzz.invariants.machine.model import BoxModel
from hlfuzz.invariants.machine.real import Box, State, agree, agree_warned
from hlfuzz.sandbox import LeasedSandbox


class BoxRules(Machine):
    """What is done with sandboxes as a whole."""

    @precondition(lambda self: self.has_room)
    @rule(target=Machine.boxes)
    def open(self) -> Box:
        return self.add(self.lab.open(**self.options), BoxModel())

    @precondition(lambda self: self.has_room)
    @rule(target=Machine.boxes, state=Machine.states)
    def clone(self, state: State) -> Box:
        return self.add(self.lab.open(snapshot=state.real, **self.options), BoxModel(state.notes))

    @precondition(lambda self: self.has_room)
    @rule(target=Machine.boxes)
    def lease(self) -> Box | MultipleResults[Box]:
        if self.pool is None:
            self.pool = self.lab.open_pool(size=POOL_SIZE, **self.options)
        pool = self.pool
        leased = sum(box.model.is_leased for box in self.open_boxes)
        real = agree("lease()", PoolTimeout if leased == POOL_SIZE else None, lambda: pool.lease(timeout=0))
        return nothing() if real is None else self.add(real, BoxModel(is_leased=True))

    @precondition(lambda self: self.snapshots < MOST_SNAPSHOTS)
    @rule(target=Machine.states, box=Machine.boxes, value=VALUES)
    def snapshot(self, box: Box, value: int) -> State | MultipleResults[State]:
        """Of its context where one is open, after the host wrote a note."""
        box.host_writes(value)
        if box.context is not None:
            return self.take(box.context.model.refusal, box, box.context.real.snapshot) or nothing()
        return self.take(box.model.refusal, box, box.real.snapshot) or nothing()

    @rule(box=Machine.boxes)
    def reset_to_snapshot(self, box: Box) -> None:
        """Which is refused while a context is open."""
        refusal = box.model.refusal
        agree("reset()", refusal, box.real.reset)
        if refusal is None:
            box.model.reset()
            self.verify(box)

    @rule(box=Machine.boxes)
    def use_in_another_thread(self, box: Box) -> None:
        refusal = (box.context and box.context.model.refusal) or WrongThread

        def use() -> None:
            agree("a call in another thread", refusal, lambda: box.caller.call("write", 0, 1))
            agree("context() in another thread", WrongThread, box.real.context)

        in_thread(use)

    @rule(target=Machine.ended, box=consumes(Machine.boxes))
    def end(self, box: Box) -> Box:
        """Closed, or given back to its pool; perhaps with a context open."""
        if isinstance(box.real, LeasedSandbox):
            self._give_back(box.real, box.model)
        else:
            agree("close()", None, box.real.close)
            box.model.close()
        return box

    @rule(target=Machine.boxes, box=consumes(Machine.boxes), value=VALUES)
    def next_tenant(self, box: Box, value: int) -> Box:
        """A tenant leaves a note and gives the lease back, and another one takes it."""
        if not isinstance(box.real, LeasedSandbox):
            return box
        box.host_writes(value)
        self._give_back(box.real, box.model)
        return self.add(box.real.pool.lease(timeout=0), BoxModel(is_leased=True))

    @staticmethod
    def _give_back(real: LeasedSandbox, model: BoxModel) -> None:
        agree_warned("release()", model.context is not None, None, lambda: real.pool.release(real))
        model.give_back()

    @rule(box=Machine.ended)
    def use_after_end(self, box: Box) -> None:
        real = box.real
        agree("close() again", None, real.close)
        agree("a call after the end", SandboxClosed, lambda: real.call("write", 0, 1))
        agree("context() after the end", SandboxClosed, real.context)
        agree("memory() after the end", SandboxClosed, real.memory)
        for context in (*box.old, *([box.context] if box.context else ())):
            use = context.real.call
            agree("a call of its context", context.model.refusal, lambda use=use: use("write", 0, 1))
