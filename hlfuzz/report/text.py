"""Makes text from a guest harmless for people: nothing in it is invisible or turns the line around."""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 2000
"""Characters of one name or message that a report shows; a module may contain names of megabytes."""


def visible(text: str, limit: int = MAX_TEXT) -> str:
    """`text` with every control, bidirectional and unassigned character as its code, cut after `limit`
    characters. The result is one line, and valid in XML and as a Python comment."""
    kept = text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"
    if kept.isprintable():
        return kept
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in kept)
