"""Reads durations as people write them: 500ms, 30s, 2m, 1h."""

from __future__ import annotations

import math
import re
from typing import Final

from hlfuzz.errors import UsageError

_UNITS: Final = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str, what: str = "--time") -> float:
    """A duration in seconds; a plain number is seconds. `what` is the option or key that messages name.

    Raises: UsageError for anything else, and for zero.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", text.strip())
    value = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 0 < value < math.inf:
        raise UsageError(f"{what} {text!r} is no duration above zero: write 30s, 2m or 1h")
    return value
