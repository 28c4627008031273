"""What a change of a schema breaks: one rule, at one place."""

from __future__ import annotations

from dataclasses import dataclass

from hlfuzz.schema.ir import Position


@dataclass(frozen=True, slots=True)
class Breakage:
    """Why peers built on the old and the new schema cannot talk.

    `rule` is a stable name in kebab case ("field-removed"), `path` the full name of what changed
    ("net.Request.url"), `message` says what it was and what it is now, `position` is its place in the new
    schema (in the old one when it is gone).
    """

    rule: str
    path: str
    message: str
    position: Position | None = None

    def __str__(self) -> str:
        where = f"{self.position}: " if self.position is not None else ""
        return f"{where}{self.rule}: {self.path}: {self.message}"
