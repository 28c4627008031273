"""Tokens of a schema file, one at a time, as flatc splits them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hlfuzz.schema.fbs.limits import MAX_NAME, MAX_NUMBER, MAX_TOKENS
from hlfuzz.schema.fbs.problems import Problem, Reading, shown
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.strings import read_string

IDENT: Final = "identifier"
STRING: Final = "string"
INT: Final = "integer"
FLOAT: Final = "number"
EOF: Final = "end of file"
BAD: Final = "bad"
"""Something that is no token; the error is reported already."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_LINE: Final = re.compile(r"[^\r\n]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INFINITY: Final = re.compile(r"[+-]inf(?![A-Za-z0-9_])")
_NUMBER: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F.]*(?:[pP][+-]?[0-9.]*)?|[0-9.]+(?:[eE][+-]?[0-9.]*)?)")
_INT_FORM: Final = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_FLOAT_FORM: Final = re.compile(
    r"[+-]?(?:0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+"
    r"|(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)"
)


class Token(NamedTuple):
    """`kind` is one of the constants above, or the character itself ("{", "-"). `text` is the name, the
    string's value or the number; `offset` to `end` the place; `doc` the `///` lines before it; `plain`
    whether a string is printable ASCII without escapes."""

    kind: str
    text: str
    offset: int
    end: int
    doc: tuple[str, ...] = ()
    plain: bool = True


class Lexer:
    """Splits one file. Junk is reported and becomes one BAD token, so that a parser can go on after it."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self._source = source
        self._reading = reading
        self._at = 0

    def next(self) -> Token:
        """The next token; EOF again and again at the end."""
        self._reading.tokens -= 1
        if self._reading.tokens < 0:
            problem = Problem(f"more than {MAX_TOKENS:,} tokens", self._at, "split the schema")
            raise self._reading.abandon(self._source, problem)
        doc: list[str] = []
        try:
            self._skip(doc)
            return self._token(tuple(doc))
        except Problem as problem:
            self._reading.report(self._source, problem)
            start, self._at = self._at, max(self._at, problem.offset) + 1
            return Token(BAD, "", start, self._at)

    def _skip(self, doc: list[str]) -> None:
        """Spaces and comments; lines of documentation go to `doc`."""
        text = self._source.text
        new_line = self._at == 0
        while True:
            match = _SPACE.match(text, self._at)
            assert match is not None
            new_line = new_line or "\n" in match.group()
            self._at = match.end()
            if text.startswith("//", self._at):
                start = self._at
                self._at = _line_end(text, start)
                if text.startswith("/", start + 2):
                    if not new_line:
                        raise Problem(
                            "documentation (///) must be on a line of its own",
                            start,
                            "put it on the line before, or use //",
                        )
                    doc.append(text[start + 3 : self._at])
            elif text.startswith("/*", self._at):
                end = text.find("*/", self._at + 2)
                if end < 0:
                    start, self._at = self._at, len(text)
                    raise Problem("this comment does not end", start, "close it with */")
                self._at = end + 2
            else:
                return

    def _token(self, doc: tuple[str, ...]) -> Token:
        text, start = self._source.text, self._at
        if start >= len(text):
            return Token(EOF, "", start, start, doc)
        if match := _NAME.match(text, start):
            if match.end() - start > MAX_NAME:
                self._at = match.end()
                raise Problem(f"a name of more than {MAX_NAME:,} characters", start)
            return self._take(IDENT, match.group(), match.end(), doc)
        char = text[start]
        following = text[start + 1 : start + 2]
        if char in "{}()[]<>,:;=":
            return self._take(char, char, start + 1, doc)
        if char in "\"'":
            return self._string(doc)
        if char in "+-":
            if match := _INFINITY.match(text, start):
                return self._take(FLOAT, match.group(), match.end(), doc)
            if _NAME.match(following):
                return self._take(char, char, start + 1, doc)
        if char == "." and not following.isdecimal():
            return self._take(char, char, start + 1, doc)
        if match := _NUMBER.match(text, start):
            return self._number(match, doc)
        if char in "+-":
            raise Problem(f"a number or a constant's name must follow {char!r}", start)
        what = f"character {char!r}" if char.isprintable() else f"character U+{ord(char):04X}"
        raise Problem(f"{what} has no meaning here", start)

    def _string(self, doc: tuple[str, ...]) -> Token:
        start = self._at
        try:
            value, plain, self._at = read_string(self._source.text, start)
        except Problem:
            # Nothing on the rest of the line can be told from the string's text.
            self._at = _line_end(self._source.text, start)
            raise
        return Token(STRING, value, start, self._at, doc, plain)

    def _number(self, match: re.Match[str], doc: tuple[str, ...]) -> Token:
        literal = match.group()
        if len(literal) > MAX_NUMBER:
            self._at = match.end()
            raise Problem(f"a number of more than {MAX_NUMBER:,} characters", match.start())
        if _INT_FORM.fullmatch(literal):
            return self._take(INT, literal, match.end(), doc)
        if _FLOAT_FORM.fullmatch(literal):
            return self._take(FLOAT, literal, match.end(), doc)
        self._at = match.end() - 1
        hint = "hexadecimal fractions need an exponent: 0x1.8p0" if "x" in literal.lower() else ""
        raise Problem(f"{shown(literal)} is no number", match.start(), hint)

    def _take(self, kind: str, text: str, end: int, doc: tuple[str, ...]) -> Token:
        start, self._at = self._at, end
        return Token(kind, text, start, end, doc)


def _line_end(text: str, start: int) -> int:
    match = _LINE.match(text, start)
    assert match is not None
    return match.end()
