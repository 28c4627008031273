"""Errors in schema files: many in one run, each with its place, the line with a caret, and a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from hlfuzz.errors import HlfuzzError
from hlfuzz.schema.ir import Position

MAX_DIAGNOSTICS: Final = 100
"""Errors kept of one run; a file of junk must not print more than a screen or two a hundred times over."""
_MAX_LINE: Final = 160


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One error: what, where, and what to do. `source` is the line of the file, or "" when there is none."""

    message: str
    position: Position | None = None
    suggestion: str = ""
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position is not None else ""
        text = f"{where}error: {self.message}"
        if self.position is not None and self.source:
            start = max(0, self.position.column - _MAX_LINE // 2) if len(self.source) > _MAX_LINE else 0
            shown = self.source[start : start + _MAX_LINE].rstrip("\r\n")
            before = min(max(0, self.position.column - 1 - start), len(shown))
            text += f"\n  {_visible(shown)}\n  {' ' * before}^"
        return f"{text}\n  {self.suggestion}" if self.suggestion else text


class SchemaError(HlfuzzError):
    """A schema cannot be used; `diagnostics` holds everything found wrong in one run."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("\n".join(map(str, self.diagnostics)))


class Collector:
    """Gathers errors while a front end goes on; `finish` raises them."""

    def __init__(self) -> None:
        self._found: list[Diagnostic] = []
        self._seen: set[tuple[str, Position | None]] = set()

    @property
    def full(self) -> bool:
        """Whether a front end should stop: as many errors as anyone reads."""
        return len(self._found) >= MAX_DIAGNOSTICS

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(
        self, message: str, position: Position | None = None, *, suggestion: str = "", source: str = ""
    ) -> None:
        """Note an error; the same one at the same place only once."""
        key = (message, position)
        if key not in self._seen and not self.full:
            self._seen.add(key)
            self._found.append(Diagnostic(message, position, suggestion, source))

    def finish(self) -> None:
        """Raise `SchemaError` when anything was found."""
        if self._found:
            files = {d.position.file: i for i, d in reversed(list(enumerate(self._found))) if d.position}
            raise SchemaError(sorted(self._found, key=lambda d: _place(d, files)))


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A suggestion for a misspelt name: "did you mean 'x'?", or `otherwise`."""
    near = difflib.get_close_matches(name, list(known)[:10_000], n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise


def _place(diagnostic: Diagnostic, files: dict[str, int]) -> tuple[int, int, int]:
    """Where to say an error: files in the order of their first one, in a file by position; first what has
    none."""
    at = diagnostic.position
    return (-1, 0, 0) if at is None else (files[at.file], at.line, at.column)


def _visible(text: str) -> str:
    """Text of a hostile file, safe for a terminal; each character stays one, so that the caret is right."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
