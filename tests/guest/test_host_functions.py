"""Host functions: arguments, results, errors, memory access, nested calls."""

from __future__ import annotations

import pytest

import hlfuzz
from hlfuzz import (
    Caller,
    ContextBusy,
    Float32,
    GuestTimeout,
    GuestTrap,
    HostError,
    HostFunction,
    HostFunctionError,
    Sandbox,
    Timeout,
    Trap,
    UsageError,
)

ALL_TYPES = """(module
  (import "env" "f" (func $f (param i32 i64 f32 f64 v128) (result v128 f64 f32 i64 i32)))
  (func (export "f") (param i32 i64 f32 f64 v128) (result v128 f64 f32 i64 i32)
    local.get 0 local.get 1 local.get 2 local.get 3 local.get 4 call $f))"""

ONE = """(module
  (import "env" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $n (export "n") (mut i32) (i32.const 0))
  (func (export "call") (param i32) (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $f (local.get 0)))
  (func (export "count") (result i32) (global.get $n))
  (func (export "trap") unreachable)
  (func (export "loop") (loop (br 0)))
  (func (export "forever") (loop (drop (call $f (i32.const 0))) (br 0)))
  (func (export "fine") (result i32) i32.const 42))"""


def test_every_type_crosses_both_ways_to_the_bit(engine, guest):
    v = bytes(range(16))
    nan = Float32(0xFFA00001)
    seen = []

    def f(*args):
        seen.append(args)
        return args[::-1]

    with Sandbox(guest(ALL_TYPES), {"env.f": f}, engine=engine) as box:
        assert box.call("f", -1, 2**63, nan, -0.5, v) == (v, -0.5, nan, -(2**63), -1)
    assert seen == [(-1, -(2**63), nan, -0.5, v)]


def test_unsigned_results_are_accepted(engine, guest):
    with Sandbox(guest(ONE), {"env.f": lambda x: 2**32 - 1}, engine=engine) as box:
        assert box.call("call", 0) == -1


@pytest.mark.parametrize("wrong", [None, "1", 1.5, 2**32, (1,), [1, 2]])
def test_a_wrong_result_says_what_was_expected(engine, guest, wrong):
    with Sandbox(guest(ONE), {"env.f": lambda x: wrong}, engine=engine) as box:
        with pytest.raises(HostFunctionError, match=r"'env\.f'.*expected i32"):
            box.call("call", 0)
        assert box.call("fine") == 42


def test_an_exception_reaches_the_caller_as_the_cause(engine, guest):
    error = ValueError("no such key")

    def f(x):
        raise error

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        with pytest.raises(HostFunctionError, match="ValueError: no such key") as caught:
            box.call("call", 1)
        assert caught.value.__cause__ is error
        assert box.try_call("call", 1) == HostError("env.f", "ValueError: no such key")
        assert box.call("fine") == 42
        assert box.call("count") == 0


def test_the_guest_does_not_run_on_after_a_failed_host_function(engine, guest):
    calls = []

    def f(x):
        calls.append(x)
        raise RuntimeError

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        assert isinstance(box.try_call("forever"), HostError)
    assert calls == [0]


def test_a_failed_host_function_poisons_the_context(engine, guest):
    def f(x):
        raise RuntimeError

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box, box.context() as context:
        assert isinstance(context.try_call("call", 1), HostError)
        with pytest.raises(hlfuzz.ContextFinished, match="poisoned"):
            context.call("fine")
        context.finish()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_exits_pass_through_unchanged_and_the_sandbox_is_restored(engine, guest, error):
    def f(x):
        raise error

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        with pytest.raises(error):
            box.call("call", 1)
        assert box.call("count") == 0
        with pytest.raises(error), box.context() as context:
            context.call("call", 1)
        assert box.call("count") == 0


