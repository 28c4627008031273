"""Experiments of `callback-thread`: where, when and in which order host functions run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from threading import get_ident
from typing import Final

from hlfuzz.errors import CallCancelled, SandboxClosed
from hlfuzz.invariants.experiments.lab import Experiment, Lab, drive, expect, in_thread, refused, turn
from hlfuzz.model import HostError, Timeout
from hlfuzz.sandbox import Caller, Dispatcher

_COUNT: Final = 5
_ORDER: Final = list(range(1, _COUNT + 1))


def _plain(lab: Lab) -> None:
    """In the caller's thread, in the guest's order, during the call, with the answers reaching the guest."""
    with lab.open() as box:
        answer = box.call("ask", _COUNT)
        _expect_told(lab, _ORDER)
        expect(answer == sum(_ORDER), f"the guest was answered {answer}, the host said {sum(_ORDER)}")
        lab.told.clear()
        with box.context() as context:
            context.call("ask", _COUNT)
            _expect_told(lab, _ORDER, "of a call in a context")
            context.finish()


def _nested(lab: Lab) -> None:
    """A host function that calls the guest, which calls the host, is in the middle of its own run."""
    told: list[str] = []

    def answer(caller: Caller, value: int) -> int:
        told.append(f"begin {value}")
        if value == 2 and len(told) < 4:
            caller.call("ask", 1)
        told.append(f"end {value}")
        return value

    lab.answer = answer
    with lab.open() as box:
        box.call("ask", 2)
    wanted = ["begin 1", "end 1", "begin 2", "begin 1", "end 1", "end 2"]
    expect(told == wanted, f"host functions ran as {told} where the guest called them as {wanted}")
    _expect_told(lab, [1, 2, 1])


def _after_failure(lab: Lab) -> None:
    """None runs after the one that raised, nor after the deadline."""

    def answer(caller: Caller, value: int) -> int:
        if value == 2:
            raise ArithmeticError("no answer to 2")
        return value

    lab.answer = answer
    with lab.open() as box:
        outcome = box.try_call("ask", _COUNT)
        expect(isinstance(outcome, HostError), f"a host function raised, and the call gave {outcome}")
        _expect_told(lab, [1, 2], "in a call whose second host function raised")
        lab.told.clear()
        outcome = box.try_call("ask_then_spin")
        expect(isinstance(outcome, Timeout), f"the guest runs for ever, and the call gave {outcome}")
        _expect_told(lab, [1], "in a call that ran into its deadline")


def _after_end(lab: Lab) -> None:
    """None runs outside of a call: not at the begin or end of a context, of a reset, or of the sandbox."""
    box = lab.open()
    with box.context() as context:
        _expect_none_told(lab, "the begin of a context")
        context.call("ask", 1)
        ends = {"finish()": context.finish, "a second finish()": context.finish, "a reset": box.reset}
        for what, end in ends.items():
            lab.told.clear()
            end()
            _expect_none_told(lab, what)
    with box.context() as context:
        context.call("ask", 1)
        lab.told.clear()
        box.close()
        _expect_none_told(lab, "close()")


def _dispatched(lab: Lab) -> None:
    """With a `Dispatcher` too, and only while events are processed."""
    dispatcher = Dispatcher()
    with lab.open(dispatch=dispatcher, deadline=1.0) as box:
        pending = [box.submit("ask", _COUNT), box.submit("ask", 2)]
        results = [drive(dispatcher, p) for p in pending]
        _expect_told(lab, [*_ORDER, 1, 2], "of two calls submitted at once")
        expect(results == [sum(_ORDER), 3], f"the calls returned {results}")
        context = drive(dispatcher, box.submit_work(box.context))
        lab.told.clear()
        drive(dispatcher, box.submit_work(lambda: context.call("ask", _COUNT)))
        drive(dispatcher, box.submit_work(context.finish))
        _expect_told(lab, _ORDER, "in a dispatched context")


def _cancelled(lab: Lab) -> None:
    """None of a cancelled call runs any more, nor of a queued one; those of the next call do."""
    dispatcher = Dispatcher()
    with lab.open(dispatch=dispatcher, deadline=1.0) as box:
        running, queued = box.submit("ask_then_spin"), box.submit("ask", _COUNT)
        while not lab.told:
            turn(dispatcher)
        running.cancel()
        queued.cancel()
        for pending in (running, queued):
            refused(CallCancelled, "the result of a cancelled call", lambda p=pending: drive(dispatcher, p))
        _expect_told(lab, [1], "of cancelled calls")
        lab.told.clear()
        drive(dispatcher, box.submit("ask", 2))
        _expect_told(lab, [1, 2], "of the call after a cancelled one")


def _closed_in_flight(lab: Lab) -> None:
    """None runs after `close()`, although a call was in progress and others were queued."""
    dispatcher = Dispatcher()
    box = lab.open(dispatch=dispatcher, deadline=1.0)
    pending = [box.submit("ask_then_spin"), box.submit("ask", _COUNT)]
    while not lab.told:
        turn(dispatcher)
    lab.told.clear()
    box.close()
    _expect_none_told(lab, "close()")
    dispatcher.process_events()
    _expect_none_told(lab, "events after close()")
    for one in pending:
        refused(SandboxClosed, "the result of a call after close()", lambda p=one: drive(dispatcher, p))


def _asyncio(lab: Lab) -> None:
    """In the thread of the event loop, coroutines too; a task that is cancelled ends its call."""

    async def slowly(value: int) -> int:
        await asyncio.sleep(0)
        lab.told.append((value, get_ident()))
        return value

    async def use() -> None:
        async with lab.open(dispatch="asyncio", deadline=1.0) as box:
            answer = await box.acall("ask", 2)
            expect(answer == 3, f"the guest was answered {answer} by coroutines, the host 3")
            _expect_told(lab, [1, 1, 2, 2], "that return coroutines")  # each: called, then awaited
            lab.told.clear()
            task = asyncio.ensure_future(box.atry_call("ask_then_spin"))
            while len(lab.told) < 2:
                await asyncio.sleep(0)
            task.cancel()
            ended = await asyncio.gather(task, return_exceptions=True)
            expect(isinstance(ended[0], asyncio.CancelledError), f"a cancelled call ended with {ended[0]!r}")
            _expect_told(lab, [1, 1], "of a cancelled task")

    lab.answer = lambda caller, value: slowly(value)
    in_thread(lambda: asyncio.run(use()))  # this thread may have a loop of its own


def _expect_told(lab: Lab, wanted: list[int], which: str = "") -> None:
    which = f" {which}" if which else ""
    expect(lab.values == wanted, f"host functions{which} ran with {lab.values}, the guest called {wanted}")
    me = get_ident()
    strangers = [value for value, thread in lab.told if thread != me]
    expect(not strangers, f"host functions{which} ran in another thread than the owner's: with {strangers}")


def _expect_none_told(lab: Lab, what: str) -> None:
    expect(not lab.told, f"host functions ran at {what}, with {lab.values}")


CALLBACKS: Final[Mapping[str, Experiment]] = {
    "plain": _plain,
    "nested": _nested,
    "after-failure": _after_failure,
    "after-end": _after_end,
    "dispatched": _dispatched,
    "cancelled": _cancelled,
    "closed-in-flight": _closed_in_flight,
    "asyncio": _asyncio,
}
