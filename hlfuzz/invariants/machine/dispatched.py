"""Rules of the machine about dispatched calls in progress: turns, ends, and what is refused beside them."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hlfuzz.errors import CallCancelled, SandboxClosed
from hlfuzz.invariants.experiments.slate import Place
from hlfuzz.invariants.machine.base import VALUES, Machine
from hlfuzz.invariants.machine.boxes import BoxRules
from hlfuzz.invariants.machine.homes import Turns
from hlfuzz.invariants.machine.model import CALL_OPEN, Refused
from hlfuzz.invariants.machine.real import Box, agree
from hlfuzz.sandbox import PendingCall
from hlfuzz.sandbox.engines.base import Returned

COUNTS: Final = st.integers(1, 3)

CANCELLED: Final = Refused(CallCancelled, "call was cancelled")
CLOSED_MEANWHILE: Final = Refused(SandboxClosed, "sandbox was closed (call in progress)")


class DispatchRules(BoxRules):
    """What is done with calls that were handed over and not waited for: of sandboxes whose loop the test
    turns, because nothing of them ends between two turns."""

    @rule(box=Machine.boxes, other=Machine.boxes, count=COUNTS, value=VALUES, cancels=st.booleans())
    def call_side_by_side(self, box: Box, other: Box, count: int, value: int, cancels: bool) -> None:
        """Two calls of one sandbox, the second of them queued and perhaps cancelled, and one of another."""
        home = box.home
        if not self._may_hand_over(box) or not isinstance(home, Turns):
            return
        has_other = other is not box and self._may_hand_over(other)

        def side_by_side() -> list[Returned]:
            asked = self._submit(box, count)
            queued = box.real.submit_work(lambda: box.caller.call("write", Place.MEMORY, value))
            more = [self._submit(other, count + 1)] if has_other else []
            self._in_progress(box)
            if cancels:
                queued.cancel()
                agree("a cancelled call", CANCELLED, lambda: home.finish(queued))
            results = [agree("a call", None, lambda p=p: home.finish(p)) for p in (asked, *more)]
            if not cancels:
                agree("a queued call", None, lambda: home.finish(queued))
            return results

        counts = (count, count + 1) if has_other else (count,)
        answers = self.host.during(home, side_by_side, *counts)
        assert answers == [n * (n + 1) for n in counts], f"the guests were answered {answers} for {counts}"
        if not cancels:
            box.model.write(Place.MEMORY, value)
        for one in (box, other) if has_other else (box,):
            one.called()

    @rule(box=Machine.boxes, count=COUNTS)
    def cancel_in_progress(self, box: Box, count: int) -> None:
        """The guest is stopped before its host function has run, and the sandbox is at its snapshot."""
        home = box.home
        if not self._may_hand_over(box) or not isinstance(home, Turns) or box.context is not None:
            return

        def cancel() -> None:
            asked = self._submit(box, count)
            self._in_progress(box)
            asked.cancel()
            agree("a cancelled call", CANCELLED, lambda: home.finish(asked))

        self.host.during(home, cancel, 0)
        box.called()

    def close_in_progress(self, box: Box) -> None:
        """Calls that were handed over end with the sandbox, and no host function runs for them."""

        def close() -> None:
            calls = [self._submit(box, 1) for _ in range(2)] if self._may_hand_over(box) else []
            agree("close()", None, lambda: box.home.end(box.real))
            for call in calls:
                assert call.done, "a call is in progress after close()"
                agree("a call that was in progress", CLOSED_MEANWHILE, call.result)

        self.host.during(box.home, close, 0)
        box.model.close()

    @staticmethod
    def _may_hand_over(box: Box) -> bool:
        context_refusal = box.context and box.context.model.refusal
        return isinstance(box.home, Turns) and not box.model.is_closed and context_refusal is None

    @staticmethod
    def _submit(box: Box, count: int) -> PendingCall[Returned]:
        return box.real.submit_work(lambda: box.caller.call("ask", count))

    @staticmethod
    def _in_progress(box: Box) -> None:
        real = box.real
        for what, use in (
            ("a call", lambda: real.call("write", 0, 1)),
            ("context()", real.context),
            ("reset()", real.reset),
            ("memory()", real.memory),
        ):
            agree(f"{what} beside a call in progress", CALL_OPEN, use)
