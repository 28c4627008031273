"""The ways to run a guest in a micro-VM."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One way to run a guest in a micro-VM."""

    transport: str
    reset: str
    tracking: str

    def __str__(self) -> str:
        return f"{self.transport}-{self.reset}-{self.tracking}"
