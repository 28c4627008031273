"""What happens between instantiation and the first call, and its errors: the same for all engines."""

from __future__ import annotations

from typing import Final

from hlfuzz.errors import StartError
from hlfuzz.guest import Guest
from hlfuzz.model import Exited, Failure, FuncType, HostError, Timeout, Trap

INITIALIZE: Final = "_initialize"
"""Called after the start section when exported as () -> (): a WASI reactor's entry (WASI application ABI)."""

START: Final = "the start function"


def exports_initialize(guest: Guest) -> bool:
    """Whether the guest has an `_initialize` to call."""
    return any(e.name == INITIALIZE and e.type == FuncType() for e in guest.info.functions_exported)


def started(guest: Guest) -> str:
    """What runs when a guest starts, for an engine that runs it in one go."""
    return f"{START} or {INITIALIZE!r}" if exports_initialize(guest) else START


def start_error(guest: Guest, function: str, outcome: Failure, seconds: float) -> StartError:
    """The error for a start function that did not return."""
    match outcome:
        case Timeout():
            return StartError(
                f"{function} did not end in {seconds:g} s ({guest.name}): "
                "raise Limits.start_seconds if it needs more"
            )
        case HostError(host_function, message, exception):
            error = StartError(
                f"{function} failed in host function {host_function!r} ({guest.name}): {message}"
            )
            error.__cause__ = exception
            return error
        case Trap(code, frames=frames):
            site = f" in {frames[0]}" if frames else ""
            return StartError(
                f"{function} trapped, {code}{site} ({guest.name}): the module cannot be used as it is"
            )
        case Exited(code):
            return StartError(
                f"{function} exited with code {code} ({guest.name}): what it wrote before is in the "
                "exception's notes"
            )
        case _:
            return StartError(f"{function} failed ({guest.name}): {outcome}")
