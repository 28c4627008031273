"""Reads TOML with places, and goes on after a syntax error: `tomllib` stops at the first one.

A statement that cannot be read is taken out and the rest read again, so that one run tells all that is wrong.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from typing import Any, Final

from hlfuzz.schema.diagnostics import Collector
from hlfuzz.schema.ir import Position
from hlfuzz.schema.raw.places import MAX_DEPTH, Places

MAX_SYNTAX_ERRORS: Final = 20
"""Statements taken out at most; less in a large file, where each costs another reading."""
_REPAIR_BYTES: Final = 2 << 20

_STATEMENT: Final = re.compile(r"""\s*(?:\[|(?:[\w-]+|"[^"\n]*"|'[^'\n]*')\s*[=.])""")
_WHERE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class Document:
    """What could be read of a TOML text. `complete`: nothing was taken out."""

    values: dict[str, Any]
    places: Places
    complete: bool


def read(text: str, file: str, collector: Collector) -> Document:
    """The content of a TOML text; syntax errors go to `collector`."""
    text = text.replace("\r\n", "\n")  # as tomllib does, so that columns agree
    original = places = Places(text, file)
    lines = text.split("\n")
    attempts = max(1, min(MAX_SYNTAX_ERRORS, _REPAIR_BYTES // (len(text) + 1)))
    for attempt in range(attempts):
        if places.too_deep is not None:
            _too_deep(original, places, collector)
            break
        try:
            return Document(tomllib.loads("\n".join(lines)), places, attempt == 0)
        except tomllib.TOMLDecodeError as error:
            _report(str(error), lines, original, collector)
        except ValueError:
            # Python refuses to read integers of thousands of digits, without a place.
            collector.add(f"a number has too many digits ({file})", suggestion="numbers have up to 64 bits")
            break
        except RecursionError:
            collector.add(f"nested too deeply ({file})", suggestion=f"up to {MAX_DEPTH} levels are read")
            break
        places = Places("\n".join(lines), file)
    return Document({}, places, False)


def _too_deep(original: Places, places: Places, collector: Collector) -> None:
    position = places.at(places.too_deep or 0)
    collector.add(
        f"nested more than {MAX_DEPTH} levels deep",
        position,
        suggestion="an interface needs four levels",
        source=original.source(position),
    )


def _report(message: str, lines: list[str], places: Places, collector: Collector) -> None:
    """Note a syntax error and blank the lines of the statement that has it."""
    found = _WHERE.search(message)
    if found is None or found[1] is None:
        line = max((n for n, text in enumerate(lines, 1) if text.strip()), default=1)
        column = len(lines[line - 1]) + 1
    else:
        line, column = int(found[1]), int(found[2])
    message = _WHERE.sub("", message)
    position = Position(places.at(0).file, line, column)
    first, last, suggestion = _culprit(message, lines, line, column)
    collector.add(
        message[:1].lower() + message[1:], position, suggestion=suggestion, source=places.source(position)
    )
    for number in range(first, last + 1):
        lines[number - 1] = ""


def _culprit(message: str, lines: list[str], line: int, column: int) -> tuple[int, int, str]:
    """First and last line of the statement to take out, and a suggestion."""
    text = lines[line - 1]
    starts = [n for n, candidate in enumerate(lines, 1) if _STATEMENT.match(candidate)]
    if not text[: column - 1].strip():
        # The parser was surprised at the start of a line.
        if line not in starts:
            return line, line, "a line is `key = value`, `[table]` or `# comment`"
        earlier = [n for n in starts if n < line]
        if earlier and message.startswith(("Unclosed", "Invalid")):
            return (
                earlier[-1],
                line - 1,
                f"the value that begins in line {earlier[-1]} does not end before this",
            )
    first = max([n for n in starts if n <= line], default=line)
    header = lines[first - 1].lstrip().startswith("[")
    # The keys of a table whose header is wrong would otherwise land in the table before it.
    following = [n for n in starts if n > line and (not header or lines[n - 1].lstrip().startswith("["))]
    return first, (following[0] - 1 if following else len(lines)), _suggestion(message, text, column)


def _suggestion(message: str, text: str, column: int) -> str:
    rest = text[column - 1 :].strip()
    word = re.match(r"[A-Za-z_][\w ]*", rest)
    if message.startswith("Invalid value") and word is not None:
        return f'text needs quotes: "{word[0].strip()}"'
    if "twice" in message or "overwrite" in message:
        return "each table and key is given once"
    return ""
