"""Test the interface between a host program and the untrusted guest code that it embeds."""

from __future__ import annotations

__version__ = "0.1.0"
