"""Words in the data of a guest: texts, and short byte strings between zeros."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

_PIECE: Final = re.compile(rb"[^\x00]{2,64}|(?:[\x20-\x7e]\x00){1,63}[\x20-\x7e]")
"""Up to a zero, as C keeps texts; or two bytes a character, as AssemblyScript does."""
MAX_PIECES: Final = 1 << 15
"""Pieces looked at."""
_TEXT: Final = re.compile(rb"[\t\r\n\x20-\x7e]{2,64}")
_WORD: Final = re.compile(rb"[0-9A-Za-z_-]{2,}")
_MAX_BLOB: Final = 16
"""A longer byte string that is no text is taken for a table."""


def data_words(data: bytes) -> Iterator[bytes]:
    """Byte strings of 2 to 64 bytes, with repetitions: texts, the words in them, short blobs."""
    for piece in islice(_PIECE.finditer(data), MAX_PIECES):
        found = piece[0]
        if 0 in found:
            found = found[::2]
            yield found
        elif len(found) <= _MAX_BLOB:
            yield found
        for text in _TEXT.finditer(found):
            yield text[0]
            words = _WORD.findall(text[0])
            if len(words) > 1 or (words and words[0] != text[0]):
                yield from words
