"""A Wasm guest that means harm, driven at random: hostile pointers, lengths, depths and sizes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from needs import require_kvm

from hlfuzz import Caller, CallFailed, Guest, Limits, Ok, Sandbox, Timeout, Trap, UsageError
from hlfuzz.model import HostError, Outcome, Violation

MODULE = """(module
  (import "env" "read" (func $read (param i32 i32) (result i32)))
  (import "env" "write" (func $write (param i32 i32) (result i32)))
  (import "env" "again" (func $again (param i32) (result i32)))
  (memory (export "memory") 1 8)
  (table (export "table") 1 funcref)
  (global $room (mut i32) (i32.const 1024))
  (global $calls (mut i32) (i32.const 0))
  (func (export "hlfuzz_alloc") (param i32) (result i32) (global.get $room))
  (func (export "room") (param i32) (global.set $room (local.get 0)))
  (func (export "read") (param i32 i32) (result i32) (call $read (local.get 0) (local.get 1)))
  (func (export "write") (param i32 i32) (result i32) (call $write (local.get 0) (local.get 1)))
  (func (export "give") (param i32 i32) (result i64) (i64.load (local.get 0)))
  (func (export "load") (param i32) (result i64) (i64.load (local.get 0)))
  (func (export "store") (param i32 i64) (i64.store (local.get 0) (local.get 1)))
  (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 65) (local.get 1)))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func $deep (export "deep") (param i32) (result i32)
    (if (result i32) (local.get 0)
      (then (call $deep (i32.sub (local.get 0) (i32.const 1))))
      (else (i32.const 7))))
  (func (export "again") (param i32) (result i32) (call $again (local.get 0)))
  (func (export "through") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
  (func (export "loop") (loop (br 0)))
  (func (export "count") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (i32.const 1)))
    (i32.add (global.get $calls) (i32.load (i32.const 8)))))"""
EDGES = (0, 1, 7, 8, 1024, 65_528, 65_535, 65_536, 65_537, 524_288, 2**31 - 1, -(2**31), -1, -8)
STEPS = 250


def read(caller: Caller, pointer: int, length: int) -> int:
    data = caller.read(pointer % 2**32, length % 2**32)
    assert len(data) == length % 2**32
    return sum(data[:64])


def write(caller: Caller, pointer: int, length: int) -> int:
    caller.write(pointer % 2**32, b"h" * (length % 2**20))
    return 0


def again(caller: Caller, depth: int) -> int:
    return int(caller.call("again", depth - 1)) if depth > 0 else 1  # type: ignore[arg-type]


HOST = {"env.read": read, "env.write": write, "env.again": again}


@pytest.fixture(params=["strict", "memory"])
def boxes(request: pytest.FixtureRequest, guest: Callable[..., Guest]) -> Iterator[tuple[Sandbox, Sandbox]]:
    """A sandbox for the attacks, and one that must not notice."""
    require_kvm()
    made = guest(MODULE, memory_bytes=1 << 19, table_elements=16)
    assert made.limits == Limits(memory_bytes=1 << 19, table_elements=16)
    level = request.param
    with (
        Sandbox(made, HOST, transport="exit", reset=level, verify=1, deadline=0.05) as one,
        Sandbox(made, HOST, transport="exit", reset=level, verify=1, deadline=1) as other,
    ):
        yield one, other


def attack(box: Sandbox, choose: random.Random) -> Outcome | None:
    def number() -> int:
        if choose.random() < 0.7:
            return choose.choice(EDGES)
        return choose.getrandbits(32) - 2**31

    name = choose.choice(
        ("read", "write", "load", "store", "fill", "grow", "deep", "again", "through", "give", "room", "loop")
    )
    if name == "loop" and choose.random() < 0.9:
        name = "store"
    match name:
        case "read" | "write" | "fill":
            return box.try_call(name, number(), number())
        case "store":
            return box.try_call(name, number(), choose.getrandbits(63))
        case "loop":
            return box.try_call(name)
        case "give":
            try:
                data = box.call_bytes("give", (choose.getrandbits(64)).to_bytes(8, "little"), result="packed")
            except CallFailed as e:
                return e.outcome
            assert isinstance(data, bytes)
            assert len(data) <= 1 << 19
            return None
        case "room":
            with box.context() as context:
                context.call("room", number())
                outcome = context.try_call("give", b"x" * choose.choice((1, 100, 70_000)))
                context.finish()
            return outcome
        case _:
            return box.try_call(name, number())


def test_no_call_of_a_hostile_module_is_noticed_by_the_next_or_by_another_sandbox(
    boxes: tuple[Sandbox, Sandbox],
) -> None:
    box, other = boxes
    choose = random.Random(1)
    regions = ("tables", "text")
    before = [box.region_hash(region) for region in regions]
    kinds: set[type] = set()
    with other.context() as undisturbed:
        for step in range(STEPS):
            outcome = attack(box, choose)
            kinds.add(type(outcome))
            assert outcome is None or isinstance(outcome, Ok | Trap | Timeout | HostError | Violation)
            if isinstance(outcome, HostError):
                assert isinstance(outcome.exception, UsageError | CallFailed)
            assert box.call("count") == 2, f"step {step}"
            if step % 25 == 0:
                assert undisturbed.call("count") == 2 * (step // 25 + 1)
        undisturbed.finish()
    assert [box.region_hash(region) for region in regions] == before
    assert {Ok, Trap, HostError, Violation} <= kinds, "each kind of end was seen"
