"""The stateful machine agrees with sound sandboxes, and finds faults planted in them by a short sequence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from needs import require_kvm
from planted import contexts, planted

from hlfuzz.invariants.experiments.lab import Lab
from hlfuzz.invariants.machine import SandboxMachine
from hlfuzz.sandbox import Sandbox, Snapshot
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.pool.stock import Stock

PLANTED = {fault.name: fault for fault in planted()}

SETTINGS = settings(
    max_examples=400,
    stateful_step_count=12,
    derandomize=True,
    database=None,
    deadline=None,
    report_multiple_bugs=False,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def run(engine: str, reset: str = "strict", **changes: Any) -> None:
    options = {"transport": "exit"} if engine == "kvm" else {}
    name = {"engine": engine, "reset": reset, "options": options}
    machine = type("Machine", (SandboxMachine,), name)
    run_state_machine_as_test(machine, settings=settings(SETTINGS, **changes))


def steps(error: AssertionError) -> int:
    """How many rules the sequence has that Hypothesis prints with an error."""
    return len(re.findall(r"state\.(?!agrees|teardown)\w+\(", "\n".join(error.__notes__)))


@pytest.mark.parametrize("reset", ["strict", "memory"])
def test_sound_sandboxes_agree_with_the_model(engine: str, reset: str) -> None:
    run(engine, reset, max_examples=12, stateful_step_count=25)


def returns_true(sound: Any) -> Any:
    return lambda *args: True


def always_the_first(sound: Any) -> Any:
    """The first snapshot of a sandbox is also given as its later ones."""
    taken: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def freeze(box: Sandbox) -> Any:
        if box not in taken:
            taken[box] = sound(box)
        return taken[box]

    return freeze


def patches(*planted: tuple[Any, str, Callable[[Any], Any]]) -> Callable[[], ExitStack]:
    """A context manager in which each `owner.name` is what `make` makes of it."""

    def plant() -> ExitStack:
        stack = ExitStack()
        for owner, name, make in planted:
            stack.enter_context(patch.object(owner, name, make(getattr(owner, name))))
        return stack

    return plant


def serves_the_last_first(sound: Any) -> Any:
    def queue(stock: Stock, waiter: Any) -> None:
        sound(stock, waiter)
        stock.waiting.reverse()

    return queue


def stays_open(sound: Any) -> Any:
    return lambda gate: None


def loads_the_start(sound: Any) -> Any:
    def load(path: Any, guest: Any) -> Any:
        with Lab("kvm", "strict").open() as fresh:
            return fresh.snapshot()

    return load


POOLS: dict[str, tuple[str, Callable[[], ExitStack]]] = {
    "a pool that takes every sandbox for clean": (
        "inprocess",
        patches((InProcessEngine, "is_clean", returns_true)),
    ),
    "a pool that serves first who waits last": (
        "inprocess",
        patches((Stock, "queue", serves_the_last_first)),
    ),
    "a lease that can be used after its end": ("inprocess", patches((Gate, "end_lease", stays_open))),
    "a snapshot that is an older one": ("kvm", patches((Sandbox, "freeze", always_the_first))),
    "a snapshot file without its state": ("kvm", patches((Snapshot, "load", loads_the_start))),
}
"""Faults that are planted here only."""

FOUND = (
    "callback-after-an-error",
    "callback-after-close",
    "callback-in-another-thread",
    "callback-in-the-workers-thread",
    "callbacks-swapped",
    "context-used-after-finish",
    "context-without-reset",
    "finish-after-close",
    "host-error-misnamed",
    "late-caller",
    "pool-leases-without-reset",
    "re-entrance-allowed",
    "reset-does-nothing",
    "reset-forgets-grown-memory",
    "reset-forgets-host-writes",
    "reset-of-all-sandboxes",
    "stuck-after-host-error",
    "timeout-as-return",
    "two-contexts-at-once",
    "two-sandboxes-one-engine",
    "vector-in-every-sandbox",
)
"""Faults of `planted` that the machine finds by itself, soon. docs/stateful-testing.md lists them."""

AFTER_FREE = "context-used-after-finish"
"""Uses a sandbox after its end: of a micro-VM that is freed memory, which may end the test run."""


def found(engine: str) -> AssertionError:
    with pytest.raises(AssertionError) as error:
        run(engine)
    assert 1 <= steps(error.value) <= SETTINGS.stateful_step_count
    return error.value


@pytest.mark.parametrize("name", POOLS)
def test_a_fault_of_pools_and_snapshots_is_found_by_a_short_sequence(name: str) -> None:
    engine, plant = POOLS[name]
    if engine == "kvm":
        require_kvm()
    with plant():
        found(engine)


@pytest.mark.parametrize("name", FOUND)
def test_a_planted_fault_is_found_by_a_short_sequence(name: str) -> None:
    fault = PLANTED[name]
    if fault.kvm:
        require_kvm()
    with fault.open():
        found("kvm" if fault.kvm and name != AFTER_FREE else "inprocess")


def test_a_sequence_is_made_as_small_as_it_can_be() -> None:
    plant = patches((Sandbox, "run", contexts.resets_after_each_call))
    with plant(), pytest.raises(AssertionError) as error:
        run("inprocess", phases=(Phase.generate, Phase.shrink), stateful_step_count=8)
    assert steps(error.value) <= 3, error.value.__notes__  # open, begin, write


def test_only_the_machine_loads_hypothesis() -> None:
    program = "import sys, hlfuzz.invariants; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
