"""Finds a secret, or a part of it, in bytes: as it is, reversed, in hex or base64, or under an xor."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

NEEDLE_BYTES: Final = 8
"""Bytes of a secret that are looked for at once: a piece of twice that length contains them wherever it
begins. Letters and digits, they have 47 bits, which no memory holds by chance."""
MIN_LEAK_BYTES: Final = 4
"""Fewer equal bytes than this are called a dependence, not a leak: they may be chance."""
_MIN_XORED: Final = 8


@dataclass(frozen=True, slots=True)
class Leak:
    """`shown` are the secret's bytes, found at `at` of what was searched, in this `form`."""

    form: str
    at: int
    shown: bytes


def is_secret(data: bytes) -> bool:
    """Whether no piece of these bytes can be anywhere by chance: enough of them, and different ones."""
    pieces = [data[at : at + NEEDLE_BYTES] for at in range(0, len(data) - NEEDLE_BYTES + 1, NEEDLE_BYTES)]
    return len(pieces) > 1 and all(len(set(piece)) > NEEDLE_BYTES // 2 for piece in pieces)


def needles(secret: bytes) -> tuple[tuple[str, bytes], ...]:
    """What to search memory for, with the name of the form: if one of them is there, the secret is."""
    chunks = [secret[at : at + NEEDLE_BYTES] for at in range(0, len(secret), NEEDLE_BYTES)]
    plain = [("as it is", chunk) for chunk in chunks if len(chunk) == NEEDLE_BYTES]
    return (
        *plain,
        ("reversed", secret[::-1][:NEEDLE_BYTES]),
        ("in hex", secret[:NEEDLE_BYTES].hex().encode()),
        ("in hex", secret[:NEEDLE_BYTES].hex().upper().encode()),
        # what stands before a secret decides which of its bytes begins a group of three
        *(("in base64", base64.b64encode(secret[skip:])[: NEEDLE_BYTES + 2]) for skip in range(3)),
        ("inverted", bytes(b ^ 0xFF for b in secret[:NEEDLE_BYTES])),
    )


def longest_leak(secret: bytes, data: bytes) -> Leak | None:
    """The form that shows most of the secret in `data`, with at least `MIN_LEAK_BYTES`; None: nothing shows.

    The secret may repeat itself. Forms other than the plain one must show more, as their pieces are found by
    chance more often.
    """
    found = _plain(secret, data)
    if found is None or len(found.shown) < len(secret):
        others = (_reversed(secret, data), _hex(secret, data), _base64(secret, data), _xored(secret, data))
        for other in others:
            if other is not None and len(other.shown) > (len(found.shown) if found else 0):
                found = other
    return found


def _run(pattern: bytes, data: bytes, least: int) -> tuple[int, int, int]:
    """Longest piece of `pattern`, which may repeat itself, in `data`: its start in the pattern, its position,
    its length; (0, -1, 0) when none has `least` bytes."""
    doubled, size = pattern + pattern, len(pattern)
    best = (0, -1, 0)
    for start in range(size):
        length = max(best[2] + 1, least)
        at = data.find(doubled[start : start + length]) if length <= size else -1
        while at >= 0:
            best = (start, at, length)
            length += 1
            at = data.find(doubled[start : start + length]) if length <= size else -1
    return best


def _plain(secret: bytes, data: bytes) -> Leak | None:
    start, at, length = _run(secret, data, MIN_LEAK_BYTES)
    return Leak("as it is", at, (secret + secret)[start : start + length]) if length else None


def _reversed(secret: bytes, data: bytes) -> Leak | None:
    found = _plain(secret[::-1], data)
    return None if found is None else Leak("reversed", found.at, found.shown[::-1])


def _hex(secret: bytes, data: bytes) -> Leak | None:
    digits = secret.hex().encode()
    start, at, length = _run(digits, data.lower(), 2 * MIN_LEAK_BYTES + 1)
    first = (start + 1) // 2
    count = (start + length) // 2 - first
    return Leak("in hex", at, (secret + secret)[first : first + count]) if length else None


def _base64(secret: bytes, data: bytes) -> Leak | None:
    best: Leak | None = None
    for skip in range(3):
        # only whole groups of three bytes look the same whatever stands round them
        piece = secret[skip : skip + (len(secret) - skip) // 3 * 3]
        text = base64.b64encode(piece)
        start, at, length = _run(text, data.replace(b"-", b"+").replace(b"_", b"/"), 8)
        first = -(-start // 4) * 3
        shown = piece[first : (start + length) // 4 * 3] if start + length <= len(text) else b""
        if len(shown) >= MIN_LEAK_BYTES and (best is None or len(shown) > len(best.shown)):
            best = Leak("in base64", at, shown)
    return best


def _xored(secret: bytes, data: bytes) -> Leak | None:
    """An xor with any one byte leaves the differences of neighbours as they are."""
    start, at, length = _run(_differences(secret + secret[:1]), _differences(data), _MIN_XORED - 1)
    if not length:
        return None
    shown = (secret + secret)[start : start + min(length + 1, len(secret))]
    return Leak(f"under an xor with 0x{data[at] ^ shown[0]:02x}", at, shown)


def _differences(data: bytes) -> bytes:
    if len(data) < 2:
        return b""
    number = int.from_bytes(data, "big")
    return ((number >> 8) ^ (number & ((1 << 8 * (len(data) - 1)) - 1))).to_bytes(len(data) - 1, "big")
