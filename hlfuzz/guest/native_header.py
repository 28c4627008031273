"""Where the C header for native guests is."""

from __future__ import annotations

from pathlib import Path


def native_include() -> Path:
    """The folder of `hlfuzz_guest.h` and `hlfuzz_guest.c`, for a compiler's `-I` (docs/native-guests.md)."""
    return Path(__file__).with_name("native")
