"""`@hlfuzz.invariants(...)`: the calls that a test makes are also judged by checkers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.invariants.base import Invariant
from hlfuzz.invariants.registry import INVARIANTS, choose
from hlfuzz.invariants.settings.checkers import load_checkers
from hlfuzz.invariants.settings.project import find_project

MARK: Final = "hlfuzz_invariants"
"""The pytest mark that carries the checkers of a test."""
FIXTURE: Final = "hlfuzz_checked"
"""The plugin's fixture that such a test uses: without the plugin it fails instead of checking nothing."""

T = TypeVar("T", bound=Callable[..., object])


def invariants(*chosen: str | Invariant) -> Callable[[T], T]:
    """For a test function or class: which invariants must hold for the calls that it made.

    `chosen`: ids of registered checkers, or checkers. After the body has passed, what it called on
    `hlfuzz_sandbox` is run again and judged by each of them; a test that called nothing gets generated calls.
    A violated invariant fails the test with `hlfuzz.Finding`.

    Raises `UsageError` for an unknown id, and when nothing is chosen.
    """
    __tracebackhide__ = True  # a typo shows the test's line, not these
    for one in chosen:
        if not isinstance(one, str | Invariant):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                f"neither the id of an invariant nor a checker (@hlfuzz.invariants, {one!r}): "
                "write @hlfuzz.invariants('state-reset')"
            )
    if not chosen:
        raise UsageError(
            f"no invariant is named (@hlfuzz.invariants): give at least one of {', '.join(INVARIANTS)}"
        )
    ids = [one for one in chosen if isinstance(one, str)]
    if any(id_ not in INVARIANTS for id_ in ids):
        try:
            load_checkers(find_project(Path.cwd()))
        except HlfuzzError as error:
            raise error.with_traceback(None) from None
    named = dict(zip(ids, choose(ids, "@hlfuzz.invariants"), strict=True))
    checkers = tuple(named[one] if isinstance(one, str) else one for one in chosen)

    def mark(test: T) -> T:
        import pytest  # with the decorator comes pytest, not with the package

        return pytest.mark.usefixtures(FIXTURE)(getattr(pytest.mark, MARK).with_args(*checkers)(test))

    return mark
