"""Rules of the machine about calls, what the host writes, and call contexts.

What is done with a sandbox is done in its context while one is open, after it was seen that the sandbox
itself refuses it.
"""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from hlfuzz.invariants.experiments.slate import NOTE_ADDRESS, Place
from hlfuzz.invariants.machine.base import MOST_SPINS, VALUES, Machine
from hlfuzz.invariants.machine.homes import Loop
from hlfuzz.invariants.machine.model import CALL_OPEN, IN_HOST, LATE_CALLER, Failing, Refusal
from hlfuzz.invariants.machine.real import Box, Context, agree, agree_outcome, agree_read

PLACES: Final = st.sampled_from(Place)
HOST_PLACES: Final = st.sampled_from((Place.MEMORY, Place.GLOBAL))
FAILING: Final = st.sampled_from(("trap", "ask"))
COUNTS: Final = st.integers(1, 3)


class CallRules(Machine):
    """What is done in sandboxes."""

    @rule(box=Machine.boxes)
    def begin(self, box: Box) -> None:
        real = box.agree("context()", box.model.refusal, box.real.context)
        if real is not None:
            box.context = Context(real, box.model.open_context())

    def note_in_context(self, box: Box, value: int) -> None:
        """A call notes this in the open context, or in one that is begun for it."""
        if box.context is None:
            self.begin(box)
        self.write(box, Place.MEMORY, value)

    @rule(box=Machine.boxes, place=PLACES, value=VALUES)
    def write(self, box: Box, place: Place, value: int) -> None:
        refusal = self._refusal(box)
        box.agree("a call", refusal, lambda: box.caller.call("write", place, value))
        if refusal is None:
            box.model.write(place, value)
            box.called()

    @rule(box=Machine.boxes, length=VALUES)
    def write_bytes(self, box: Box, length: int) -> None:
        """Of a byte vector the address is no place, so that its length is noted in the last one."""
        refusal = self._refusal(box)
        box.agree("call_bytes()", refusal, lambda: box.caller.call_bytes("write", b"x" * length))
        if refusal is None:
            box.model.write(Place.GROWN, length)
            box.called()

    @rule(box=Machine.boxes)
    def read(self, box: Box) -> None:
        for place in Place:
            notes, refusal = box.model.now, self._refusal(box)
            found = box.agree("a call", refusal, lambda place=place: box.caller.call("read", place))
            if refusal is None:
                agree_read("a call", notes, place, found)
                box.called()

    @rule(box=Machine.boxes, count=COUNTS, reenters=st.booleans())
    def ask(self, box: Box, count: int, reenters: bool) -> None:
        """Perhaps with a host function that uses the sandbox itself; what it was given is of no use later."""
        refusal = self._refusal(box)
        self.host.inside = (lambda: self._reenter(box)) if reenters else None
        answer = self.host.during(
            box.home,
            lambda: box.agree("a call", refusal, lambda: box.caller.call("ask", count)),
            0 if refusal else count,
        )
        wanted = count * (count + 1)
        assert refusal or answer == wanted, f"the guest was answered {answer}, and {wanted} is due"
        self.host.inside = None
        caller = self.host.caller
        if caller is not None:
            agree("a Caller after its host function", LATE_CALLER, lambda: caller.read(NOTE_ADDRESS, 4))
        box.called()

    @staticmethod
    def _reenter(box: Box) -> None:
        refusal = CALL_OPEN if isinstance(box.home, Loop) else IN_HOST  # a coroutine runs beside the call
        agree("a call in its own host function", refusal, lambda: box.real.call("write", 0, 1))
        agree("context() in a host function", refusal, box.real.context)

    @rule(box=Machine.boxes, how=FAILING, value=VALUES, begins=st.booleans())
    def fail(self, box: Box, how: Failing, value: int, begins: bool) -> None:
        """A trap, or a host function that raises; perhaps in a context that is begun for it."""
        if begins and box.context is None:
            self.begin(box)
        self._fail(box, how, value)

    @precondition(lambda self: self.spins < MOST_SPINS)
    @rule(box=Machine.boxes, value=VALUES)
    def spin(self, box: Box, value: int) -> None:
        self.spins += 1
        self._fail(box, "spin", value)

    @rule(box=Machine.boxes, place=HOST_PLACES, value=VALUES)
    def host_writes(self, box: Box, place: Place, value: int) -> None:
        if place is Place.MEMORY:
            box.host_writes(value)
        else:
            box.home.run(box.real, lambda: box.real.globals.__setitem__("page", value))
            box.model.write(place, value)

    @rule(box=Machine.boxes)
    def finish(self, box: Box) -> None:
        if box.context is not None:
            box.agree("finish()", None, box.context.real.finish)
            box.end_context()
            self.verify(box)

    @rule(box=Machine.boxes)
    def begin_another(self, box: Box) -> None:
        """The open context is finished, a new one is begun, and the old one is used."""
        self.finish(box)
        self.begin(box)
        self.use_an_old_context(box)

    @rule(box=Machine.boxes, value=VALUES, begins=st.booleans())
    def leave(self, box: Box, value: int, begins: bool) -> None:
        """The end of a `with` block."""
        if begins:
            self.note_in_context(box, value)
        context = box.context or (box.old[-1] if box.old else None)
        if context is not None:
            real = context.real
            box.agree_warned(
                "leaving a context",
                context.model.warns_when_left,
                lambda: real.__exit__(None, None, None),
            )
            if box.context is not None:
                box.end_context()

    @rule(box=Machine.boxes)
    def use_an_old_context(self, box: Box) -> None:
        for context in box.old[-1:]:
            real, refusal = context.real, context.model.refusal
            box.agree("a call after finish()", refusal, lambda real=real: real.call("write", 0, 1))
            box.agree("finish() again", None, real.finish)
            box.agree("write() after finish()", refusal, lambda real=real: real.write(NOTE_ADDRESS, b"\1"))

    def _fail(self, box: Box, how: Failing, value: int) -> None:
        refusal = self._refusal(box)
        self.host.fails = how == "ask"
        self.host.during(
            box.home,
            lambda: box.agree("a call", refusal, lambda: self._try(box, how, value, refusal)),
            int(how == "ask" and refusal is None),
        )
        self.host.fails = False
        if refusal is None:
            box.model.fail(how, value)
            if box.context is not None:
                box.context.model.poison = how
                box.agree(
                    "a call after a failure", self._refusal(box), lambda: box.caller.call("write", 0, 1)
                )
            box.called()

    @staticmethod
    def _try(box: Box, how: Failing, value: int, refusal: Refusal) -> None:
        if refusal is None:
            agree_outcome("a call", how, lambda: box.caller.try_call(how, value))
        else:
            box.caller.try_call(how, value)

    @staticmethod
    def _refusal(box: Box) -> Refusal:
        if box.context is None:
            return box.model.refusal
        box.agree("a call beside a context", box.model.refusal, lambda: box.real.call("write", 0, 1))
        return box.context.model.refusal
