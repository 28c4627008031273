"""Imports and providers: all of them checked when the sandbox opens."""

from __future__ import annotations

import pytest

from hlfuzz import Float32, Global, LinkError, Memory, Sandbox, Table

TWO = """(module (import "env" "log" (func (param i32 i32))) (import "env" "now" (func (result i64)))
  (import "env" "memory" (memory 1)))"""

PROVIDED = """(module
  (import "env" "memory" (memory 1 4)) (import "env" "table" (table 3 8 funcref))
  (import "env" "i" (global $i i32)) (import "env" "j" (global $j (mut i64)))
  (import "env" "f" (global $f f32)) (import "env" "d" (global $d f64)) (import "env" "v" (global $v v128))
  (export "memory" (memory 0)) (export "j" (global $j)) (export "f" (global $f)) (export "v" (global $v))
  (func (export "i") (result i32) (global.get $i))
  (func (export "d") (result f64) (global.get $d))
  (func (export "bump") (result i64) (global.set $j (i64.add (global.get $j) (i64.const 1))) (global.get $j))
  (func (export "grow") (result i32) (memory.grow (i32.const 1)))
  (func (export "table") (result i32) (table.size 0)))"""


def test_all_missing_imports_are_named_at_once(engine, guest):
    with pytest.raises(LinkError) as caught:
        Sandbox(guest(TWO), {"env.now": lambda: 0}, engine=engine)
    message = str(caught.value)
    assert "'env.log'" in message
    assert "(i32, i32)" in message
    assert "'env.memory'" in message
    assert "env.now" not in message


def test_a_provider_that_nothing_imports_is_refused_with_the_nearest_name(engine, guest):
    host = {"env.log": lambda a, b: None, "env.now": lambda: 0, "env.memory": Memory(), "env.nov": lambda: 0}
    with pytest.raises(LinkError, match=r"did you mean 'env\.now'"):
        Sandbox(guest(TWO), host, engine=engine)


@pytest.mark.parametrize(
    ("name", "provider", "message"),
    [
        ("env.log", lambda a: None, "does not take the import's 2 arguments"),
        ("env.log", lambda a, b, c: None, "does not take the import's 2 arguments"),
        ("env.log", 7, "pass a callable"),
        ("env.log", Memory(), "pass a callable"),
        ("env.memory", Table(), r"pass hlfuzz\.Memory\(\)"),
        ("env.memory", lambda: None, r"pass hlfuzz\.Memory\(\)"),
    ],
)
def test_a_provider_of_the_wrong_kind_or_signature_is_refused(engine, guest, name, provider, message):
    host = {"env.log": lambda a, b: None, "env.now": lambda: 0, "env.memory": Memory(), name: provider}
    with pytest.raises(LinkError, match=message):
        Sandbox(guest(TWO), host, engine=engine)


def test_memories_tables_and_globals_are_provided_and_reset(engine, guest):
    v = bytes(range(16))
    host = {
        "env.memory": Memory(), "env.table": Table(), "env.i": Global(2**32 - 1), "env.j": Global(10),
        "env.f": Global(Float32(0xFF800001)), "env.d": Global(-0.0), "env.v": Global(v),
    }  # fmt: skip
    with Sandbox(guest(PROVIDED), host, engine=engine) as box:
        for _ in range(2):
            assert box.call("i") == -1
            assert str(box.call("d")) == "-0.0"
            assert box.call("bump") == 11
            assert box.call("grow") == 1
            assert box.call("table") == 3
        assert box.globals["f"] == Float32(0xFF800001)
        assert box.globals["v"] == v
        assert box.memory().size == 65536


def test_sandboxes_of_one_guest_have_globals_of_their_own(engine, guest):
    wat = '(module (import "e" "g" (global i32)) (func (export "g") (result i32) (global.get 0)))'
    made = guest(wat)
    with (
        Sandbox(made, {"e.g": Global(1)}, engine=engine) as one,
        Sandbox(made, {"e.g": Global(2)}, engine=engine) as two,
    ):
        assert (one.call("g"), two.call("g")) == (1, 2)


def test_a_global_of_the_wrong_type_is_refused(engine, guest):
    with pytest.raises(LinkError, match="i32"):
        Sandbox(guest('(module (import "e" "g" (global i32)))'), {"e.g": Global(1.5)}, engine=engine)


@pytest.mark.parametrize("signature", ["(result externref)", "(result funcref)", "(param (ref func))"])
def test_a_host_function_that_would_make_references_is_refused(engine, guest, signature):
    with pytest.raises(LinkError, match="references"):
        Sandbox(
            guest(f'(module (import "e" "f" (func {signature})))'), {"e.f": lambda *a: None}, engine=engine
        )


def test_one_provider_serves_an_import_that_is_declared_twice(engine, guest):
    wat = """(module (import "e" "f" (func $a (param i32) (result i32)))
      (import "e" "f" (func $b (param i32)))
      (func (export "f") (result i32) (call $b (i32.const 1)) (call $a (i32.const 2))))"""
    seen = []

    def f(x):
        seen.append(x)
        return None if x == 1 else 5

    with Sandbox(guest(wat), {"e.f": f}, engine=engine) as box:
        assert box.call("f") == 5
    assert seen == [1, 2]


def test_names_may_hold_any_unicode(engine, guest):
    wat = r"""(module (import "a\00b" "\e2\9c\93 \"x\"" (func $f (result i32)))
      (func (export "\00\f0\9f\9a\80") (result i32) (call $f))
      (func (export "") (result f32) (f32.const 1)))"""
    with Sandbox(guest(wat), {'a\0b.✓ "x"': lambda: 3}, engine=engine) as box:
        assert box.call("\0🚀") == 3
        assert box.call("") == 1.0


def test_callables_that_do_not_tell_their_signature_are_accepted(engine, guest):
    wat = """(module (import "e" "max" (func $max (param i32 i32) (result i32)))
      (func (export "f") (result i32) (call $max (i32.const 3) (i32.const 4))))"""
    with Sandbox(guest(wat), {"e.max": max}, engine=engine) as box:
        assert box.call("f") == 4
