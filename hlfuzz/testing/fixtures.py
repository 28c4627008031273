"""Opens what the fixtures give to a test: its guest, its host functions, a sandbox, a pool."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import pytest

from hlfuzz.bindings import schema_of
from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    Config,
    ProjectTarget,
    Target,
    describe_interface,
    open_project_target,
    refuse_missing,
)
from hlfuzz.invariants.target import EngineName
from hlfuzz.invariants.typed import Typed, describe_typed
from hlfuzz.sandbox import Pool, Provider, Sandbox
from hlfuzz.testing.marker import Choice, choice_of
from hlfuzz.testing.recorded import RecordedSandbox
from hlfuzz.testing.state import State, state_of

CLIENT_MARK: Final = "hlfuzz_client"
"""The mark with the client class of `given_calls`."""
POOL_SIZE: Final = 2
"""Sandboxes of `hlfuzz_pool`: two tenants at once, and a third that waits."""


@contextlib.contextmanager
def plainly() -> Generator[None]:
    """An error of the tool is told as one message, without the plugin's stack."""
    try:
        yield
    except HlfuzzError as error:
        raise pytest.fail.Exception(f"{type(error).__name__}: {error}", pytrace=False) from None


class Setting:
    """How one test opens its guest: its marks, over the command line, over the settings."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self.state: State = state_of(item.config)
        self.choice: Choice = choice_of(item)

    @cached_property
    def target(self) -> ProjectTarget | None:
        """The target that the test is about: by its mark, the only one of `--hlfuzz`, or the only one."""
        choice, project = self.choice, self.state.project
        if choice.guest is not None:
            path = self._file(choice.guest)
            return ProjectTarget(name=path.stem, module=path)
        if choice.target is not None:
            return self.state.find(choice.target)
        for candidates in (self.state.chosen(), list(project.targets.values())):
            if len(candidates) == 1:
                return candidates[0]
        return None

    @cached_property
    def engine(self) -> EngineName:
        """Where the guest runs."""
        configured = self.target.engine if self.target is not None else None
        return self.choice.engine or self.state.engine or configured or self.state.project.engine

    @cached_property
    def timeout(self) -> float:
        """CPU seconds of one call."""
        configured = self.target.timeout if self.target is not None else None
        return self.choice.timeout or configured or self.state.project.timeout

    @cached_property
    def schema(self) -> Typed | None:
        """That of the client class that the test's calls are made for."""
        mark = self._item.get_closest_marker(CLIENT_MARK)
        if mark is None:
            return None
        interface, service = schema_of(mark.args[0])
        return Typed(interface, service=service)

    def guest(self) -> Guest:
        """The guest of its target. Raises: UsageError when it names none."""
        if self.target is None:
            known = ", ".join(self.state.project.targets) or "none"
            raise UsageError(
                f"which guest? ({self._item.nodeid}; configured targets: {known}): mark the test with "
                "@pytest.mark.hlfuzz(guest='filter.wasm') or target='…', or override the fixture hlfuzz_guest"
            )
        return self.state.guest(self.target.module)

    def open(self, guest: Guest, host: Mapping[str, Provider]) -> Target:
        """The guest as checkers see it, with the host functions of the test. Raises: UsageError when one is
        missing, and as `Target`."""
        self.state.refuse_without_kvm()
        _check_overridden(guest, host)
        target = self.target
        if target is not None and self.state.guest(target.module).digest == guest.digest:
            project = self.state.project
            return open_project_target(
                project, target, engine=self.engine, timeout=self.timeout, providers=host, schema=self.schema
            )
        schema = self.schema
        interface = describe_interface(guest.info, Config())
        if schema is not None:
            interface = describe_typed(guest, schema, Config())
        refuse_missing(guest.info, interface, given=host)
        return Target(guest, interface, engine=self.engine, deadline=self.timeout, host=host)

    def options(self, target: Target) -> dict[str, Any]:
        """Options of the test's own sandboxes."""
        reset = self.choice.reset or self.state.project.reset
        return {
            "engine": self.engine,
            "reset": "strict" if target.guest.kind == "elf" else reset,
            "deadline": self.timeout,
            "allocator": target.interface.allocator,
            "wasi": target.wasi,
        }

    def _file(self, path: Path) -> Path:
        """A guest is named from the test's folder, or from the project's."""
        beside, below = self._item.path.parent / path, self.state.project.folder / path
        return below if not beside.is_file() and below.is_file() else beside


def _check_overridden(guest: object, host: object) -> None:
    """Raises: UsageError where a project's own fixture returned something else."""
    if not isinstance(guest, Guest):
        raise UsageError(
            f"the fixture hlfuzz_guest returned {guest!r:.60}: return a Guest, "
            "say hlfuzz.Guest.from_wasm('filter.wasm')"
        )
    if not isinstance(host, Mapping):
        raise UsageError(
            f"the fixture hlfuzz_host returned {host!r:.60}: return host functions by name, "
            "{'env.write': write}"
        )


_SETTING: Final = pytest.StashKey[Setting]()


def setting_of(item: pytest.Item) -> Setting:
    """How the test opens its guest; read once. Raises: UsageError for a wrong mark."""
    if _SETTING not in item.stash:
        item.stash[_SETTING] = Setting(item)
    return item.stash[_SETTING]


def open_guest(item: pytest.Item) -> Guest:
    """For `hlfuzz_guest`."""
    with plainly():
        return setting_of(item).guest()


def open_sandbox(item: pytest.Item, guest: Guest, host: Mapping[str, Provider]) -> Generator[Sandbox]:
    """For `hlfuzz_sandbox`."""
    with plainly():
        setting = setting_of(item)
        target = setting.open(guest, host)
        box = RecordedSandbox(guest, target.recorder().providers, **setting.options(target))
    with box:
        yield box


def open_pool(item: pytest.Item, guest: Guest, host: Mapping[str, Provider]) -> Generator[Pool]:
    """For `hlfuzz_pool`."""
    with plainly():
        setting = setting_of(item)
        target = setting.open(guest, host)
        pool = Pool(guest, target.recorder().providers, size=POOL_SIZE, **setting.options(target))
    with pool:
        yield pool
