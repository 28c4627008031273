"""The two error trees: `HlfuzzError` (the tool cannot go on) and `Finding` (the target is wrong).

Every message reads "what (where): next step". A guest that traps is neither: it is an `Outcome` (see
`hlfuzz.model`), and only the outermost `.call()` turns it into a raised `CallFailed`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from hlfuzz.model import Exited, Failed, HostError, LimitExceeded, Timeout, Trap, Violation


class HlfuzzWarning(UserWarning):
    """Something works, but probably not as meant: a context left without `finish()`, a slower engine."""


class HlfuzzError(Exception):
    """The tool cannot go on. Base of all that this package raises about itself, its input or its machine."""


class UsageError(HlfuzzError):
    """Wrong arguments: count, type, range, unknown export, misuse of a sandbox. Nothing was done."""


class SandboxClosed(UsageError):
    """The sandbox was closed."""


class PoolTimeout(HlfuzzError):
    """No sandbox of a pool became free in time; the message says how many are leased, and since when."""


class WrongThread(UsageError):
    """A sandbox belongs to the thread that opened it; another one used it."""


class ForkedProcess(UsageError):
    """The sandbox was opened by the parent process; a forked child must open its own."""


class ContextFinished(UsageError):
    """The call context was finished, left, or poisoned by a call that failed."""


class ContextBusy(UsageError):
    """A call context is already open, or a call is in progress, on this sandbox."""


class CallCancelled(UsageError):
    """The call was cancelled by `PendingCall.cancel()`: there is no result."""


class ModuleError(HlfuzzError):
    """The module cannot be used.

    `reason` is one of "not-wasm", "not-native", "component", "invalid", "unsupported", "too-large", "limit".
    """

    def __init__(self, message: str, *, reason: str = "invalid") -> None:
        super().__init__(message)
        self.reason = reason


class LinkError(HlfuzzError):
    """Imports and providers do not match: one is missing, unknown, or of the wrong kind or signature."""


class StartError(HlfuzzError):
    """The start function (or `_initialize`) trapped, failed in a host function, or did not end in time."""


class EnvironmentProblem(HlfuzzError):
    """This machine cannot do what was asked.

    `reason` is one of "no-kvm", "permission", "kvm", "out-of-memory", "out-of-fds", "cpu", "io",
    "native-library".
    """

    def __init__(self, message: str, *, reason: str = "kvm") -> None:
        super().__init__(message)
        self.reason = reason


class SnapshotError(HlfuzzError):
    """A snapshot cannot be taken, saved, loaded, or used for this guest.

    `reason` is one of "not-a-snapshot", "version", "truncated", "damaged", "other-guest", "cpu", "too-large",
    "io".
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class CallFailed(HlfuzzError):
    """A call gave no value. `outcome` is the same data that `.try_call()` returns."""

    def __init__(self, message: str, outcome: Failed) -> None:
        super().__init__(message)
        self._outcome: Any = outcome

    @property
    def outcome(self) -> Failed:
        """Why there is no value."""
        return self._outcome


class GuestTrap(CallFailed):
    """The guest trapped; `outcome.code` says why."""

    @property
    def outcome(self) -> Trap:
        """The trap's code and message."""
        return self._outcome


class GuestTimeout(CallFailed):
    """The guest was stopped at its deadline."""

    @property
    def outcome(self) -> Timeout:
        """The deadline, in µs."""
        return self._outcome


class AbiViolation(CallFailed):
    """The guest broke a rule of the interface: say, its allocator returned an address outside its memory."""

    @property
    def outcome(self) -> Violation:
        """Which rule."""
        return self._outcome


class GuestError(HlfuzzError):
    """The guest answered a call with an error instead of a value: its `code` and its `text`.

    `__cause__` is what a host function raised during the call, if one did.
    """

    def __init__(self, method: str, code: int, text: str) -> None:
        super().__init__(f"guest answered with error {code} ({method!r}): {text or 'no text'}")
        self.method = method
        self.code = code
        self.text = text


class HostFunctionError(CallFailed):
    """A host function raised (`__cause__` is its exception) or returned what the import does not allow."""

    @property
    def outcome(self) -> HostError:
        """The host function and its exception."""
        return self._outcome


class GuestExited(CallFailed):
    """The guest ended itself with WASI's `proc_exit`. Not raised for `_start` with code 0: it returned."""

    @property
    def outcome(self) -> Exited:
        """The exit code."""
        return self._outcome


class GuestLimitExceeded(CallFailed):
    """The call wanted more than its `CallLimits` allow."""

    @property
    def outcome(self) -> LimitExceeded:
        """Which limit."""
        return self._outcome


class Finding(AssertionError):
    """The target is wrong. `signature` identifies the defect, `reproducer` is the file that shows it."""

    def __init__(self, message: str, *, signature: str, reproducer: Path | None = None) -> None:
        super().__init__(message)
        self.signature = signature
        self.reproducer = reproducer
