"""Finds where keys and values stand in a TOML text, which Python's `tomllib` does not tell.

One pass without recursion. It takes valid TOML for granted and goes on after what it does not understand:
what a value is says `tomllib` alone, and a place that was not found only makes a message without line and
column.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from hlfuzz.schema.ir import Position

MAX_DEPTH: Final = 16
"""Keys and array indexes on the way to a value; an interface needs four. `tomllib` itself recurses."""

Path: TypeAlias = tuple[str | int, ...]
"""Keys and array indexes from the root of the document."""

_TOKEN: Final = re.compile(
    r"""(?P<blank>[ \t\r]+|\#[^\n]*)
    | (?P<newline>\n)
    | (?P<long>\"{3}|'{3})
    | (?P<string>"(?:[^"\\\n]|\\[^\n])*+"|'[^'\n]*+')
    | (?P<open>["'])
    | (?P<mark>[\[\]{}=,.])
    | (?P<word>[^\s\[\]{}=,."'\#]+)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)


class Places:
    """The places of one text: of keys, table headers and values by their path."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self.keys: dict[Path, int] = {}
        self.values: dict[Path, int] = {}
        self.too_deep: int | None = None
        """Where nesting goes beyond `MAX_DEPTH`; nothing after it was looked at."""
        _Scan(text, self).run()

    def at(self, offset: int) -> Position:
        """The position of a character of the text."""
        line = bisect_right(self._starts, offset) - 1
        return Position(self._file, line + 1, offset - self._starts[line] + 1)

    def source(self, position: Position | None) -> str:
        """The line of a position, without its end."""
        if position is None or position.line > len(self._starts):
            return ""
        start = self._starts[position.line - 1]
        end = self._text.find("\n", start)
        return self._text[start : end if end >= 0 else len(self._text)].rstrip("\r")

    def key(self, path: Path) -> Position | None:
        """Where a key or table header stands, else the nearest that is around it."""
        while path:
            offset = self.keys.get(path)
            if offset is not None:
                return self.at(offset)
            path = path[:-1]
        return None

    def value(self, path: Path, inside: int = 0) -> Position | None:
        """Where a value begins; with `inside` that character of a text on one line (escapes aside)."""
        offset = self.values.get(path)
        if offset is None:
            return self.key(path)
        quote = self._text[offset : offset + 3]
        plain = quote[:1] in ("'", '"') and quote[:1] * 3 != quote
        return self.at(offset + 1 + inside if inside and plain else offset)


@dataclass(slots=True)
class _Open:
    """An array or inline table that is not closed yet, or the document itself."""

    kind: str
    path: Path
    index: int = 0


@dataclass(slots=True)
class _Scan:
    text: str
    places: Places
    at: int = 0
    base: Path = ()
    tables: dict[Path, int] = field(default_factory=dict[Path, int])
    """Elements seen of arrays of tables, by path."""

    def run(self) -> None:
        stack = [_Open("document", ())]
        rest_of_line = False
        while self.at < len(self.text) and self.places.too_deep is None:
            top = stack[-1]
            kind, token, start = self._next()
            if kind == "newline" and top.kind == "document":
                rest_of_line = False
            if kind in ("blank", "newline") or (rest_of_line and top.kind == "document"):
                if kind == "long":
                    self._skip_long(token)
                continue
            if token == {"array": "]", "table": "}"}.get(top.kind):
                stack.pop()
            elif token == ",":
                top.index += 1
            elif top.kind == "array":
                self._value(kind, token, start, (*top.path, top.index), stack)
            elif top.kind == "document" and token == "[":
                self._header(start)
                rest_of_line = True
            else:
                rest_of_line = True
                path = self._key(kind, token, start, self.base if top.kind == "document" else top.path)
                if path is not None:
                    self._value(*self._solid(), path, stack)

    def _next(self) -> tuple[str, str, int]:
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            start, self.at = self.at, len(self.text)
            return "other", "", start
        start, self.at = self.at, match.end()
        if match.lastgroup == "open":
            # A text that does not end on its line: looking for its end at each further quote takes forever.
            end = self.text.find("\n", start)
            self.at = end if end >= 0 else len(self.text)
        return match.lastgroup or "", match[0], start

    def _solid(self) -> tuple[str, str, int]:
        """The next token that is no blank."""
        while True:
            found = self._next()
            if found[0] != "blank" or self.at >= len(self.text):
                return found

    def _header(self, start: int) -> None:
        kind, token, where = self._solid()
        many = token == "[" and where == start + 1
        if many:
            kind, token, where = self._solid()
        path = self._key(kind, token, where, (), end="]")
        if path is None:
            return
        for length in range(1, len(path) + 1):  # a header makes the tables round its own too
            self.places.keys.setdefault(path[:length], start)
        if many:
            self.tables[path] = index = self.tables.get(path, -1) + 1
            path = (*path, index)
            self.places.keys.setdefault(path, start)
        self.base = path

    def _key(self, kind: str, token: str, start: int, base: Path, end: str = "=") -> Path | None:
        """The path of a dotted key, up to `end`; None when there is no such thing here."""
        found: dict[Path, int] = {}
        path = base
        while kind in ("string", "word"):
            path = (*path, _text_of(token) if kind == "string" else token)
            found.setdefault(path, start)
            if len(path) > MAX_DEPTH:
                self.places.too_deep = start
                return None
            kind, token, start = self._solid()
            if token == end:
                if end == "=":
                    for prefix, where in found.items():
                        self.places.keys.setdefault(prefix, where)
                return path
            if token == ".":
                kind, token, start = self._solid()
            else:
                kind = ""
        if path is not base:
            self.at = start
        return None

    def _value(self, kind: str, token: str, start: int, path: Path, stack: list[_Open]) -> None:
        self.places.values.setdefault(path, start)
        if token in ("[", "{"):
            stack.append(_Open("array" if token == "[" else "table", path))
            if len(path) > MAX_DEPTH:
                self.places.too_deep = start
        elif kind == "long":
            self._skip_long(token)
        elif kind == "newline":
            self.at = start

    def _skip_long(self, quotes: str) -> None:
        """To the end of a text of several lines; it may end in up to two quotes of its own."""
        if quotes == "'''":
            end = self.text.find(quotes, self.at)
        else:
            found = re.compile(r'(?:[^"\\]|\\.|"(?!""))*+', re.DOTALL).match(self.text, self.at)
            end = found.end() if found is not None and found.end() < len(self.text) else -1
        self.at = len(self.text) if end < 0 else end + 3
        for _ in range(2):
            if self.text.startswith(quotes[0], self.at):
                self.at += 1


def _text_of(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        return tomllib.loads(f"key = {token}")["key"]
    except ValueError:
        return token[1:-1]
