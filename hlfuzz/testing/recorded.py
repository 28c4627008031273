"""`RecordedSandbox`: a sandbox that remembers what a test called, as cases that can be made again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, cast

from hlfuzz.errors import UsageError
from hlfuzz.invariants import Case
from hlfuzz.model import Call, CallRecord, Failure, Value
from hlfuzz.sandbox import CallContext, ResultForm, Returned, Sandbox, Trace

MAX_RECORDS: Final = 10_000
"""Calls that are remembered; of more, the last ones are."""


class RecordedSandbox(Sandbox):
    """A `Sandbox` whose `records` are the calls that it has made, with their host calls, outside contexts
    and in them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.records: deque[CallRecord] = deque(maxlen=MAX_RECORDS)
        self._made: deque[tuple[int, Call]] = deque(maxlen=MAX_RECORDS)
        self._contexts = 0
        self._last: CallContext | None = None
        self._users: Trace | None = None
        super().__init__(*arguments, **options)

    @property
    def trace(self) -> Trace | None:
        """As `Sandbox.trace`."""
        return self._users

    @trace.setter
    def trace(self, trace: Trace | None) -> None:
        self._users = trace
        set_trace = Sandbox.trace.fset
        assert set_trace is not None
        set_trace(self, self._record)

    def context(self) -> CallContext:
        self._contexts += 1
        self._last = super().context()
        return self._last

    def run(
        self, function: str, args: tuple[object, ...], form: ResultForm, *, reset: bool
    ) -> Returned | Failure:
        made = _call(function, args)
        try:
            return super().run(function, args, form, reset=reset)
        except UsageError:
            made = None  # it was refused, and nothing ran
            raise
        finally:
            if made is not None:
                self._made.append((0 if reset else self._contexts, made))

    def restart(self) -> None:
        """Be as when it was opened: whatever a context that is still open did is gone."""
        if self._last is not None and not self._last.finished:
            self._last.finish()
        self.reset()
        self.forget()

    def cases(self) -> list[Case]:
        """What was called since `forget`: a case for each context, and for each run of calls outside one."""
        return list(dict.fromkeys(_cases(self._made)))

    def forget(self) -> None:
        """What was called until now is no longer asked for."""
        self._made.clear()

    def _record(self, record: CallRecord) -> None:
        self.records.append(record)
        if self._users is not None:
            self._users(record)


def _cases(made: Sequence[tuple[int, Call]]) -> list[Case]:
    groups = groupby(made, key=lambda one: one[0])
    return [Case(tuple(call for _, call in calls), context=number > 0) for number, calls in groups]


def _call(function: str, args: tuple[object, ...]) -> Call | None:
    """The call as data; None for one that was refused, as it has an argument that no call can have."""
    values: list[Value] = []
    for arg in args:
        if isinstance(arg, int | float | bytes):
            values.append(arg)
        elif isinstance(arg, bytearray | memoryview):
            values.append(bytes(cast("memoryview[int]", arg)))
        else:
            return None
    return Call(function, tuple(values))
