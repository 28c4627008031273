"""Text of a schema inside C source: comments that end where they should, and string literals."""

from __future__ import annotations

import re

_WIDTH = 100
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:;_-+=()[]<>*/!'#&^~@")


def comment(text: str, indent: str = "") -> list[str]:
    """The lines of a comment, none for an empty text.

    A schema must not be able to end its comment: not by an end mark, nor by a backslash or trigraph that
    joins lines to one. Characters that do not print (some turn the direction of text) are replaced.
    """
    lines = [_harmless(line) for line in text.strip().splitlines()]
    if not any(lines):
        return []
    if len(lines) == 1 and len(lines[0]) <= _WIDTH:
        return [f"{indent}/* {lines[0]} */"]
    return [
        *(f"{indent}{'/*' if i == 0 else ' *'} {line}".rstrip() for i, line in enumerate(lines)),
        f"{indent} */",
    ]


def _harmless(line: str) -> str:
    line = "".join(c if c.isprintable() else " " for c in line).rstrip("\\ ")
    line = line.replace("??", "? ?")
    # Twice: in "*/*" the marks overlap.
    line = re.sub(r"(?<=\*)/|(?<=/)\*", r" \g<0>", line)
    return line.rstrip("\\ ")


def literal(data: bytes) -> str:
    """The inside of a C string literal. Everything unusual is three octal digits, which end by themselves."""
    return "".join(chr(b) if b in _PLAIN else f"\\{b:03o}" for b in data)


def assembled(data: bytes) -> str:
    """The inside of an assembler's string literal that is inside a C string literal."""
    return "".join(chr(b) if b in _PLAIN and b not in b"#@;/" else f"\\\\{b:03o}" for b in data)
