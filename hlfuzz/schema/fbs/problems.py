"""How the front end says that something is wrong, and goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from hlfuzz.schema.diagnostics import Collector, did_you_mean
from hlfuzz.schema.fbs.limits import MAX_ITEMS, MAX_TOKENS
from hlfuzz.schema.fbs.source import Source

_CANDIDATES = 500
_MAX_COMPARED = 64


class Problem(Exception):
    """What is wrong at an offset of the current file; caught where reading can go on."""

    def __init__(self, message: str, offset: int, suggestion: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.suggestion = suggestion


class Abandoned(Exception):
    """A limit was exceeded, or enough errors were found; the reason is in the collector."""


@dataclass
class Reading:
    """State shared by all files of one run: the errors, and what is left of the limits."""

    errors: Collector = field(default_factory=Collector)
    tokens: int = MAX_TOKENS
    items: int = MAX_ITEMS

    def report(self, source: Source, problem: Problem) -> None:
        """Note an error. Raises `Abandoned` when there are as many as anyone reads."""
        self.errors.add(
            problem.message,
            source.position(problem.offset),
            suggestion=problem.suggestion,
            source=source.line(problem.offset),
        )
        if self.errors.full:
            raise Abandoned

    def abandon(self, source: Source, problem: Problem) -> Abandoned:
        """Note an error after which reading must stop."""
        self.report(source, problem)
        return Abandoned()

    def count_item(self, source: Source, offset: int) -> None:
        """Count a definition, field, member or method. Raises `Abandoned` beyond the limit."""
        self.items -= 1
        if self.items < 0:
            message = f"more than {MAX_ITEMS:,} definitions, fields, enum members and methods"
            raise self.abandon(source, Problem(message, offset, "split the schema into independent ones"))


def similar(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """A suggestion for a misspelt name, in bounded time whatever the schema holds."""
    if len(name) > _MAX_COMPARED:
        return otherwise
    near = (n for n in islice(known, 100 * _CANDIDATES) if abs(len(n) - len(name)) <= 3)
    return did_you_mean(name, islice(near, _CANDIDATES), otherwise)


def shown(text: str) -> str:
    """Text of a schema, quoted and cut, for a message."""
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
