"""Python: values, host protocols, clients (`<stem>_hl.py`) and strategies (`<stem>_strategies.py`)."""

from __future__ import annotations

from hlfuzz.generate.python.module import generate

__all__ = ["generate"]
