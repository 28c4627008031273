"""The same calls give other answers: in another run, in another engine, or as another build."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from random import Random
from typing import Any
from unittest.mock import patch

import guests

from hlfuzz.invariants import Session, Subject, Target
from hlfuzz.sandbox.engines.inprocess import engine as inprocess
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine
from planted import Planted


@contextmanager
def host_function_with_a_clock() -> Iterator[Target]:
    ticks = itertools.count()
    target = guests.target(guests.ASKS_HOST, "inprocess")
    target.host["env.now"] = lambda: next(ticks)
    with target:
        yield target


@contextmanager
def rounding_that_changes() -> Iterator[Target]:
    lift, chance = inprocess.lift, Random(5)

    def rounded(values: Any, types: Any) -> Any:
        up = chance.random() < 0.3
        return tuple(
            math.nextafter(v, math.inf) if up and isinstance(v, float) and math.isfinite(v) else v
            for v in lift(values, types)
        )

    with (
        patch.object(inprocess, "lift", rounded),
        guests.target(guests.CLEAN_ARITHMETIC, "inprocess") as target,
    ):
        yield target


@contextmanager
def memory_that_is_not_zero_at_first() -> Iterator[Target]:
    """Other bytes in each sandbox, the same after each reset of it."""
    live, open_engine = InProcessEngine._live, InProcessEngine.__init__
    numbers = itertools.count(1)

    def opened(self: Any, *args: Any) -> None:
        self.number = next(numbers)
        open_engine(self, *args)

    def dirty(self: Any) -> Any:
        new = self._instance is None
        instance = live(self)
        if new and (memory := self._guest.default_memory()) is not None:
            instance.memory(memory).write(instance.store, bytes([self.number % 251]), 50_000)
        return instance

    with (
        patch.object(InProcessEngine, "__init__", opened),
        patch.object(InProcessEngine, "_live", dirty),
        guests.target(guests.CLEAN_ECHO, "inprocess") as target,
    ):
        yield target


@contextmanager
def engines_that_disagree(
    wat: str = guests.CLEAN_ARITHMETIC, right: str = "i32.add", wrong: str = "i32.or"
) -> Iterator[Target]:
    """What `wat` says is done otherwise by the other engine."""
    target = guests.target(wat, "inprocess")
    other = guests.target(wat.replace(right, wrong), "inprocess")
    with (
        patch.object(Session, "is_kvm", True),
        patch.object(Target, "peer", property(lambda self: other)),
        target,
        other,
    ):
        yield target


STORES = """(module (memory (export "memory") 1)
  (func (export "set") (param i32) (i32.store8 (i32.const 64) (i32.const 4660))))"""


def native_build_that_differs() -> Target:
    import native_twin

    return native_twin.target("-DDIFFERS=1")


FAULTS = (
    Planted(
        "host-function-with-a-clock",
        "determinism",
        Subject.HOST,
        "a host function of the user's gives another answer each time",
        host_function_with_a_clock,
        False,
    ),
    Planted(
        "rounding-that-changes",
        "determinism",
        Subject.PLATFORM,
        "three in ten results of floating point are rounded up",
        rounding_that_changes,
        False,
    ),
    Planted(
        "memory-differs-between-sandboxes",
        "determinism",
        Subject.PLATFORM,
        "a new memory is not all zeros, and differs from sandbox to sandbox",
        memory_that_is_not_zero_at_first,
        False,
    ),
    Planted(
        "engines-disagree",
        "differential",
        Subject.PLATFORM,
        "one engine adds where the other joins bits",
        engines_that_disagree,
        False,
    ),
    Planted(
        "engines-store-otherwise",
        "differential",
        Subject.PLATFORM,
        "one engine stores two bytes where the other stores one, and no answer shows it",
        partial(engines_that_disagree, STORES, "i32.store8", "i32.store16"),
        False,
    ),
    Planted(
        "native-build-differs",
        "differential",
        Subject.GUEST,
        "the native build adds one for inputs of more than forty bytes",
        native_build_that_differs,
    ),
)
