"""What a guest may use: memory, table, stack and module size, and the time of its start function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlfuzz.errors import UsageError

DEFAULT_MEMORY_BYTES: Final = 64 << 20

PAGE: Final = 65536
"""Bytes of a Wasm page (core specification, 2.2.9 "Memory types")."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one guest, the same for every engine. Raises `UsageError` when a value is out of range."""

    memory_bytes: int | None = None
    """Size to which each linear memory may grow; `memory.grow` beyond it returns -1. None: 64 MiB, or what
    the module starts with if that is more."""
    table_elements: int = 262_144
    """Elements to which a table may grow; `table.grow` beyond it returns -1."""
    stack_bytes: int = 512 << 10
    """Wasm stack; deeper recursion is the trap "stack-overflow". 512 KiB is the Wasmtime default."""
    module_bytes: int = 64 << 20
    """Size of the module file."""
    start_seconds: float = 5.0
    """CPU time of instantiation and the start function; the wall-clock cap is ten times that."""

    def __post_init__(self) -> None:
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
