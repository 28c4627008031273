"""The text of one schema file, and where an offset in it is."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property

from hlfuzz.schema.ir import Position


@dataclass(frozen=True)
class Source:
    """A file: the name that errors show, and its text without byte order mark."""

    name: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    @cached_property
    def _lines(self) -> dict[int, str]:
        return {}

    def position(self, offset: int) -> Position:
        """Line and column of an offset in characters."""
        line = bisect_right(self._starts, offset)
        return Position(self.name, line, offset - self._starts[line - 1] + 1)

    def line(self, offset: int) -> str:
        """The whole line that an offset is in, without its end. The same object for one line: a file may be
        one line of many megabytes with a hundred errors."""
        number = bisect_right(self._starts, offset)
        if number not in self._lines:
            end = self._starts[number] if number < len(self._starts) else len(self.text)
            self._lines[number] = self.text[self._starts[number - 1] : end].rstrip("\r\n")
        return self._lines[number]
