"""What a guest may use (memory, tables, stack, start time), and what one call of it may."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal

from hlfuzz.errors import UsageError

DEFAULT_MEMORY_BYTES: Final = 64 << 20

PAGE: Final = 65536
"""Bytes of a Wasm page (core specification, 2.2.9 "Memory types")."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one guest, the same for every engine. Raises `UsageError` when a value is out of range."""

    memory_bytes: int | None = None
    """Size to which each linear memory may grow. None: 64 MiB, or what the module starts with if that is
    more."""
    table_elements: int = 262_144
    """Elements to which a table may grow."""
    stack_bytes: int = 512 << 10
    """Wasm stack; deeper recursion is the trap "stack-overflow". 512 KiB is the Wasmtime default."""
    module_bytes: int = 64 << 20
    """Size of the module file."""
    start_seconds: float = 5.0
    """CPU time of instantiation and the start function; the wall-clock cap is ten times that."""
    grow: Literal["fail", "trap"] = "fail"
    """What `memory.grow` and `table.grow` do beyond these limits: "fail" returns -1 (core specification,
    4.4.7); "trap" ends the call as the trap "memory-limit" or "table-limit". Beyond a maximum that the module
    itself declares they return -1 in any case. The engine `inprocess` has only "fail"."""

    def __post_init__(self) -> None:
        if self.grow not in ("fail", "trap"):
            raise UsageError(f"unknown choice (Limits.grow = {self.grow!r}): choose fail or trap")
        for name, low, high in (
            ("memory_bytes", PAGE, 1 << 40),
            ("table_elements", 0, 1 << 32),
            ("stack_bytes", 64 << 10, 2 << 20),
            ("module_bytes", 8, 1 << 32),
            ("start_seconds", 0.001, 3600.0),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"limit out of range (Limits.{name} = {value}): choose from {low} to {high}")


@dataclass(frozen=True, slots=True)
class CallLimits:
    """What one call from outside may use, with the calls nested in it. Beyond it the call ends as
    `LimitExceeded`, and the sandbox is back at its snapshot. None: no limit. Raises `UsageError` when a
    value is out of range.
    """

    host_calls: int | None = 1_000_000
    """Calls of host functions. The deadline does not count the host's own time, so this is what ends a guest
    that keeps the host busy."""
    host_call_bytes: int | None = None
    """Bytes that one host function reads and writes in guest memory through its `Caller`; a typed host method
    reads its request and writes its response that way. No read is longer than the guest's memory in any
    case."""
    output_bytes: int | None = None
    """Bytes that the results of a call name. They are never more than the guest's memory in any case."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value: int | None = getattr(self, field.name)
            if value is not None and not 1 <= value < 1 << 63:
                raise UsageError(
                    f"limit out of range (CallLimits.{field.name} = {value}): choose from 1 to "
                    f"{(1 << 63) - 1}, or None for no limit"
                )
