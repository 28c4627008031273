"""`@hlfuzz.given_calls(...)`: a test is given sequences of calls by Hypothesis."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from hypothesis import strategies as st

from hlfuzz.bindings import TypedGuest
from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants.decorator import FIXTURE
from hlfuzz.invariants.sequences import Calls
from hlfuzz.invariants.strategies import MAX_CALLS, call_sequences
from hlfuzz.testing.checking import active
from hlfuzz.testing.fixtures import CLIENT_MARK, plainly

ARGUMENT: Final = "calls"

Source = type[TypedGuest[Any]] | Guest | str | os.PathLike[str] | None
Test = Callable[..., None]


def given_calls(
    source: Source = None,
    *,
    max_calls: int = MAX_CALLS,
    min_calls: int = 1,
    settings: hypothesis.settings | None = None,
) -> Callable[[Test], Test]:
    """Run a test for many sequences of calls, which it gets as its argument `calls` (`Calls`); a failing
    one is made small.

    `source`: a generated client class, whose schema the arguments follow; a guest or a module's file; None
    for the interface of the test's own guest (`hlfuzz_guest`). `settings` are Hypothesis' own. Between two
    examples `hlfuzz_sandbox` is reset, and a context that is still open is finished. With
    `@hlfuzz.invariants` each example is judged.

    Raises `UsageError` for a test without the argument `calls`, and for bounds that do not fit.
    """
    __tracebackhide__ = True  # misuse shows the test's line, not these
    if inspect.isfunction(source):
        raise UsageError("a test in the place of the source: write @hlfuzz.given_calls() with parentheses")
    if not 0 <= min_calls <= max_calls or max_calls < 1:
        raise UsageError(
            f"no sequence has {min_calls} to {max_calls} calls (@hlfuzz.given_calls): give a max_calls of 1 "
            "or more, and not below min_calls"
        )

    def decorate(test: Test) -> Test:
        __tracebackhide__ = True
        _check(test)

        @functools.wraps(test)
        def example(*args: Any, **kwargs: Any) -> None:
            __tracebackhide__ = True
            checking = active()
            if checking is not None:
                checking.begin_example()
            test(*args, **kwargs)
            if checking is not None:
                calls: Calls = kwargs[ARGUMENT]
                checking.judge_example([calls.case()] if calls else [])

        try:
            drawn = _sequences(source, min_calls, max_calls)
        except HlfuzzError as error:
            raise error.with_traceback(None) from None
        given = _settings(settings)(hypothesis.given(**{ARGUMENT: drawn})(example))
        if isinstance(source, type):
            given = getattr(pytest.mark, CLIENT_MARK).with_args(source)(given)
        return pytest.mark.usefixtures(FIXTURE)(given)

    return decorate


def _check(test: Test) -> None:
    __tracebackhide__ = True
    name = getattr(test, "__qualname__", repr(test))
    if inspect.iscoroutinefunction(test):
        raise UsageError(f"a test with given_calls cannot be a coroutine ({name}): make it a plain function")
    if ARGUMENT not in inspect.signature(test).parameters:
        raise UsageError(f"no argument {ARGUMENT!r} ({name}): def {name}(hlfuzz_sandbox, {ARGUMENT})")


def _settings(given: hypothesis.settings | None) -> hypothesis.settings:
    """The user's own or those of the profile; no deadline that nobody chose, as a busy machine keeps none."""
    usual = hypothesis.settings()
    parent = given or usual
    # The fixtures are meant to last for all examples: the sandbox is reset between them.
    fixtures = hypothesis.HealthCheck.function_scoped_fixture
    return hypothesis.settings(
        parent,
        deadline=None if parent.deadline == usual.deadline else parent.deadline,
        suppress_health_check=[*parent.suppress_health_check, fixtures],
        # Which lines of hlfuzz ran says nothing about a guest.
        phases=[phase for phase in parent.phases if phase is not hypothesis.Phase.explain],
    )


def _of_file(path: Path, bounds: dict[str, int]) -> st.SearchStrategy[Calls]:
    with plainly():
        return call_sequences(Guest.load(path), **bounds)


def _sequences(source: Source, min_calls: int, max_calls: int) -> st.SearchStrategy[Calls]:
    bounds = {"min_calls": min_calls, "max_calls": max_calls}
    if isinstance(source, str | os.PathLike):
        return st.deferred(lambda: _of_file(Path(source), bounds))
    if source is not None:
        return call_sequences(source, **bounds)

    @st.composite
    def of_the_test(draw: st.DrawFn) -> Calls:
        checking = active()
        if checking is None:
            raise UsageError("given_calls() was not run by pytest: name a client class or a guest")
        return draw(_of_target(checking.target))

    @functools.lru_cache(maxsize=1)
    def _of_target(target: Any) -> st.SearchStrategy[Calls]:
        return call_sequences(target, **bounds)

    return of_the_test()
