"""Turns the outcome of a call into the exception that `.call()` raises."""

from __future__ import annotations

from hlfuzz.errors import AbiViolation, CallFailed, GuestTimeout, GuestTrap, HostFunctionError
from hlfuzz.model import Failure, HostError, Timeout, Trap, Violation


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
        case HostError(host_function, message, exception):
            error = HostFunctionError(
                f"host function {host_function!r} failed ({function!r}): {message}", outcome
            )
            error.__cause__ = exception
            return error
        case _:
            raise AssertionError(outcome)
