"""What people and programs read: terminal output and versioned JSON documents."""

from __future__ import annotations

from hlfuzz.report import documents, terminal
from hlfuzz.report.progress import PlainProgress, RichProgress

__all__ = ["PlainProgress", "RichProgress", "documents", "terminal"]
