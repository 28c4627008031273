"""What a guest did through WASI in one call or call context: its output, its exit code, and every function it
called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hlfuzz.sandbox.wasi.abi import Errno

TRACE_LIMIT: Final = 10_000
"""Calls that a trace keeps; more are only counted, so that a guest cannot fill the host's memory."""


@dataclass(frozen=True, slots=True)
class WasiCall:
    """One call of a WASI function: its name, arguments (unsigned), and answer.

    `refused` says that the sandbox does not give what was asked for: a group that is not allowed, a write to
    the read-only directory, a path out of it, a socket, output beyond its limit.
    """

    function: str
    args: tuple[int, ...]
    errno: Errno
    refused: bool = False

    def __str__(self) -> str:
        refused = " refused" if self.refused else ""
        return f"{self.function}({', '.join(map(str, self.args))}) = {self.errno.name}{refused}"


@dataclass(frozen=True, slots=True)
class WasiActivity:
    """What the last call, or the open or last call context, did through WASI.

    `exit_code` is None while it has not called `proc_exit`. `trace` has the first 10,000 calls, `dropped`
    says how many followed; `refused` counts all that were refused, by function. `start` is what the guest did
    before its first call; of itself it is None.
    """

    stdout: bytes
    stderr: bytes
    exit_code: int | None
    trace: tuple[WasiCall, ...]
    dropped: int
    refused: Mapping[str, int]
    start: WasiActivity | None = None


@dataclass(slots=True)
class Recorder:
    """An activity in progress."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    exit_code: int | None = None
    trace: list[WasiCall] = field(default_factory=list[WasiCall])
    dropped: int = 0
    refused: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, call: WasiCall) -> None:
        """One call was answered."""
        if call.refused:
            self.refused[call.function] = self.refused.get(call.function, 0) + 1
        if len(self.trace) < TRACE_LIMIT:
            self.trace.append(call)
        else:
            self.dropped += 1

    def taken(self, start: WasiActivity | None = None) -> WasiActivity:
        """A copy as it is now."""
        return WasiActivity(
            bytes(self.stdout),
            bytes(self.stderr),
            self.exit_code,
            tuple(self.trace),
            self.dropped,
            dict(self.refused),
            start,
        )
