"""`CallContext`: a span of calls that share state, closed by `finish()`, which resets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from hlfuzz.errors import ContextFinished, HlfuzzWarning, UsageError
from hlfuzz.model import Failure, Outcome, Value
from hlfuzz.sandbox.calls import as_outcome
from hlfuzz.sandbox.engines.base import Returned
from hlfuzz.sandbox.failures import failed, raise_failure
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.memory import GuestMemory
from hlfuzz.sandbox.snapshots import Snapshot
from hlfuzz.sandbox.vectors import BytesForm, ResultForm

if TYPE_CHECKING:
    from hlfuzz.sandbox.box import Sandbox


class CallContext:
    """Calls that see what earlier calls of the same context left behind. Opened by `Sandbox.context()`.

    A call that fails poisons the context: its state can still be read, but not called. All methods raise
    `ContextFinished` after the end, and `WrongThread`, `ForkedProcess`, `SandboxClosed` as the sandbox does.
    """

    def __init__(self, box: Sandbox, gate: Gate) -> None:
        self._box = box
        self._gate = gate
        self._finished = ""
        self._poison = ""
        gate.open_context()

    @property
    def finished(self) -> bool:
        """Whether the context has ended."""
        return bool(self._finished)

    def call(self, function: str, /, *args: Value | bytes) -> Returned:
        """As `Sandbox.call`, without the reset."""
        result = self._run(function, args, "none")
        if isinstance(result, Failure):
            return raise_failure(function, result)
        return result

    def try_call(self, function: str, /, *args: Value | bytes) -> Outcome:
        """As `Sandbox.try_call`, without the reset."""
        return as_outcome(self._run(function, args, "none"))

    def call_bytes(
        self, function: str, data: bytes, /, *more: Value | bytes, result: ResultForm = "none"
    ) -> Returned:
        """As `Sandbox.call_bytes`, without the reset."""
        returned = self._run(function, (data, *more), result)
        if isinstance(returned, Failure):
            raise failed(function, returned)
        return returned

    def bytes_caller(self, function: str, result: BytesForm) -> Callable[[bytes], bytes]:
        """As `Sandbox.bytes_caller`, without the reset."""

        def call(data: bytes) -> bytes:
            returned = self._run(function, (data,), result)
            if isinstance(returned, bytes):
                return returned
            assert isinstance(returned, Failure)
            raise failed(function, returned)

        return call

    def place(self, *vectors: bytes) -> list[int]:
        """Put byte vectors into memory that the guest allocates, for functions that take no plain pointer and
        length; their addresses. Raises as `call`."""
        if get_ident() != self._gate.context or self._finished or self._poison:
            self._refuse()
        self._poison = "an interrupted allocation"
        try:
            result = self._box.place(vectors)
        except UsageError:
            self._poison = ""
            raise
        self._poison = f"its allocator: {result}" if isinstance(result, Failure) else ""
        if isinstance(result, Failure):
            raise failed("place()", result)
        return result

    def claim_output(self, length: int) -> None:
        """Raise `GuestLimitExceeded`, and end the state of this context, when so many bytes are more than
        `CallLimits.output_bytes`: for callers that read what a call's results name themselves."""
        exceeded = self._box.claim_output(length)
        if exceeded is not None:
            self.poison(str(exceeded))
            raise failed("claim_output()", exceeded)

    def poison(self, why: str) -> None:
        """Refuse further calls because of `why`: what the guest answered cannot be trusted. Its state can
        still be read."""
        self._poison = self._poison or why

    def read(self, address: int, length: int) -> bytes:
        """A copy of the default memory's bytes. Raises `UsageError` out of range."""
        return self.memory().read(address, length)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write the default memory. Raises `UsageError` out of range."""
        self.memory().write(address, data)

    def memory(self, name: str | None = None) -> GuestMemory:
        """A view of an exported memory, or of the default one."""
        if self._finished:
            self._refuse()
        return self._box.memory(name)

    def snapshot(self) -> Snapshot:
        """The state of this context right now, for other sandboxes to begin with; the context goes on.
        Raises as `Sandbox.snapshot`; a context that is poisoned has no state worth keeping."""
        self._gate.check_quiet("snapshot")
        if get_ident() != self._gate.context or self._finished or self._poison:
            self._refuse()
        return self._box.freeze()

    def finish(self) -> None:
        """End the context and reset the sandbox; doing it again does nothing."""
        if self._finished:
            return
        self._gate.check_idle()
        self._end("finished")

    def __enter__(self) -> CallContext:
        if self._finished:
            self._refuse()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._finished or self._gate.is_forked or self._gate.is_closed:
            return
        self.finish()
        if error is None and not self._poison:
            warnings.warn(
                "call context left without finish(): the sandbox was reset all the same; call finish() first",
                HlfuzzWarning,
                stacklevel=2,
            )

    def _run(self, function: str, args: tuple[Value | bytes, ...], form: ResultForm) -> Returned | Failure:
        if get_ident() != self._gate.context or self._finished or self._poison:
            self._refuse()
        self._poison = f"an interrupted call of {function!r}"
        try:
            result = self._box.run(function, args, form, reset=False)
        except UsageError:
            self._poison = ""
            raise
        self._poison = f"{function!r}: {result}" if isinstance(result, Failure) else ""
        return result

    def _end(self, how: str) -> None:
        self._finished = how
        self._box.end_context()

    def _refuse(self) -> NoReturn:
        if self._finished:
            raise ContextFinished(f"call context is {self._finished} (used after its end): open a new one")
        if self._poison and not self._gate.is_forked and not self._gate.is_closed:
            raise ContextFinished(
                f"call context was poisoned by {self._poison}: finish() it and open a new one"
            )
        self._gate.refuse()
