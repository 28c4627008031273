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
from planted import contexts

import hlfuzz.sandbox.box
from hlfuzz.invariants.machine import SandboxMachine
from hlfuzz.model import Failure
from hlfuzz.sandbox import CallContext, Sandbox
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from hlfuzz.sandbox.gate import Gate

FORGETS_GROWN_MEMORY = 4
"""A bit of `hl_test_fault` (hlfuzz.h)."""

SETTINGS = settings(
    max_examples=400,
    stateful_step_count=10,
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


def does_nothing(sound: Any) -> Any:
    return lambda *args: None


def always_the_first(sound: Any) -> Any:
    """The first snapshot of a sandbox is also given as its later ones."""
    taken: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    def freeze(box: Sandbox) -> Any:
        if box not in taken:
            taken[box] = sound(box)
        return taken[box]

    return freeze


def forgets_grown_memory(sound: Any) -> Any:
    def open_(box: Sandbox, *args: Any, **options: Any) -> None:
        from hlfuzz.vmm.library import lib

        sound(box, *args, **options)
        engine: Any = box._engine
        assert lib.hl_test_fault(engine._machine.pointer, FORGETS_GROWN_MEMORY) == lib.HL_DONE

    return open_


def patches(*planted: tuple[Any, str, Callable[[Any], Any]]) -> Callable[[], ExitStack]:
    """A context manager in which each `owner.name` is what `make` makes of it."""

    def plant() -> ExitStack:
        stack = ExitStack()
        for owner, name, make in planted:
            stack.enter_context(patch.object(owner, name, make(getattr(owner, name))))
        return stack

    return plant


def after_close() -> ExitStack:
    after = contexts.AfterClose()
    return patches(
        (hlfuzz.sandbox.box, "link", contexts.mapped(after.wrap)), (Sandbox, "close", after.deliver)
    )()


def shared(what: str) -> Callable[[], ExitStack]:
    def plant() -> ExitStack:
        alike = contexts.Alike()
        return patches((InProcessEngine, "__init__", alike.opened), (InProcessEngine, what, alike.all))()

    return plant


FAULTS: dict[str, tuple[str, Callable[[], ExitStack]]] = {
    "a reset that does nothing": ("inprocess", patches((InProcessEngine, "reset", does_nothing))),
    "a reset that forgets grown memory": ("kvm", patches((Sandbox, "__init__", forgets_grown_memory))),
    "a context that does not reset on finish": (
        "kvm",
        patches((Sandbox, "end_context", contexts.skips_reset)),
    ),
    "a context that resets after each call": (
        "inprocess",
        patches((Sandbox, "run", contexts.resets_after_each_call)),
    ),
    "a context that is usable after finish": (
        "kvm",
        patches((CallContext, "_refuse", contexts.allows_after_finish)),
    ),
    "a context that forgets its poison": (
        "inprocess",
        patches((CallContext, "_run", contexts.forgets_poison(Failure))),
    ),
    "a context that is finished again": ("kvm", patches((CallContext, "finish", contexts.finishes_again))),
    "two contexts at once": ("inprocess", patches((Sandbox, "context", contexts.opens_a_second))),
    "another thread": ("inprocess", patches((Gate, "refuse", contexts.allows_other_threads))),
    "a pool that leases without a reset": ("kvm", patches((Sandbox, "recover", returns_true))),
    "a pool that takes every sandbox for clean": (
        "inprocess",
        patches((InProcessEngine, "is_clean", returns_true)),
    ),
    "a snapshot that is an older one": ("kvm", patches((Sandbox, "freeze", always_the_first))),
    "sandboxes that share what the host writes": ("inprocess", shared("memory_write")),
    "a reset that resets others": ("inprocess", shared("reset")),
    "a callback after a close": ("kvm", after_close),
    "a callback in another thread": (
        "kvm",
        patches((hlfuzz.sandbox.box, "link", contexts.mapped(contexts.in_another_thread))),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_by_a_short_sequence(name: str) -> None:
    engine, plant = FAULTS[name]
    if engine == "kvm":
        require_kvm()
    with plant(), pytest.raises(AssertionError) as found:
        run(engine)
    assert 1 <= steps(found.value) <= SETTINGS.stateful_step_count


def test_a_sequence_is_made_as_small_as_it_can_be() -> None:
    _, plant = FAULTS["a context that resets after each call"]
    with plant(), pytest.raises(AssertionError) as found:
        run("inprocess", phases=(Phase.generate, Phase.shrink))
    assert steps(found.value) == 3, found.value.__notes__  # open, begin, write


def test_only_the_machine_loads_hypothesis() -> None:
    program = "import sys, hlfuzz.invariants; sys.exit('hypothesis' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
