"""Every npm module, called with random arguments: each engine gives the same values, traps and memory."""

from __future__ import annotations

from random import Random

import pytest
from catalogue import NAMES

from hlfuzz import Ok, Timeout, ValType, Value
from hlfuzz.model import ExternKind, FuncType

CALLS = 40
DEADLINE = 0.25
MAX_TIMEOUTS = 3
EDGES = (0, 1, 2, 7, 8, 64, 255, 256, 1000, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)


def value(rng: Random, type_: ValType) -> Value:
    match type_:
        case ValType.F32:
            return rng.choice((0.0, -0.0, 1.5, float("inf"), float("nan"), float(rng.randint(-9999, 9999))))
        case ValType.F64:
            return rng.choice((0.0, -0.0, float("-inf"), float("nan"), rng.uniform(-1e9, 1e9)))
        case ValType.V128:
            return rng.randbytes(16)
        case _:
            bits = 64 if type_ is ValType.I64 else 32
            return rng.choice(
                (rng.choice(EDGES), rng.randrange(4096), rng.randrange(1 << 17), rng.getrandbits(bits))
            )


def test_there_are_enough_modules_and_all_are_distinct(modules):
    assert set(modules) == set(NAMES)
    assert len(set(modules.values())) == len(modules) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_random_calls_do_the_same_in_every_engine(twins, name):
    rng = Random(name)
    both = twins(name, deadline=DEADLINE)
    functions = [
        (e.name, e.type.params)
        for e in both.guest.info.exports
        if isinstance(e.type, FuncType) and e.kind is ExternKind.FUNC
    ]
    timeouts = 0
    for _ in range(CALLS):
        function, params = rng.choice(functions)
        outcome = both.try_call(function, *(value(rng, p) for p in params))
        timeouts += isinstance(outcome, Timeout)
        if not isinstance(outcome, Ok):
            both.restart()
        if timeouts >= MAX_TIMEOUTS:
            break
