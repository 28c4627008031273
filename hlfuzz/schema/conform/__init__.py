"""Whether a guest built on an old schema may talk to a host on a new one: what the change breaks."""

from __future__ import annotations

from hlfuzz.schema.conform.breakage import Breakage

__all__ = ["Breakage"]
