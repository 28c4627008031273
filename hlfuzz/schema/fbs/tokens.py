"""One token of look-ahead over the lexer, and how a parser finds its way after an error."""

from __future__ import annotations

from typing import Final

from hlfuzz.schema.fbs.lexer import BAD, EOF, IDENT, STRING, Lexer, Token
from hlfuzz.schema.fbs.limits import MAX_DOTTED, MAX_PARTS
from hlfuzz.schema.fbs.problems import Problem, Reading, shown
from hlfuzz.schema.fbs.source import Source
from hlfuzz.schema.fbs.syntax import Name

KEYWORDS: Final = frozenset(
    (
        "attribute",
        "enum",
        "file_extension",
        "file_identifier",
        "include",
        "namespace",
        "root_type",
        "rpc_service",
        "struct",
        "table",
        "union",
    )
)


class Silent(Exception):
    """Something is wrong that was reported already."""


class Tokens:
    """The tokens of a file; `token` is the next one."""

    def __init__(self, source: Source, reading: Reading) -> None:
        self.source = source
        self.reading = reading
        self._lexer = Lexer(source, reading)
        self._previous_end = 0
        self.token: Token = self._lexer.next()

    def take(self) -> Token:
        """Consume the next token."""
        taken = self.token
        self._previous_end = taken.end
        self.token = self._lexer.next()
        return taken

    def at(self, kind: str) -> bool:
        """Whether the next token is of this kind."""
        return self.token.kind == kind

    def at_word(self, word: str) -> bool:
        """Whether the next token is this name."""
        return self.token.kind == IDENT and self.token.text == word

    def expect(self, kind: str, what: str = "") -> Token:
        """Consume a token of this kind. Raises `Problem` for any other."""
        if self.token.kind == kind:
            return self.take()
        raise self.unexpected(what or repr(kind))

    def unexpected(self, wanted: str) -> Exception:
        """The error that the next token is not what it should be."""
        token = self.token
        if token.kind == BAD:
            return Silent()
        if token.kind == EOF:
            found = EOF
        else:
            found = shown(token.text)
            if token.kind == STRING:
                found = f"string {found}"
        # What is missing at the end of something is best shown there, not at the next line's first word.
        closing = wanted in ("';'", "')'", "']'", "'}'")
        offset = self._previous_end if closing and self._on_other_line() else token.offset
        return Problem(f"expected {wanted}, found {found}", offset)

    def _on_other_line(self) -> bool:
        return "\n" in self.source.text[self._previous_end : self.token.offset]

    def name(self, what: str) -> Name:
        """Consume an identifier."""
        token = self.expect(IDENT, what)
        return Name(token.text, token.offset)

    def dotted(self, what: str) -> Name:
        """Consume identifiers with dots between them."""
        first = self.name(what)
        parts = [first.text]
        while self.at("."):
            self.take()
            parts.append(self.name("a name after '.'").text)
            if len(parts) > MAX_PARTS or sum(map(len, parts)) > MAX_DOTTED:
                message = f"a name of more than {MAX_PARTS} parts or {MAX_DOTTED:,} characters"
                raise Problem(message, first.offset)
        return Name(".".join(parts), first.offset)

    def report(self, error: Problem | Silent) -> None:
        """Note an error that parsing goes on after."""
        if isinstance(error, Problem):
            self.reading.report(self.source, error)

    def skip_to(self, end: str) -> None:
        """Consume up to and with the `end` of a field, method or member; stop before the '}' of its body."""
        depth = 0
        while not self.at(EOF):
            if self.at("{"):
                depth += 1
            elif self.at("}"):
                if depth == 0:
                    return
                depth -= 1
            elif self.at(end) and depth == 0:
                self.take()
                return
            self.take()

    def skip_declaration(self) -> None:
        """Consume up to where another declaration may begin."""
        depth = 0
        while not self.at(EOF):
            if self.at("{"):
                depth += 1
            elif self.at("}"):
                depth -= 1
                if depth <= 0:
                    self.take()
                    return
            elif depth == 0 and self.at(";"):
                self.take()
                return
            self.take()
            if (
                depth == 0
                and self.token.kind == IDENT
                and self.token.text in KEYWORDS
                and self._on_other_line()
            ):
                return
