"""What one call may use: each limit has its own outcome, on each engine, and leaves the sandbox usable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from hlfuzz import (
    AbiViolation,
    Caller,
    CallLimits,
    GuestLimitExceeded,
    LimitExceeded,
    Limits,
    Ok,
    Sandbox,
    Trap,
    UsageError,
)
from hlfuzz.sandbox import Provider

GUEST = """
(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 2)
  (table $table 1 funcref)
  (global $calls (mut i32) (i32.const 0))
  (func (export "ask") (param $n i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (loop
      (if (local.get $n) (then
        (drop (call $host (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (br 1)))))
  (func (export "calls") (result i32) (global.get $calls))
  (func (export "give") (param $data i32) (param $length i32) (param $n i32) (result i32 i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (local.get $data) (local.get $n))
  (func (export "give64") (param i64 i64 i32) (result i32 i32) (i32.const 64) (local.get 2))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "grow_table") (param i32) (result i32)
    (table.grow $table (ref.null func) (local.get 0)))
  (func $recurse (export "recurse") (call $recurse)))
"""

Open = Callable[..., Sandbox]


def one(value: int) -> int:
    return value


@pytest.fixture
def open_box(guest: Any, engine: str) -> Iterator[Open]:
    boxes: list[Sandbox] = []

    def open_one(
        host: Provider = one, limits: Mapping[str, Any] | None = None, **call_limits: int
    ) -> Sandbox:
        box = Sandbox(
            guest(GUEST, **(limits or {})),
            {"env.host": host},
            engine=engine,
            transport="exit",
            allocator=4096,
            call_limits=CallLimits(**call_limits),
        )
        boxes.append(box)
        return box

    yield open_one
    for box in boxes:
        box.close()


def test_as_many_host_calls_as_allowed_are_made_and_one_more_ends_the_call(open_box: Open):
    seen: list[int] = []
    box = open_box(lambda n: seen.append(n) or 0, host_calls=5)
    assert box.try_call("ask", 5) == Ok(())
    assert seen == [5, 4, 3, 2, 1]
    assert box.try_call("ask", 6) == LimitExceeded("host_calls", 5)
    assert len(seen) == 10  # the sixth was not handed over
    with pytest.raises(GuestLimitExceeded, match=r"more than 5 host calls.*CallLimits.host_calls") as raised:
        box.call("ask", 100)
    assert raised.value.outcome == LimitExceeded("host_calls", 5)
    assert box.try_call("ask", 5) == Ok(())


def test_host_calls_are_counted_by_call_and_not_by_context(open_box: Open):
    box = open_box(host_calls=5)
    with box.context() as context:
        for _ in range(3):
            context.call("ask", 5)
        assert context.call("calls") == 3
        context.write(0, b"state")
        assert context.try_call("ask", 6) == LimitExceeded("host_calls", 5)
        assert context.read(0, 5) == bytes(5)
        with pytest.raises(UsageError, match="poisoned"):
            context.call("calls")
        context.finish()
    assert box.call("calls") == 0


def test_calls_that_host_functions_make_into_the_guest_count_with_the_call_that_they_serve(open_box: Open):
    def host(caller: Caller, n: int) -> int:
        if n == 1:
            caller.call("ask", 2)
        return 0

    # ask(1) -> host(1) -> ask(2) -> host(2), host(1) -> ask(2) -> ...
    box = open_box(host, host_calls=7)
    assert box.try_call("ask", 1) == LimitExceeded("host_calls", 7)
    assert box.call("calls") == 0


def test_a_host_function_that_hides_an_exceeded_limit_of_a_nested_call_does_not_save_the_guest(
    open_box: Open,
):
    def host(caller: Caller, n: int) -> int:
        if n == 1:
            assert caller.try_call("ask", 50) == LimitExceeded("host_calls", 7)
        return 0

    box = open_box(host, host_calls=7)
    assert box.try_call("ask", 1) == LimitExceeded("host_calls", 7)
    assert box.try_call("ask", 0) == Ok(())


@pytest.mark.parametrize("how", ["read", "write", "memory", "place"])
def test_a_host_function_moves_as_many_bytes_as_allowed_and_no_more(open_box: Open, how: str):
    moves: dict[str, Callable[[Caller, int], object]] = {
        "read": lambda caller, n: caller.read(0, n),
        "write": lambda caller, n: caller.write(0, bytes(n)),
        "memory": lambda caller, n: caller.memory("memory").read(0, n),
        "place": lambda caller, n: caller.place(bytes(n)),
    }

    def host(caller: Caller, n: int) -> int:
        moves[how](caller, n - n // 2)
        moves[how](caller, n // 2)
        return 0

    box = open_box(host, host_call_bytes=1000)
    with box.context() as context:
        context.write(0, b"state")
        assert context.try_call("ask", 1001) == LimitExceeded("host_call_bytes", 1000)
        assert context.read(0, 5) == bytes(5)
        context.finish()
    assert box.call("calls") == 0
    assert box.try_call("ask", 60) == Ok(())  # each host call begins anew


def test_a_host_function_may_move_just_what_is_allowed(open_box: Open):
    def host(caller: Caller, n: int) -> int:
        caller.read(0, 600)
        caller.write(0, bytes(400 + n - 1))
        return 0

    box = open_box(host, host_call_bytes=1000)
    assert box.try_call("ask", 1) == Ok(())
    assert box.try_call("ask", 2) == LimitExceeded("host_call_bytes", 1000)
    assert box.try_call("ask", 1) == Ok(())


def test_a_host_function_that_catches_the_error_does_not_save_the_guest(open_box: Open):
    def host(caller: Caller, n: int) -> int:
        with pytest.raises(GuestLimitExceeded):
            caller.read(0, 65536)
        if n == 2:
            raise ValueError("something else")
        return 0

    box = open_box(host, host_call_bytes=1000)
    for n in (1, 2):
        with box.context() as context:
            assert context.try_call("ask", n) == LimitExceeded("host_call_bytes", 1000)
            context.finish()
    assert box.call("calls") == 0


def test_bytes_outside_memory_are_that_error_and_not_a_limit(open_box: Open):
    errors: list[str] = []

    def host(caller: Caller, n: int) -> int:
        for address, length in ((0, 1 << 40), (131072, 2000), (-1, 5000)):
            with pytest.raises(UsageError) as raised:
                caller.read(address, length)
            errors.append(str(raised.value))
        return 0

    box = open_box(host, host_call_bytes=1000)
    assert box.try_call("ask", 1) == Ok(())
    assert all("outside 0..131072" in error for error in errors)
    assert len(errors) == 3


@pytest.mark.parametrize("function", ["give", "give64"])
def test_a_call_gives_back_as_many_bytes_as_allowed_and_no_more(open_box: Open, function: str):
    box = open_box(output_bytes=1000)
    assert len(box.call_bytes(function, b"abc", 1000, result="pair")) == 1000  # type: ignore[arg-type]
    for _ in range(2):  # the second time by the way that the first one has prepared
        with pytest.raises(
            GuestLimitExceeded, match="1001 bytes of output, over the limit of 1000"
        ) as raised:
            box.call_bytes(function, b"abc", 1001, result="pair")
        assert raised.value.outcome == LimitExceeded("output_bytes", 1000)
    assert box.call("calls") == 0
    with pytest.raises(AbiViolation, match="outside memory"):
        box.call_bytes(function, b"abc", 1 << 30, result="pair")


@pytest.mark.parametrize("function", ["give", "give64"])
def test_too_much_output_in_a_context_ends_its_state(open_box: Open, function: str):
    box = open_box(output_bytes=1000)
    for _ in range(2):
        with box.context() as context:
            context.call("ask", 0)
            with pytest.raises(GuestLimitExceeded):
                context.call_bytes(function, b"abc", 1001, result="pair")
            assert context.memory().read(4096, 3) == bytes(3)
            with pytest.raises(UsageError, match="poisoned"):
                context.call("calls")
            context.finish()


def test_growing_beyond_the_limit_is_minus_one(open_box: Open):
    box = open_box(limits={"memory_bytes": 4 << 16, "table_elements": 10})
    assert [box.call("grow", n) for n in (2, 3)] == [2, -1]
    assert [box.call("grow_table", n) for n in (9, 10)] == [1, -1]


def test_a_stack_that_is_too_deep_is_a_named_trap(open_box: Open):
    box = open_box()
    assert box.try_call("recurse") == Trap("stack-overflow")
    assert box.try_call("ask", 1) == Ok(())


@pytest.mark.parametrize("value", [0, -1, 1 << 63])
def test_limits_out_of_range_are_refused(value: int):
    with pytest.raises(UsageError, match=r"CallLimits\.output_bytes"):
        CallLimits(output_bytes=value)


def test_a_way_to_grow_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="choose fail or trap"):
        Limits(grow="explode")  # type: ignore[arg-type]


def test_in_this_process_a_grow_cannot_trap_and_that_is_said(guest: Any):
    with pytest.raises(UsageError, match="needs a micro-VM"):
        Sandbox(guest(GUEST, grow="trap"), {"env.host": one}, engine="inprocess")
