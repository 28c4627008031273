"""What people and programs read: terminal output, versioned JSON documents, HTML, SARIF, JUnit, and tests."""

from __future__ import annotations

from hlfuzz.report import documents, html, junit, sarif, terminal
from hlfuzz.report.checked import Checked, gather
from hlfuzz.report.progress import PlainProgress, RichProgress
from hlfuzz.report.reproducer import as_test, shown_test, write_test

__all__ = [
    "Checked",
    "PlainProgress",
    "RichProgress",
    "as_test",
    "documents",
    "gather",
    "html",
    "junit",
    "sarif",
    "shown_test",
    "terminal",
    "write_test",
]
