"""Turns the outcome of a call into the exception that `.call()` raises."""

from __future__ import annotations

from typing import Final

from hlfuzz.errors import (
    AbiViolation,
    CallFailed,
    GuestExited,
    GuestLimitExceeded,
    GuestTimeout,
    GuestTrap,
    HostFunctionError,
)
from hlfuzz.model import Exited, Failure, HostError, LimitExceeded, Timeout, Trap, Violation

COMMAND: Final = "_start"
"""The export that runs a WASI command (WASI application ABI)."""


def raise_failure(function: str, outcome: Failure) -> None:
    """Raise what `failed` makes of `outcome`; a command that exits with 0 has returned."""
    if function != COMMAND or outcome != Exited(0):
        raise failed(function, outcome)


def failed(function: str, outcome: Failure) -> CallFailed:
    """The exception for `outcome` of a call of `function`; its `__cause__` is the host function's
    exception."""
    match outcome:
        case Trap(code, message):
            detail = f": {message}" if message else ""
            return GuestTrap(f"guest trapped: {code} ({function!r}){detail}", outcome)
        case Timeout(deadline_us):
            return GuestTimeout(
                f"guest stopped at its deadline of {deadline_us / 1e6:g} s ({function!r}): "
                "raise `deadline` if it needs more",
                outcome,
            )
        case Violation(message=message):
            return AbiViolation(f"guest broke its interface ({function!r}): {message}", outcome)
        case LimitExceeded(limit, _, message):
            return GuestLimitExceeded(
                f"guest exceeded a limit ({function!r}): {message}; raise CallLimits.{limit} if it needs "
                "more",
                outcome,
            )
        case HostError(host_function, message, exception):
            error = HostFunctionError(
                f"host function {host_function!r} failed ({function!r}): {message}", outcome
            )
            error.__cause__ = exception
            return error
        case Exited(code):
            return GuestExited(f"guest exited with code {code} ({function!r})", outcome)
        case _:
            raise AssertionError(outcome)
