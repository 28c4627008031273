"""`Lane`: runs the calls of one dispatched sandbox, one after the other, in the thread that opened it."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar

from greenlet import GreenletExit

from hlfuzz.errors import CallCancelled, ContextBusy, HlfuzzError, SandboxClosed, UsageError
from hlfuzz.sandbox.dispatch.dispatcher import Dispatcher
from hlfuzz.sandbox.dispatch.pending import PendingCall
from hlfuzz.sandbox.dispatch.strand import Strand, current, give_way
from hlfuzz.sandbox.gate import Gate

T = TypeVar("T")

_RARELY: Final = 64
"""A guest whose calls take long is waited for briefly in one of so many."""


class Worker(Protocol):
    """Where the guest runs. Between a hand-over and the end of what was handed over it is away."""

    away: bool

    def end(self) -> Any | None:
        """What was handed over has ended with this; None: it has not."""
        ...

    def wait_end(self) -> Any:
        """Sleep until the end."""
        ...

    def wait_briefly(self) -> Any | None:
        """`end`, after a wait that is shorter than giving way takes; None at once where that is not known."""
        ...

    def kick(self) -> None:
        """Make it end soon."""
        ...

    def bring_back(self) -> None:
        """Make it end, and sleep until then."""
        ...


class Abandoned(BaseException):
    """Raised where a call waits that nobody wants any more, so that it cleans up after itself."""


@dataclass(eq=False, slots=True)
class _HostCall:
    """A coroutine of the host that is awaited; what runs in it may not wait for the same sandbox."""

    lane: Lane
    outer: _HostCall | None
    task: asyncio.Task[Any] | None = None
    is_live: bool = True

    def cancel(self) -> None:
        """Cancel the coroutine, if its loop still runs it."""
        if self.task is not None and not self.task.get_loop().is_closed():
            self.task.cancel()


_inside: ContextVar[_HostCall | None] = ContextVar("hlfuzz_host_call", default=None)


class Turn:
    """One call: the outermost, or one that a coroutine of the host makes in the middle of it."""

    def __init__(self, lane: Lane, work: Callable[[], Any]) -> None:
        self.lane = lane
        self.strand: Strand | None = None
        """What it runs in, from its begin to its end."""
        self.context = copy_context()
        self.pending: PendingCall[Any] = PendingCall(lambda _: lane.cancel(self))
        self.host_call: _HostCall | None = None
        self.unwanted: BaseException | None = None
        """What it is to end with, once nobody wants its result."""
        self.is_told = False
        """Whether `Abandoned` was raised in it."""
        self._work = work
        self._value: Any = None
        self._error: BaseException | None = None

        self.has_ended = False

    def run(self) -> None:
        """Its work, in its strand."""
        try:
            self._value = self._work()
        except GreenletExit:  # nobody is left who could let it go on
            raise
        except BaseException as error:  # for whoever waits for it
            self._error = error
        self.has_ended = True

    def finish(self) -> None:
        """It has ended: tell whoever waits."""
        error = self.unwanted or self._error
        self.pending.finish(None if error else self._value, error)
        if isinstance(self._error, (KeyboardInterrupt, SystemExit)):
            raise self._error


class Lane:
    """The turns of one sandbox. All methods are the owner's."""

    def __init__(self, dispatcher: Dispatcher, gate: Gate) -> None:
        """Raises `WrongThread`: the dispatcher is another thread's."""
        self.dispatcher = dispatcher
        self.loop: Final = dispatcher.loop
        self.worker: Worker | None = None
        """Set when the sandbox is open."""
        self._gate = gate
        self._queue: deque[Turn] = deque()
        self._turns: list[Turn] = []
        """The turn that is in progress, and those of coroutines in the middle of it, innermost last."""
        self._away: Turn | None = None
        """The turn that waits for the worker."""
        self._cancelled: list[asyncio.Task[Any]] = []
        self._is_starting = self._is_closing = False
        self._chance = 0
        """So many commands are not waited for briefly."""
        self._patience = 1
        self.tag = dispatcher.add(self)

    def adopt(self, gate: Gate) -> None:
        """Calls are those of the holder of `gate` from now on."""
        self._gate = gate

    @property
    def is_busy(self) -> bool:
        """Whether a call has not ended."""
        return bool(self._turns)

    @property
    def is_inside(self) -> bool:
        """Whether this is a host function, or a coroutine, that a call waits for."""
        strand = current()
        return self._in_coroutine() or (strand is not None and strand.turn in self._turns)

    def submit(self, work: Callable[[], T]) -> PendingCall[T]:
        """Run `work`, which makes calls of the sandbox, when what was submitted before has ended.

        Raises `ContextBusy` in a coroutine that a call of the same sandbox waits for.
        """
        if self._in_coroutine():
            raise ContextBusy(
                "a call is in progress that waits for this coroutine: call the guest by its Caller's `acall`"
            )
        turn = Turn(self, work)
        self._queue.append(turn)
        self._start_next()
        return turn.pending

    def submit_nested(self, work: Callable[[], T]) -> PendingCall[T]:
        """Run `work` now, in the middle of a call whose host function is a coroutine."""
        turn = Turn(self, work)
        self._turns.append(turn)
        self._go_on(turn)
        return turn.pending

    def cancel(self, turn: Turn, error: BaseException | None = None) -> None:
        """End a turn soon, with `error` or `CallCancelled` in the place of its result."""
        error = error or CallCancelled("call was cancelled (PendingCall.cancel): there is no result")
        if turn in self._queue:
            self._queue.remove(turn)
            turn.pending.finish(None, error)
        elif turn in self._turns and turn.unwanted is None:
            turn.unwanted = error
            if turn is self._away:
                assert self.worker is not None
                self.worker.kick()
            elif turn.host_call is not None:
                turn.host_call.cancel()

    def close(self) -> None:
        """End all calls. Of the host nothing runs for them any more, but what its coroutines do when they are
        cancelled. Raises `ContextBusy` in a host function."""
        if self.is_inside:
            raise ContextBusy("a call is in progress (close in its host function): return from it first")
        self._is_closing = True
        error = SandboxClosed("sandbox was closed (call in progress): await the call first")
        while self._queue:
            self.cancel(self._queue[-1], error)
        while self._turns:
            turn = self._turns[-1]
            turn.unwanted = turn.unwanted or error
            if turn.host_call is not None:
                turn.host_call.cancel()
                if turn.host_call.task is not None:
                    self._cancelled.append(turn.host_call.task)
            if turn is self._away:
                assert self.worker is not None
                self.worker.bring_back()
            self._go_on(turn)
        self.dispatcher.remove(self.tag)

    async def coroutines_ended(self) -> None:
        """Wait for the coroutines that `close` has cancelled."""
        if self._cancelled:
            await asyncio.wait(self._cancelled)

    def ready(self) -> None:
        """What was handed over may have ended."""
        if self._away is None:
            self._start_next()
            return
        assert self.worker is not None
        code = self.worker.end()
        if code is not None:
            self._go_on(self._away, code)

    def pause(self) -> Any:
        """The worker is at work: what it ends with. Gives way in a turn, and sleeps elsewhere."""
        assert self.worker is not None
        strand = current()
        if self._is_closing or strand is None or strand.turn not in self._turns:
            return self.worker.wait_end()
        code = self._wait_briefly(self.worker)
        if code is not None:
            return code
        self._away = strand.turn
        return give_way()

    def _wait_briefly(self, worker: Worker) -> Any | None:
        """Most calls are over before the loop could have turned once. One that was not makes a guest wait for
        its next chance, twice as long each time; and while several sandboxes are used, nobody is waited for,
        so that they run side by side and each gets its share."""
        if self._chance or not self.dispatcher.may_wait(self):
            self._chance = max(0, self._chance - 1)
            return None
        code = worker.wait_briefly()
        if code is None:
            self._patience = min(2 * self._patience, _RARELY)
            self._chance = self._patience
        else:
            self._patience = 1
        return code

    def wait_for(self, awaitable: Awaitable[T], turn: Turn) -> T:
        """The result of what a host function, called in `turn`, wants awaited; gives way until then."""
        if self.loop is None or self._is_closing:
            _discard(awaitable)
            raise UsageError(
                "host function is a coroutine, and the loop is not asyncio's: open the sandbox with "
                "dispatch='asyncio'"
            )
        turn.host_call = host_call = _HostCall(self, _inside.get())
        context = copy_context()
        context.run(_inside.set, host_call)
        task = host_call.task = self.loop.create_task(_awaited(awaitable), context=context)
        task.add_done_callback(lambda _: host_call.is_live and self._go_on(turn))
        try:
            give_way()
        finally:
            host_call.is_live = False
            turn.host_call = None
        if task.cancelled():
            raise HlfuzzError(
                "task of a host function was cancelled (by another task): cancel the call instead"
            )
        return task.result()

    def _in_coroutine(self) -> bool:
        host_call = _inside.get()
        while host_call is not None and not (host_call.lane is self and host_call.is_live):
            host_call = host_call.outer
        return host_call is not None

    def _go_on(self, turn: Turn, value: object = None) -> None:
        """Let a turn go on until it waits or ends; when no turn is left, the next one begins."""
        try:
            self._switch_to(turn, value)
            self._start_next()
        except BaseException:  # of a callback, or an interrupt: what is left must not wait for ever
            self.dispatcher.again(self.tag)
            raise

    def _start_next(self) -> None:
        if self._is_starting:  # further up
            return
        self._is_starting = True
        try:
            while self._queue and not self._turns:
                turn = self._queue.popleft()
                self._turns.append(turn)
                self._switch_to(turn)
        finally:
            self._is_starting = False

    def _switch_to(self, turn: Turn, value: object = None) -> None:
        self._away = None
        self._gate.enter_turn()
        try:
            if turn.strand is None:
                turn.strand = self.dispatcher.strand()
                turn.strand.begin(turn, turn.run, turn.context)
            elif turn.unwanted is None or turn.is_told:
                turn.strand.go_on(value)
            else:
                turn.is_told = True
                turn.strand.go_on_raising(Abandoned())
        finally:
            if turn.has_ended:
                self._turns.remove(turn)
            if self._turns:
                self._gate.leave_turn(away=self._away is not None)
        if turn.has_ended:
            self.dispatcher.give_back(turn.strand)
            turn.strand = None
            turn.finish()


def settled(value: Any) -> Any:
    """What a host function returned; when that is to be awaited, its result. Raises `UsageError` where
    nothing can be awaited: the call was made by `call`, or the sandbox is not dispatched."""
    if not inspect.isawaitable(value):
        return value
    strand = current()
    if strand is not None:
        turn: Turn = strand.turn
        return turn.lane.wait_for(value, turn)
    _discard(value)
    raise UsageError(
        "host function is a coroutine, and the call does not give way: open the sandbox with "
        "dispatch='asyncio' and use acall"
    )


def settling(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, with its result settled."""
    return lambda *args: settled(function(*args))


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _discard(awaitable: Awaitable[Any]) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()
