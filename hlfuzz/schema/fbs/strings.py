"""String constants: quotes, escapes, and what they may not hold."""

from __future__ import annotations

import re
from typing import Final

from hlfuzz.schema.fbs.limits import MAX_STRING
from hlfuzz.schema.fbs.problems import Problem

_RUN: Final = re.compile(rf"[^\"'\\\x00-\x1f]{{0,{MAX_STRING}}}")
_SIMPLE: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    '"': '"',
    "'": "'",
    "\\": "\\",
    "/": "/",
}
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)


def read_string(text: str, start: int) -> tuple[str, bool, int]:
    """The string constant that begins with the quote at `start`: its value, whether it is printable ASCII
    without escapes, and the offset behind it. Raises `Problem`."""
    quote = text[start]
    at = start + 1
    parts: list[bytes] = []
    escaped = False
    while True:
        match = _RUN.match(text, at)
        assert match is not None
        parts.append(match.group().encode())
        at = match.end()
        if at - start > MAX_STRING:
            raise Problem(
                f"a string of more than {MAX_STRING:,} characters", start, "close it, or shorten it"
            )
        char = text[at : at + 1]
        if char == quote:
            break
        if char in ("'", '"') and char:
            parts.append(char.encode())
            at += 1
        elif char == "\\":
            escaped = True
            piece, at = _escape(text, at)
            parts.append(piece)
        else:
            raise Problem(
                "this string does not end on its line"
                if char in ("", "\n", "\r")
                else "control character in a string",
                start if char in ("", "\n", "\r") else at,
                "close it with " + quote if char in ("", "\n", "\r") else "write it as an escape: \\t, \\x01",
            )
    data = b"".join(parts)
    try:
        value = data.decode()
    except UnicodeDecodeError:
        raise Problem("the escapes of this string make no valid UTF-8", start) from None
    plain = not escaped and value.isascii() and value.isprintable()
    return value, plain, at + 1


def _escape(text: str, at: int) -> tuple[bytes, int]:
    """The bytes of the escape whose backslash is at `at`, and the offset behind it."""
    letter = text[at + 1 : at + 2]
    if letter in _SIMPLE:
        return _SIMPLE[letter].encode(), at + 2
    if letter == "x":
        return bytes([_hex(text, at, 2)]), at + 4
    if letter != "u":
        raise Problem(
            "unknown escape in a string", at, "known are \\n \\t \\r \\b \\f \\\" \\' \\\\ \\/ \\x41 \\u0041"
        )
    code = _hex(text, at, 4)
    end = at + 6
    if code in _HIGH and text.startswith("\\u", end):
        low = _hex(text, end, 4)
        if low in _LOW:
            return chr(0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF)).encode(), end + 6
    if code in _HIGH or code in _LOW:
        raise Problem("half of a surrogate pair in a string", at, "write both halves: \\ud83d\\ude00")
    return chr(code).encode(), end


def _hex(text: str, at: int, digits: int) -> int:
    found = text[at + 2 : at + 2 + digits]
    if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", found):
        raise Problem(f"this escape needs {digits} hexadecimal digits", at)
    return int(found, 16)
