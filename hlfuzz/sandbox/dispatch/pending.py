"""`PendingCall`: a call that was handed over, and its result once there is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from hlfuzz.errors import UsageError

T = TypeVar("T")


class PendingCall(Generic[T]):
    """Made by `Sandbox.submit`; it ends while `Dispatcher.process_events` runs."""

    def __init__(self, cancel: Callable[[PendingCall[T]], None]) -> None:
        self._cancel = cancel
        self._done = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[PendingCall[T]], object]] = []

    @property
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._done

    def result(self) -> T:
        """What the call returned. Raises what the call raised, `CallCancelled`, and `UsageError` before it is
        done."""
        if not self._done:
            raise UsageError("the call has not ended (PendingCall.result): look at `done` first")
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def exception(self) -> BaseException | None:
        """What `result` raises; None when it returns."""
        return self._error if self._done else UsageError("the call has not ended (PendingCall.exception)")

    def cancel(self) -> None:
        """End the guest's call soon, and run none of its host functions any more; nothing when it is done."""
        if not self._done:
            self._cancel(self)

    def add_done_callback(self, callback: Callable[[PendingCall[T]], object]) -> None:
        """Call `callback(self)` when it is done, in the owner's thread; at once when it is."""
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def finish(self, value: Any, error: BaseException | None) -> None:
        """It has ended (for the lane; the first end counts)."""
        if self._done:
            return
        self._done, self._value, self._error = True, value, error
        self._cancel = _nothing  # what it names need not live as long as this
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)


def _nothing(_: object) -> None:
    """Cancels a call that has ended."""
