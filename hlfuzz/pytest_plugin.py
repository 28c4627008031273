"""The pytest plugin: options, fixtures and marks of hlfuzz. What it does is imported when a test uses it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

import pytest

from hlfuzz.testing.options import ALL, ROOT, SEED_INPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hlfuzz.errors import Finding
    from hlfuzz.guest import Guest
    from hlfuzz.sandbox import Pool, Provider, Sandbox
    from hlfuzz.testing.checking import Checking
    from hlfuzz.testing.state import State

_FIXTURES = frozenset({"hlfuzz_sandbox", "hlfuzz_pool", "hlfuzz_checked"})
_WANTED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hlfuzz", "isolation of guests (hlfuzz)")
    group.addoption(
        "--hlfuzz",
        metavar="TARGET",
        dest="hlfuzz_targets",
        action="append",
        nargs="?",
        const=ALL,
        default=[],
        help="Test every invariant of a target: a name from [tool.hlfuzz.targets], or a file. May be "
        "repeated; without a name, at the end of the line: all configured targets.",
    )
    group.addoption(
        "--hlfuzz-invariant",
        metavar="ID",
        dest="hlfuzz_invariants",
        action="append",
        default=[],
        help="With --hlfuzz: only this invariant. May be repeated.",
    )
    group.addoption(
        "--hlfuzz-engine",
        choices=("auto", "kvm", "inprocess"),
        dest="hlfuzz_engine",
        help="Where guests run; goes before what settings say, and after what a mark says.",
    )
    group.addoption(
        "--hlfuzz-seed",
        metavar="N",
        dest="hlfuzz_seed",
        help="Number that generated cases start from, or random (default: the setting, else 0).",
    )
    group.addoption(
        "--hlfuzz-time",
        metavar="TIME",
        dest="hlfuzz_time",
        help="Time for all invariants of one target together: 20s, 2m (default: the setting, else 20s).",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "hlfuzz(engine, reset, timeout, guest, target): how the hlfuzz fixtures of this test open its guest",
    )
    config.addinivalue_line("markers", "hlfuzz_invariants(*checkers): made by @hlfuzz.invariants")
    config.addinivalue_line("markers", "hlfuzz_client(class): made by @hlfuzz.given_calls")
    wanted = [arg for arg in config.args if arg.startswith(f"{ROOT}::")]
    config.stash[_WANTED] = wanted
    if wanted:
        config.args = [arg for arg in config.args if arg not in wanted]
        named: list[str] = config.option.hlfuzz_targets
        known = {*named, *(PurePath(name).stem for name in named)}  # a file's tests have its stem
        named += dict.fromkeys(name for name in (arg.split("::")[1] for arg in wanted) if name not in known)
    if config.getoption("hlfuzz_targets"):
        _checked_state(config)


def _checked_state(config: pytest.Config) -> State:
    """The state of a run with targets, whose names and options are right."""
    from hlfuzz.errors import HlfuzzError
    from hlfuzz.testing.state import state_of

    state = state_of(config)
    try:
        for target in state.chosen():
            state.invariants(target)
        _ = state.seed, state.time
    except HlfuzzError as error:
        raise pytest.UsageError(str(error)) from None
    return state


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Of pytest-xdist: every worker gets the seed of the run."""
    if node.config.getoption("hlfuzz_targets"):
        node.workerinput[SEED_INPUT] = _checked_state(node.config).seed


def pytest_report_header(config: pytest.Config) -> str | None:
    if not config.getoption("hlfuzz_targets"):
        return None
    state = _checked_state(config)
    names = ", ".join(target.name for target in state.chosen())
    return f"hlfuzz: {names}; seed {state.seed}, {state.time:g} s for each target"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("hlfuzz_targets"):
        return
    for report in terminalreporter.getreports("passed"):
        if doubt := dict(report.user_properties).get("hlfuzz.doubt"):
            terminalreporter.write_line(f"{report.nodeid} held, but {doubt}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    if not config.getoption("hlfuzz_targets"):
        return
    from hlfuzz.errors import HlfuzzError
    from hlfuzz.testing.items import invariant_items

    try:
        items += invariant_items(session, _checked_state(config), config.stash[_WANTED])
    except HlfuzzError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.getoption("hlfuzz_targets"):
        from hlfuzz.testing.items import divide_time

        divide_time(session.items)


@pytest.fixture
def hlfuzz_guest(request: pytest.FixtureRequest) -> Guest:
    """The guest of the test: of its mark, `hlfuzz(guest=…)` or `hlfuzz(target=…)`, or of the only target."""
    from hlfuzz.testing.fixtures import open_guest

    return open_guest(request.node)


@pytest.fixture
def hlfuzz_host() -> Mapping[str, Provider]:
    """Host functions of the test's sandboxes by "module.name"; override it to give some. For what it leaves
    out there are the stand-ins of the target."""
    return {}


@pytest.fixture
def hlfuzz_sandbox(
    request: pytest.FixtureRequest, hlfuzz_guest: Guest, hlfuzz_host: Mapping[str, Provider]
) -> Generator[Sandbox]:
    """An open sandbox with the test's guest, whose calls are recorded."""
    from hlfuzz.testing.fixtures import open_sandbox

    yield from open_sandbox(request.node, hlfuzz_guest, hlfuzz_host)


@pytest.fixture
def hlfuzz_pool(
    request: pytest.FixtureRequest, hlfuzz_guest: Guest, hlfuzz_host: Mapping[str, Provider]
) -> Generator[Pool]:
    """A pool of two sandboxes with the test's guest."""
    from hlfuzz.testing.fixtures import open_pool

    yield from open_pool(request.node, hlfuzz_guest, hlfuzz_host)


@pytest.fixture
def hlfuzz_checked(
    request: pytest.FixtureRequest, hlfuzz_guest: Guest, hlfuzz_host: Mapping[str, Provider]
) -> Generator[Checking]:
    """What judges the calls of a test with `@hlfuzz.invariants`; such a test uses it by itself."""
    from hlfuzz.testing.checking import open_checking

    yield from open_checking(request.node, hlfuzz_guest, hlfuzz_host)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    result = yield
    if "hlfuzz_checked" in pyfuncitem.funcargs:
        cast("Checking", pyfuncitem.funcargs["hlfuzz_checked"]).judge()
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Workers of pytest-xdist run no more guests at once than the CPUs carry. They wait before the timer of
    pytest-timeout starts."""
    if not hasattr(item.config, "workerinput") or not _runs_guest(item):
        return (yield)
    from hlfuzz.testing.slots import slot

    with slot():
        return (yield)


def _runs_guest(item: pytest.Item) -> bool:
    return item.nodeid.startswith(f"{ROOT}::") or not _FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    errors = sys.modules.get("hlfuzz.errors")
    error = None if errors is None or call.excinfo is None else call.excinfo.value
    if errors is not None and isinstance(error, errors.HlfuzzError) and not item.config.option.fulltrace:
        from hlfuzz.testing.frames import shorten

        shorten(cast("pytest.ExceptionInfo[BaseException]", call.excinfo))
    report = yield
    if errors is not None and report.failed and isinstance(error, errors.Finding):
        from hlfuzz.testing.text import short_report

        report.longrepr = short_report(cast("Finding", error), item.nodeid)
    return report