def test_a_caller_reads_and_writes_guest_memory_and_globals(engine, guest):
    def f(caller: Caller, x):
        caller.write(x, b"hello")
        assert caller.memory().read(x, 5) == b"hello"
        caller.globals["n"] = 41
        return caller.memory().size

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box, box.context() as context:
        assert context.call("call", 7) == 65536
        assert context.read(7, 5) == b"hello"
        assert context.call("count") == 41
        context.finish()


def test_a_caller_is_given_on_request_too(engine, guest):
    def f(who, x):
        return who.read(0, 1)[0] + x

    with Sandbox(guest(ONE), {"env.f": HostFunction(f, caller=True)}, engine=engine) as box:
        assert box.call("call", 5) == 5


def test_reads_out_of_range_are_refused(engine, guest):
    def f(caller: Caller, x):
        caller.read(x, 10)
        return 0

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        assert box.call("call", 65526) == 0
        with pytest.raises(HostFunctionError, match=r"outside 0\.\.65536"):
            box.call("call", 65527)
        with pytest.raises(HostFunctionError, match=r"outside 0\.\.65536"):
            box.call("call", -1)


def test_a_caller_expires_with_its_host_function(engine, guest):
    kept = []

    def f(caller: Caller, x):
        kept.append((caller, caller.memory()))
        return 0

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        box.call("call", 1)
        caller, memory = kept[0]
        for use in (lambda: caller.read(0, 1), lambda: caller.call("fine"), lambda: memory.read(0, 1)):
            with pytest.raises(UsageError, match="after its host function returned"):
                use()


def test_nested_calls_share_the_state_of_the_call(engine, guest):
    def f(caller: Caller, x):
        return caller.call("count") * 100 + (caller.call("call", x - 1) if x else 0)

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        assert box.call("call", 0) == 100
        assert box.call("call", 2) == 100 + 200 + 300
        assert box.call("count") == 0


def test_nesting_is_limited_to_sixteen_calls(engine, guest):
    deepest = []

    def f(caller: Caller, x):
        deepest.append(x)
        return caller.call("call", x + 1)

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        with pytest.raises(HostFunctionError, match="more than 16 nested calls"):
            box.call("call", 1)
        assert max(deepest) == 16
        assert box.call("fine") == 42


def test_a_trap_in_a_nested_call_can_be_handled_by_the_host(engine, guest):
    def f(caller: Caller, x):
        with pytest.raises(GuestTrap, match="unreachable"):
            caller.call("trap")
        assert caller.try_call("trap") == Trap("unreachable")
        return 7

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        assert box.call("call", 1) == 7


def test_an_unhandled_trap_in_a_nested_call_fails_the_host_function(engine, guest):
    with Sandbox(
        guest(ONE), {"env.f": HostFunction(lambda c, x: c.call("trap"), caller=True)}, engine=engine
    ) as box:
        with pytest.raises(HostFunctionError) as caught:
            box.call("call", 1)
        assert isinstance(caught.value.__cause__, GuestTrap)
        assert box.call("fine") == 42


def test_a_nested_host_error_can_be_handled_by_the_outer_host_function(engine, guest):
    def f(caller: Caller, x):
        if x:
            raise ValueError("inner")
        outcome = caller.try_call("call", 1)
        assert outcome == HostError("env.f", "ValueError: inner")
        return 5

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        assert box.call("call", 0) == 5


def test_a_timeout_in_a_nested_call_ends_the_outermost_one_too(engine, guest):
    seen = []

    def f(caller: Caller, x):
        try:
            caller.call("loop")
        except GuestTimeout as e:
            seen.append(e.outcome)
        return 1

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine, deadline=0.05) as box:
        assert box.try_call("call", 1) == Timeout(50_000)
        assert seen == [Timeout(50_000)]
        assert box.call("fine") == 42
        assert box.call("count") == 0


