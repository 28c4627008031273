"""C++ guests: `<stem>_hl.hpp`, a header over the files of the C generator (docs/guest-abi.md)."""

from __future__ import annotations

from hlfuzz.generate.cpp.module import generate

__all__ = ["generate"]
