"""Start sections and `_initialize`: run once before the first call, with host functions, within their
deadline."""

from __future__ import annotations

import pytest

from hlfuzz import Caller, LinkError, Sandbox, StartError

STARTS = """(module (import "env" "f" (func $f (param i32) (result i32)))
  (memory (export "memory") 1) (data (i32.const 8) "greeting")
  (global $g (export "g") (mut i32) (i32.const 1))
  (func $start (global.set $g (i32.add (global.get $g) (call $f (i32.const 8)))))
  (start $start)
  (func (export "get") (result i32) (global.get $g))
  (func (export "add") (global.set $g (i32.add (global.get $g) (i32.const 100)))))"""


def test_the_start_section_runs_before_the_first_call(engine, guest):
    wat = """(module (global $g (mut i32) (i32.const 1)) (func $s (global.set $g (i32.const 7))) (start $s)
      (func (export "get") (result i32) (global.get $g))
      (func (export "set") (global.set $g (i32.const 9))))"""
    with Sandbox(guest(wat), engine=engine) as box:
        assert box.call("get") == 7
        box.call("set")
        assert box.call("get") == 7


def test_a_start_section_in_a_module_without_exports_runs(engine, guest):
    wat = '(module (import "e" "f" (func $f)) (start $f))'
    ran = []
    with Sandbox(guest(wat), {"e.f": lambda: ran.append(1)}, engine=engine):
        assert ran == [1]


def test_initialize_runs_after_the_start_section(engine, guest):
    wat = """(module (global $g (mut i32) (i32.const 1)) (func $s (global.set $g (i32.const 7))) (start $s)
      (func (export "_initialize") (global.set $g (i32.mul (global.get $g) (i32.const 2))))
      (func (export "_start") unreachable)
      (func (export "get") (result i32) (global.get $g)))"""
    with Sandbox(guest(wat), engine=engine) as box:
        assert box.call("get") == 14
        assert box.call("get") == 14


def test_a_start_function_may_call_host_functions_that_read_memory(engine, guest):
    seen = []

    def f(caller: Caller, x):
        seen.append(caller.read(x, 8))
        caller.write(x, b"answered")
        return 10

    with Sandbox(guest(STARTS), {"env.f": f}, engine=engine) as box:
        assert seen == [b"greeting"]
        assert box.call("get") == 11
        box.call("add")
        assert box.call("get") == 11
        assert box.memory().read(8, 8) == b"answered"


def test_each_sandbox_starts_with_its_own_host_functions(engine, guest):
    made = guest(STARTS)
    with (
        Sandbox(made, {"env.f": lambda x: 1}, engine=engine) as one,
        Sandbox(made, {"env.f": lambda x: 2}, engine=engine) as two,
    ):
        assert (one.call("get"), two.call("get")) == (2, 3)


def test_a_start_function_cannot_be_called_back(engine, guest):
    def f(caller: Caller, x):
        return caller.call("get")

    with pytest.raises(StartError, match="still starting"):
        Sandbox(guest(STARTS), {"env.f": f}, engine=engine)


def test_a_start_function_that_traps_is_an_error_with_its_code(engine, guest):
    with pytest.raises(StartError, match="unreachable"):
        Sandbox(guest("(module (func $s unreachable) (start $s))"), engine=engine)


def test_an_initialize_that_traps_is_an_error(engine, guest):
    with pytest.raises(StartError, match="unreachable"):
        Sandbox(guest('(module (func (export "_initialize") unreachable))'), engine=engine)


@pytest.mark.parametrize(
    "wat",
    [
        '(module (memory 1) (data (i32.const 65535) "xx"))',
        "(module (table 1 funcref) (func $f) (elem (i32.const 1) $f))",
    ],
)
def test_a_segment_that_does_not_fit_is_an_error(engine, guest, wat):
    with pytest.raises(StartError, match="out-of-bounds"):
        Sandbox(guest(wat), engine=engine)


def test_a_start_function_that_never_ends_is_stopped(engine, guest):
    with pytest.raises(StartError, match="did not end"):
        Sandbox(guest("(module (func $s (loop (br 0))) (start $s))", start_seconds=0.1), engine=engine)


def test_a_host_function_that_fails_in_the_start_is_the_cause(engine, guest):
    error = ValueError("no")

    def f(x):
        raise error

    with pytest.raises(StartError, match=r"'env\.f'.*ValueError: no") as caught:
        Sandbox(guest(STARTS), {"env.f": f}, engine=engine)
    assert caught.value.__cause__ is error


def test_an_interrupt_in_the_start_passes_through(engine, guest):
    def f(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Sandbox(guest(STARTS), {"env.f": f}, engine=engine)


def test_a_missing_provider_is_found_before_the_start(engine, guest):
    with pytest.raises(LinkError):
        Sandbox(guest(STARTS), engine=engine)
