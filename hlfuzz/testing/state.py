"""`State`: what one pytest process knows of the project, its options and its open targets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, cast

import pytest

from hlfuzz.durations import seconds
from hlfuzz.errors import EnvironmentProblem, UsageError
from hlfuzz.fuzz import Store
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Invariant,
    Project,
    ProjectTarget,
    Target,
    choose,
    find_project,
    find_target,
    load_checkers,
    open_project_target,
)
from hlfuzz.invariants.interface import refuse_nothing_to_call
from hlfuzz.invariants.target import EngineName
from hlfuzz.sandbox import why_no_kvm
from hlfuzz.testing.options import ALL, SEED_INPUT

_KEY: Final = pytest.StashKey["State"]()


def state_of(config: pytest.Config) -> State:
    """The state of this process; made when first asked for."""
    if _KEY not in config.stash:
        state = config.stash[_KEY] = State(config)
        config.add_cleanup(state.close)
    return config.stash[_KEY]


class State:
    """Settings with the command line over them, guests that are loaded, targets that are open."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._guests: dict[tuple[Path, int, int], Guest] = {}
        self._targets: dict[str, Target] = {}

    @cached_property
    def project(self) -> Project:
        """The settings of the project that is tested. Raises: UsageError."""
        project = find_project(self._config.rootpath)
        load_checkers(project)
        return project

    @cached_property
    def engine(self) -> EngineName | None:
        """`--hlfuzz-engine`; None: as the settings say."""
        return cast("EngineName | None", self._config.getoption("hlfuzz_engine"))

    @cached_property
    def time(self) -> float:
        """Seconds for all checkers of one target."""
        text = cast("str | None", self._config.getoption("hlfuzz_time"))
        return self.project.time if text is None else seconds(text, "--hlfuzz-time")

    @cached_property
    def seed(self) -> int:
        """Where random choices start from: the same number in every worker of a run."""
        given: dict[str, object] = getattr(self._config, "workerinput", {})
        if SEED_INPUT in given:
            return int(str(given[SEED_INPUT]))
        text = cast("str | None", self._config.getoption("hlfuzz_seed"))
        if text is not None and text != "random":
            if not text.isdecimal():
                raise UsageError(f"--hlfuzz-seed {text!r} is no seed: write a number from 0 on, or random")
            return int(text)
        if text is None and self.project.seed is not None:
            return self.project.seed
        return random.SystemRandom().getrandbits(32)

    @property
    def is_worker(self) -> bool:
        """Is this a worker of pytest-xdist?"""
        return hasattr(self._config, "workerinput")

    def chosen(self) -> list[ProjectTarget]:
        """The targets of `--hlfuzz`, in order. Raises: UsageError for an unknown one."""
        names = cast("list[str]", self._config.getoption("hlfuzz_targets"))
        project = self.project
        if ALL in names:
            if not project.targets:
                raise UsageError(
                    f"--hlfuzz finds no target ({project.path or project.folder}): name a module's file, or "
                    "add [tool.hlfuzz.targets.NAME] with module = '…' to pyproject.toml"
                )
            names = [*project.targets, *(n for n in names if n != ALL and n not in project.targets)]
        for name in names:
            if name not in project.targets and Path(name.partition("::")[0]).suffix == ".py":
                raise UsageError(
                    f"a test file in the place of a target (--hlfuzz {name}): write pytest {name} --hlfuzz"
                )
        found = {target.name: target for target in (find_target(project, name) for name in names)}
        return list(found.values())

    def find(self, name: str) -> ProjectTarget:
        """A target by its name or its module's file. Raises: UsageError."""
        return find_target(self.project, name)

    def invariants(self, target: ProjectTarget) -> list[Invariant]:
        """Its checkers, in the order of a report. Raises: UsageError for an unknown one."""
        only = cast("Sequence[str]", self._config.getoption("hlfuzz_invariants"))
        if only:
            return choose(dict.fromkeys(only), "--hlfuzz-invariant")
        named = target.invariants if target.invariants is not None else self.project.invariants
        if named is None:
            return list(INVARIANTS.values())
        return choose(dict.fromkeys(named), f"{self.project.path}: invariants")

    def open(self, target: ProjectTarget) -> Target:
        """The target with its long-lived sandboxes, the same one for all of its tests."""
        opened = self._targets.get(target.name)
        if opened is None:
            opened = open_project_target(self.project, target, engine=self.engine)
            try:
                refuse_nothing_to_call(opened.guest.info, opened.interface)
            except UsageError:
                opened.close()
                raise
            self._targets[target.name] = opened
        return opened

    def store(self, target: str) -> Store:
        """Where findings of a target are kept."""
        return Store(self.project.store / target)

    def guest(self, path: Path) -> Guest:
        """The guest in a file, loaded and compiled once unless the file changes."""
        try:
            found = path.stat()
        except OSError as error:
            raise UsageError(f"no guest ({path}): {error.strerror}; build it, or mend its path") from None
        key = (path, found.st_mtime_ns, found.st_size)
        if key not in self._guests:
            self._guests[key] = Guest.load(path)
        return self._guests[key]

    def refuse_without_kvm(self) -> None:
        """Raises: EnvironmentProblem where the settings require micro-VMs and none can run."""
        if self.project.require_kvm and (reason := why_no_kvm()):
            raise EnvironmentProblem(
                f"require_kvm is set, and no micro-VM can run here: {reason}", reason="no-kvm"
            )

    def close(self) -> None:
        """Closes all targets."""
        for target in self._targets.values():
            target.close()
        self._targets.clear()
