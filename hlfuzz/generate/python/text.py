"""Python source as a formatter leaves it: literals, documentation, calls and signatures in 110 columns.

Text from a schema may come from anyone: whatever is put into a literal or a docstring here stays inside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Final

WIDTH: Final = 110
"""Columns of a line, as this project's own code has."""
INDENT: Final = "    "


def columns(text: str) -> int:
    """Columns that text takes at most: everything outside ASCII counts as wide."""
    return sum(1 if c.isascii() else 2 for c in text)


def fits(line: str) -> bool:
    """Whether a line is short enough."""
    return columns(line) <= WIDTH


def string(value: str) -> str:
    """A literal of a text; quotes as formatters choose them."""
    quote = "'" if value.count('"') > value.count("'") else '"'
    return quote + "".join(_character(c, quote) for c in value) + quote


def _character(c: str, quotes: str) -> str:
    if c == "\\" or c in quotes:
        return "\\" + c
    if c.isprintable():
        return c
    if c in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[c]
    number = ord(c)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )


def byte_string(value: bytes) -> str:
    """A literal of bytes."""
    text = value.decode("latin-1")
    quote = "'" if text.count('"') > text.count("'") else '"'
    return f"b{quote}{''.join(_byte(c, quote) for c in text)}{quote}"


def _byte(c: str, quotes: str) -> str:
    return _character(c, quotes) if c.isascii() else f"\\x{ord(c):02x}"


def number(value: float, math_name: str = "math") -> str:
    """A literal of a number, or the name of an infinity or NaN in the module `math`."""
    if isinstance(value, int):
        return repr(value)
    if math.isnan(value):
        return f"{math_name}.nan"
    if math.isinf(value):
        return f"{'-' if value < 0 else ''}{math_name}.inf"
    return repr(value).replace("e+", "e")


def assignment(indent: str, target: str, value: str | bytes) -> list[str]:
    """`target = "…"`, a long text in several pieces."""
    literal = string(value) if isinstance(value, str) else byte_string(value)
    if fits(line := f"{indent}{target} = {literal}"):
        return [line]
    if not fits(f"{indent}{target} = ("):
        return [skipped(line)]
    # Pieces without quotes inside look alike to every formatter.
    pieces = [_byte(c, "") if isinstance(value, bytes) else _character(c, "") for c in _text(value)]
    pieces = [{'"': "\\x22", "'": "\\x27"}.get(p, p) for p in pieces]
    prefix = "b" if isinstance(value, bytes) else ""
    inner = indent + INDENT
    lines: list[str] = []
    for piece in pieces:
        if not lines or columns(lines[-1] + piece) > WIDTH - len(inner) - len(prefix) - 2:
            lines.append("")
        lines[-1] += piece
    return [f"{indent}{target} = (", *(f'{inner}{prefix}"{line}"' for line in lines), f"{indent})"]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def docstring(indent: str, text: str, otherwise: str = "") -> list[str]:
    """Documentation as a docstring, paragraphs kept and long lines wrapped; `otherwise` in the place of blank
    text, and nothing when that is empty too."""
    lines = text.replace("\r\n", "\n").split("\n")
    words = [[w for w in _escaped(line).split(" ") if w] for line in lines]
    while words and not words[-1]:
        words.pop()
    while words and not words[0]:
        words.pop(0)
    if not words:
        return docstring(indent, otherwise) if otherwise else []
    room = WIDTH - len(indent)
    # A quote right behind the opening ones would be one of them, and so would one before the closing ones.
    start = '""" ' if words[0][0].startswith('"') else '"""'
    if len(words) == 1:
        end = ' """' if re.search(r'(?<!\\)"$', words[0][-1]) else '"""'
        line = f"{start}{' '.join(words[0])}{end}"
        if columns(line) <= room or len(words[0]) == 1:
            return [indent + line]
        # So that it becomes two lines: formatters bring the closing quotes of one line back to it.
        words = [words[0][:-1], words[0][-1:]] if columns(line) - len(end) <= room else words
    body: list[str] = []
    for line in words:
        if line:
            body += _wrapped(line, room, len(start) if not body else 0)
        elif body[-1]:
            body.append("")
    return [f"{indent}{start}{body[0]}", *(f"{indent}{line}".rstrip() for line in body[1:]), f'{indent}"""']


def _escaped(text: str) -> str:
    """Text for the inside of a docstring: no run of three quotes, no live backslash, nothing invisible."""
    plain = "".join(_character(c, "") for c in text)
    return plain.replace('""', '"\\"')


def _wrapped(words: list[str], room: int, used: int) -> list[str]:
    lines = [words[0]]
    for word in words[1:]:
        left = room - (used if len(lines) == 1 else 0)
        if columns(f"{lines[-1]} {word}") <= left:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def call(indent: str, head: str, arguments: Sequence[str], tail: str) -> list[str]:
    """`head(arguments)tail` on one line; or the arguments on one line of their own; or a line for each.

    A line that cannot be brought into the columns is left for the formatter to skip.
    """
    one = f"{indent}{head}({', '.join(arguments)}){tail}"
    if fits(one):
        return [one]
    # Formatters end the only parameter of a function with a comma, but not several on one line.
    comma = "," if head.startswith(("def ", "async def ")) and len(arguments) == 1 else ""
    inner = f"{indent}{INDENT}{', '.join(arguments)}{comma}"
    if fits(inner) and fits(f"{indent}{head}(") and fits(f"{indent}){tail}"):
        return [f"{indent}{head}(", inner, f"{indent}){tail}"]
    lines = [f"{indent}{head}(", *(f"{indent}{INDENT}{a}," for a in arguments), f"{indent}){tail}"]
    return lines if all(map(fits, lines)) else [skipped(one)]


def alternatives(target: str, options: Sequence[str]) -> list[str]:
    """`target = A | B | C`, one a line when they are too many for one."""
    if fits(one := f"{target} = {' | '.join(options)}"):
        return [one]
    if fits(inner := INDENT + " | ".join(options)) and fits(f"{target} = ("):
        return [f"{target} = (", inner, ")"]
    lines = [f"{target} = (", f"{INDENT}{options[0]}", *(f"{INDENT}| {o}" for o in options[1:]), ")"]
    return lines if all(map(fits, lines)) else [skipped(one)]


def plain(line: str) -> str:
    """A line without a place to break it."""
    return line if fits(line) else skipped(line)


def skipped(line: str) -> str:
    """A line that formatters are asked to leave alone: a name in it is longer than they could wrap."""
    return f"{line}  # fmt: skip"


def long_text(target: str, text: str) -> list[str]:
    """`target = \"\"\"…\"\"\"` with ASCII text in pieces; each line of the text begins a line."""
    lines = [f'{target} = """\\']
    for line in text.splitlines():
        lines += _pieces(line.replace("\\", "\\\\").replace('"""', '""\\"'))
    lines[-1] = f'{lines[-1].removesuffix(chr(92))}"""'
    return lines


def _pieces(line: str) -> Iterable[str]:
    room = WIDTH - 4
    while len(line) > room:
        # After a comma where there is one; never behind a backslash, which belongs to what follows.
        end = line.rfind(",", room // 2, room) + 1 or room
        while line[end - 1] == "\\":
            end -= 1
        yield line[:end] + "\\"
        line = line[end:]
    yield line + "\\"
