"""`hlfuzz bench`: what calls, resets and start-up cost here, beside their floors and peers."""

from __future__ import annotations

from hlfuzz.bench.runner import run

__all__ = ["run"]
