"""The engine `inprocess` in a thread of its own: a dispatched sandbox where there is no micro-VM."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias, TypeVar, cast

from hlfuzz.model import Exited, Export, Failure, HostError, LimitExceeded, Stats, Value, Violation
from hlfuzz.sandbox.dispatch.lane import Abandoned, Lane
from hlfuzz.sandbox.engines.base import Engine, EngineName, Entry, HostSide, HostState, Returned
from hlfuzz.vmm import BytesForm, Change, Core, Piece, Region, Room, Searched, Template

T = TypeVar("T")


class Stoppable(Engine, Protocol):
    """An engine whose guest another thread can stop."""

    def stop(self) -> None:
        """End the guest's code soon; what comes of it is not to be used, and a reset must follow."""
        ...


@dataclass(frozen=True, slots=True)
class _HostCall:
    """The guest called a host function."""

    index: int
    args: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class _Ended:
    """A job of the thread, or a host function of the owner, has ended."""

    value: Any = None
    error: BaseException | None = None

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


_Job: TypeAlias = Callable[[], Any]


class ThreadedEngine:
    """Has a thread do what the engine that `make` opens does. Raises what `make` raises."""

    def __init__(self, host: HostSide, lane: Lane, make: Callable[[HostSide], Stoppable]) -> None:
        self._host = host
        self._lane = lane
        self._to_thread: SimpleQueue[_Job | _Ended | None] = SimpleQueue()
        self._to_owner: SimpleQueue[_HostCall | _Ended] = SimpleQueue()
        self._process = os.getpid()
        self._depth = 0
        """Host functions that run."""
        self._asked = 0
        """Host calls that the thread waits for."""
        self._closed = False
        self._stop: Callable[[], None] = _nothing
        self.away = False
        lane.worker = self
        self._thread = threading.Thread(target=self._serve, name="hlfuzz-dispatch", daemon=True)
        self._thread.start()
        try:
            self._engine: Stoppable = self._job(
                lambda: make(_FromThread(host, self._call_host)), self.wait_end
            )
        except BaseException:
            self._end_job(0)
            self._to_thread.put(None)
            raise
        self._stop = self._engine.stop

    @property
    def name(self) -> EngineName:
        return "inprocess"

    @property
    def troubled(self) -> bool:
        return self._engine.troubled

    @troubled.setter
    def troubled(self, troubled: bool) -> None:
        self._engine.troubled = troubled

    # What the lane asks

    def end(self) -> _HostCall | _Ended | None:
        try:
            return self._came(self._to_owner.get_nowait())
        except Empty:
            return None

    def wait_end(self) -> _HostCall | _Ended:
        return self._came(self._to_owner.get())

    def wait_briefly(self) -> _HostCall | _Ended | None:
        return None

    def kick(self) -> None:
        self._stop()

    def bring_back(self) -> None:
        while self.away:
            self._stop()
            self.wait_end()

    # What an engine does

    def entry(self, export: Export) -> Entry:
        inner = self._engine.entry(export)

        def call(args: tuple[object, ...], reset: bool) -> Returned | Failure:
            return self._run(lambda: inner(args, reset), self._lane.pause)

        return call

    def bytes_entry(self, export: Export, form: BytesForm, room: Room) -> Entry | None:
        return None

    def reset(self) -> None:
        self._run(self._engine.reset, self._lane.pause)

    def memory_size(self, memory: Export) -> int:
        return self._look(lambda: self._engine.memory_size(memory))

    def memory_writable(self, memory: Export) -> tuple[range, ...]:
        return self._look(lambda: self._engine.memory_writable(memory))

    def memory_read(self, memory: Export, address: int, length: int) -> bytes | None:
        return self._look(lambda: self._engine.memory_read(memory, address, length))

    def memory_write(self, memory: Export, address: int, data: bytes) -> bool:
        return self._look(lambda: self._engine.memory_write(memory, address, data))

    def global_get(self, export: Export) -> Value:
        return self._look(lambda: self._engine.global_get(export))

    def global_set(self, export: Export, value: Value) -> None:
        self._look(lambda: self._engine.global_set(export, value))

    def is_clean(self) -> bool:
        return bool(self._look(self._engine.is_clean))

    def ping(self) -> bool:
        return self._look(self._engine.ping)

    def verify(self) -> int | None:
        return self._look(self._engine.verify)

    def region_hash(self, region: Region) -> int | None:
        return self._look(lambda: self._engine.region_hash(region))

    def find(self, needle: bytes, region: Searched) -> tuple[int, ...] | None:
        return self._look(lambda: self._engine.find(needle, region))

    def differences(self, *, read_only: bool, limit: int) -> list[Piece] | None:
        return self._look(lambda: self._engine.differences(read_only=read_only, limit=limit))

    def cpu_state(self) -> dict[str, bytes] | None:
        return self._look(self._engine.cpu_state)

    def meddle(self, change: Change | None) -> int | None:
        return self._look(lambda: self._engine.meddle(change))

    def snapshot(self) -> Template | None:
        return self._look(self._engine.snapshot)

    def kept_core(self) -> Core | None:
        return self._look(self._engine.kept_core)

    def take_core(self) -> Core | None:
        return self._look(self._engine.take_core)

    def stats(self) -> Stats:
        return self._look(self._engine.stats)

    def close(self) -> None:
        if not self._closed and self._process == os.getpid():
            self._closed = True
            self._look(self._engine.close)
            self._to_thread.put(None)
            self._thread.join()

    # In the owner's thread

    def _look(self, job: Callable[[], T]) -> T:
        """What is over soon, and not worth giving way for."""
        return self._run(job, self.wait_end)

    def _run(self, job: Callable[[], T], pause: Callable[[], Any]) -> T:
        depth, asked = self._depth, self._asked
        try:
            return self._job(job, pause)
        except BaseException:
            if self.away or self._asked > asked:
                # it is left before it has ended: the outermost call leaves a fresh guest behind
                self._end_job(asked)
                self._depth = depth
                self._host.unwound(depth)
                if depth == 0:
                    self._job(self._engine.reset, self._lane.pause)
            raise

    def _job(self, job: Callable[[], T], pause: Callable[[], Any]) -> T:
        """Have the thread do a job; `pause` waits for what comes of it. The guest's host calls run here."""
        self._hand_over(job)
        while isinstance(event := pause(), _HostCall):
            ended = self._invoke(event)
            self._asked -= 1
            self._hand_over(ended)
        return event.result()

    def _invoke(self, call: _HostCall) -> _Ended:
        self._depth += 1
        try:
            return _Ended(self._host.invoke(call.index, call.args, self))
        except Abandoned:
            raise
        except BaseException as error:  # the engine decides what it means
            return _Ended(error=error)
        finally:
            self._depth -= 1

    def _hand_over(self, what: _Job | _Ended) -> None:
        self.away = True
        self._to_thread.put(what)

    def _came(self, event: _HostCall | _Ended) -> _HostCall | _Ended:
        self.away = False
        self._asked += isinstance(event, _HostCall)
        return event

    def _end_job(self, asked: int) -> None:
        """Until the thread waits for no more than so many host calls: stop the guest, refuse host calls."""
        self.bring_back()
        while self._asked > asked:
            self._asked -= 1
            self._hand_over(_Ended(error=Abandoned()))
            self.bring_back()

    # In the engine's thread

    def _serve(self) -> None:
        while (job := self._to_thread.get()) is not None:
            assert not isinstance(job, _Ended)
            self._do(job)

    def _call_host(self, index: int, args: tuple[Value, ...], engine: Stoppable) -> tuple[Value, ...]:
        """Have the owner run a host function; meanwhile do what it asks for."""
        self._engine = engine  # a guest that is starting calls before `make` has returned
        self._tell(_HostCall(index, args))
        while True:
            what = self._to_thread.get()
            assert what is not None
            if isinstance(what, _Ended):
                return what.result()
            self._do(what)

    def _do(self, job: _Job) -> None:
        try:
            ended = _Ended(job())
        except BaseException as error:  # for the owner
            ended = _Ended(error=error)
        self._tell(ended)

    def _tell(self, event: _HostCall | _Ended) -> None:
        self._to_owner.put(event)
        self._lane.dispatcher.post(self._lane.tag)


def _nothing() -> None:
    """Before it is open, an engine cannot be stopped: its start has a deadline of its own."""


class _FromThread:
    """The host's side as the engine in the thread sees it (`HostSide`)."""

    def __init__(
        self, host: HostSide, call: Callable[[int, tuple[Value, ...], Stoppable], tuple[Value, ...]]
    ) -> None:
        self._host = host
        self._call = call

    @property
    def state(self) -> HostState | None:
        return self._host.state

    @property
    def globals(self) -> Mapping[int, Value]:
        return self._host.globals

    def starting(self) -> None:
        self._host.starting()

    def started(self, saved: Any = None) -> None:
        self._host.started(saved)

    def invoke(self, index: int, args: tuple[Value, ...], engine: Engine) -> tuple[Value, ...]:
        return self._call(index, args, cast("Stoppable", engine))

    def unwound(self, depth: int) -> None:
        """Of host functions the owner knows more."""

    def failure(self, index: int, error: Exception) -> HostError | Violation | Exited | LimitExceeded:
        return self._host.failure(index, error)