def test_an_exit_in_a_nested_host_function_passes_through_all_calls(engine, guest):
    def f(caller: Caller, x):
        if x == 2:
            raise KeyboardInterrupt
        return caller.call("call", x + 1)

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        with pytest.raises(KeyboardInterrupt):
            box.call("call", 0)
        assert box.call("fine") == 42
        assert box.call("count") == 0


def test_time_in_host_functions_does_not_count(engine, guest):
    import time

    def f(x):
        end = time.thread_time() + 0.15
        while time.thread_time() < end:
            pass
        return 1

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine, deadline=0.1) as box:
        assert box.call("call", 1) == 1


def test_a_loop_through_a_host_function_ends_at_the_deadline(engine, guest):
    with Sandbox(guest(ONE), {"env.f": lambda x: 0}, engine=engine, deadline=0.05) as box:
        assert box.try_call("forever") == Timeout(50_000)
        assert box.call("fine") == 42


def test_the_sandbox_is_busy_inside_a_host_function(engine, guest):
    errors = []

    def f(x):
        for use in (lambda: box.call("fine"), box.context, box.reset, box.close):
            with pytest.raises(ContextBusy) as caught:
                use()
            errors.append(str(caught.value))
        return len(box.memory().read(0, 4))  # its memory can be looked at

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        assert box.call("call", 1) == 4
        assert all("Caller" in e for e in errors)
        with box.context() as context:
            assert context.call("call", 1) == 4
            context.finish()


def test_another_sandbox_may_be_used_inside_a_host_function(engine, guest):
    made = guest(ONE)
    with Sandbox(made, {"env.f": lambda x: x * 2}, engine=engine) as inner:

        def f(x):
            return inner.call("call", x) + 1

        with Sandbox(made, {"env.f": f}, engine=engine) as outer:
            assert outer.call("call", 4) == 9


def test_a_host_function_with_a_reference_parameter_fails_when_it_is_called(engine, guest):
    wat = """(module (import "env" "f" (func $f (param i32 externref)))
      (func (export "go") (call $f (i32.const 1) (ref.null extern)))
      (func (export "fine") (result i32) i32.const 42))"""
    called = []
    with Sandbox(guest(wat), {"env.f": lambda a, b: called.append(a)}, engine=engine) as box:
        outcome = box.try_call("go")
        assert isinstance(outcome, HostError)
        assert "externref" in outcome.message
        assert box.call("fine") == 42
    assert called == []


def test_a_trace_shows_calls_and_host_calls(engine, guest):
    records = []
    with Sandbox(guest(ONE), {"env.f": lambda x: x + 1}, engine=engine, trace=records.append) as box:
        assert box.call("call", 3) == 4
        with box.context() as context:
            context.try_call("trap")
            context.finish()
        box.trace = None
        box.call("call", 5)
    first, second = records
    assert first.call == hlfuzz.Call("call", (3,))
    assert first.outcome == hlfuzz.Ok((4,))
    assert first.host_calls == (hlfuzz.HostCallRecord("env.f", (3,), (4,)),)
    assert first.seconds > 0
    assert (first.pages_written is None) == (engine == "inprocess")
    assert second.outcome == Trap("unreachable")
    assert second.pages_written is None


def test_an_exception_without_a_text_arrives_as_itself(engine, guest):
    class WithoutText(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    error = WithoutText()

    def f(x):
        raise error

    with Sandbox(guest(ONE), {"env.f": f}, engine=engine) as box:
        with pytest.raises(HostFunctionError, match="WithoutText") as caught:
            box.call("call", 1)
        assert caught.value.__cause__ is error
        assert box.call("fine") == 42


def test_a_host_function_with_results_of_every_type_may_fail(engine, guest):
    def f(*args):
        raise LookupError("nothing there")

    with Sandbox(guest(ALL_TYPES), {"env.f": f}, engine=engine) as box:
        outcome = box.try_call("f", 1, 2, 0.0, 0.5, bytes(16))
    assert outcome == HostError("env.f", "LookupError: nothing there")
