"""Reads tables of a TOML file strictly: every error names file and key, and what was probably meant."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from hlfuzz.errors import UsageError

MAX_FILE_BYTES: Final = 1 << 20

T = TypeVar("T")
_NAMES: Final[dict[type, str]] = {
    str: "text",
    bool: "true or false",
    int: "an integer",
    list: "a list",
    dict: "a table",
}


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file of at most 1 MiB. Raises: UsageError naming the file."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(
                f"configuration is larger than {MAX_FILE_BYTES} bytes ({path}): is this the right file?"
            )
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read configuration ({path}): {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"configuration is not valid TOML ({path}): {error}") from error


def suggestion(name: str, known: Collection[str]) -> str:
    """ "did you mean …?" when one of `known` is near, else what is known."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known)) or 'none'}"


class Table:
    """One table of a file. `key` is its path in the file, "" at the top; `page` is where its keys are listed.

    Values are given by typed getters, which raise UsageError for another type.
    """

    def __init__(self, path: Path, key: str, content: object, *, page: str = "docs/cli.md") -> None:
        self.path = path
        self.key = key
        self._page = page
        if not isinstance(content, dict):
            raise self.error("", f"expected a table, found {_kind(content)}")
        self._content = cast(dict[str, object], content)

    def error(self, name: str, problem: str) -> UsageError:
        """The error that this key of the table has this problem."""
        where = ".".join(part for part in (self.key, _quoted(name)) if part)
        return UsageError(f"{problem} ({self.path}: {where}): see {self._page} for the keys")

    def only(self, known: Collection[str]) -> None:
        """Raises: UsageError when a key is none of these."""
        if unknown := sorted(set(self._content) - set(known)):
            raise self.error(unknown[0], f"unknown key {unknown[0]!r}; {suggestion(unknown[0], known)}")

    def get(self, name: str, kind: type[T]) -> T | None:
        """The value of a key, or None when it is not there. True is no integer."""
        value = self._content.get(name)
        if value is None:
            return None
        if type(value) is not kind:
            raise self.error(name, f"expected {_NAMES.get(kind, kind.__name__)}, found {_kind(value)}")
        return value

    def number(self, name: str) -> float | None:
        """An integer or a float."""
        value = self._content.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise self.error(name, f"expected a number, found {_kind(value)}")
        return value

    def choice(self, name: str, known: Collection[str]) -> str | None:
        """One of these texts."""
        value = self.get(name, str)
        if value is not None and value not in known:
            raise self.error(name, f"unknown value {value!r}; {suggestion(value, known)}")
        return value

    def texts(self, name: str) -> tuple[str, ...] | None:
        """A list of texts."""
        items = cast("list[object] | None", self.get(name, list))
        if items is None:
            return None
        if wrong := [i for i in items if not isinstance(i, str)]:
            raise self.error(name, f"expected a list of text, found {_kind(wrong[0])} in it")
        return tuple(cast(list[str], items))

    def raw(self, name: str) -> object:
        """The value as it is, for keys of more than one type; None when it is not there."""
        return self._content.get(name)

    def table(self, name: str) -> Table:
        """A table in this one; an empty one when it is not there."""
        return self._inner(name, self._content.get(name, {}))

    def tables(self) -> Iterator[tuple[str, Table]]:
        """Every key of this table with its value, which must be a table."""
        for name, value in self._content.items():
            yield name, self._inner(name, value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def _inner(self, name: str, value: object) -> Table:
        key = f"{self.key}.{_quoted(name)}" if self.key else _quoted(name)
        return Table(self.path, key, value, page=self._page)


def _quoted(name: str) -> str:
    """As TOML has it: a name with dots in quotes."""
    return name if all(c.isalnum() or c in "_-" for c in name) else f'"{name}"'


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)
