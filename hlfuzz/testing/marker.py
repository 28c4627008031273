"""Reads the mark `hlfuzz(engine=…, reset=…, timeout=…, guest=…, target=…)` of a test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

from hlfuzz.errors import UsageError
from hlfuzz.invariants.settings.project import ENGINES, MAX_TIMEOUT, RESETS
from hlfuzz.invariants.settings.tables import suggestion
from hlfuzz.invariants.target import EngineName, Reset

NAME: Final = "hlfuzz"
KEYS: Final = ("engine", "reset", "timeout", "guest", "target")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the marks of a test say; None where they say nothing. `guest` is a module's file, `timeout` CPU
    seconds of one call."""

    engine: EngineName | None = None
    reset: Reset | None = None
    timeout: float | None = None
    guest: Path | None = None
    target: str | None = None


def choice_of(node: pytest.Item) -> Choice:
    """The marks of a test, its class and its module; the nearest one wins, key by key.

    Raises: UsageError naming test and key for an unknown key or a wrong value.
    """
    choice = Choice()
    for mark in reversed(list(node.iter_markers(NAME))):
        choice = _over(choice, mark, f"{node.nodeid}: @pytest.mark.{NAME}")
    return choice


def _over(outer: Choice, mark: pytest.Mark, where: str) -> Choice:
    if mark.args:
        raise UsageError(
            f"the mark takes names only, found {mark.args[0]!r} ({where}): write hlfuzz(engine='kvm')"
        )
    given = dict(mark.kwargs)
    for key in given:
        if key not in KEYS:
            raise UsageError(f"unknown key {key!r} ({where}): {suggestion(key, KEYS)}")
    if "guest" in given and "target" in given:
        raise UsageError(f"both guest and target are named ({where}): a target has its own guest, name one")
    for key, known in (("engine", ENGINES), ("reset", RESETS)):
        if key in given and given[key] not in known:
            raise UsageError(f"unknown {key} {given[key]!r} ({where}): {suggestion(str(given[key]), known)}")
    if "timeout" in given:
        given["timeout"] = _timeout(given["timeout"], where)
    if "guest" in given:
        given.update(guest=_path(given["guest"], where), target=None)
    elif "target" in given:
        if not isinstance(given["target"], str):
            raise UsageError(f"a target is named by text, found {given['target']!r} ({where})")
        given["guest"] = None
    return replace(outer, **given)


def _timeout(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_TIMEOUT:
        raise UsageError(f"timeout {value!r} is no time ({where}): give CPU seconds, above 0 and up to 3600")
    return float(value)


def _path(value: object, where: str) -> Path:
    if not isinstance(value, str | Path):
        raise UsageError(f"a guest is named by its file, found {value!r} ({where})")
    return Path(value)
