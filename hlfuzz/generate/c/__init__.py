"""C guests: `<stem>_hl.h` and `<stem>_hl.c`, types, codecs and methods without libc (docs/guest-abi.md)."""

from __future__ import annotations

from hlfuzz.generate.c.module import generate

__all__ = ["generate"]
