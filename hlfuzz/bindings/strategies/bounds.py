"""How large and how deep generated values become."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypedDict

from hlfuzz.errors import UsageError


class BoundsOptions(TypedDict, total=False):
    """The keyword arguments of every strategy function; see `Bounds`."""

    max_length: int
    max_text: int
    max_bytes: int
    max_depth: int
    allow_nan: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits on valid values. Raises `UsageError` for one out of its range."""

    max_length: int = 8
    """Elements of a vector or map; 0 to 1024."""
    max_text: int = 32
    """Characters of a string; 0 to 65536."""
    max_bytes: int = 64
    """Bytes of a byte vector; 0 to 65536."""
    max_depth: int = 4
    """Records inside records, the outermost included; 1 to 16. More where required fields need more."""
    allow_nan: bool = False
    """Whether floats may be NaN, which equals nothing, not even itself."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _RANGES.get(field.name, (0, 1))
            if not isinstance(value, int) or not low <= value <= high:
                raise UsageError(f"{field.name}={value!r} is out of range: give {low} to {high}")


_RANGES = {
    "max_length": (0, 1024),
    "max_text": (0, 65_536),
    "max_bytes": (0, 65_536),
    "max_depth": (1, 16),
}
