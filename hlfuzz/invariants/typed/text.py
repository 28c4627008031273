"""Values of a schema in reports: as Python text, with long texts and blobs cut, never longer than a limit."""

from __future__ import annotations

from typing import Any, Final

from hlfuzz.bindings.text import leaf_text, pieces
from hlfuzz.invariants.observe import bytes_text

MAX_TEXT: Final = 300
"""Characters of a value in a report."""
MAX_LEAF: Final = 64
"""Characters or bytes of one text or blob in it."""


def shown_value(value: Any, limit: int = MAX_TEXT) -> str:
    """A value for people: as `value_text`, but a long text or blob says its length instead of all of it, and
    of a large value there is only the beginning. Bounded in time however large the value is."""
    found: list[str] = []
    left = limit
    for piece in pieces(value, _leaf):
        if len(piece) > left:
            return f"{''.join(found)}{piece[:left]}…"
        found.append(piece)
        left -= len(piece)
    return "".join(found)


def _leaf(value: Any) -> str:
    return bytes_text(value, MAX_LEAF) if isinstance(value, bytes | str) else leaf_text(value)
