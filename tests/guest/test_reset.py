"""Nothing that a call did can be seen by the next one outside a context."""

from __future__ import annotations

import pytest

from hlfuzz import GuestTimeout, GuestTrap, Sandbox

STATE = """(module
  (memory (export "memory") 1 8)
  (table $t (export "table") 2 8 funcref)
  (global $g (export "g") (mut i64) (i64.const 5))
  (global $f (export "f") (mut f32) (f32.const nan:0x200001))
  (global $hidden (mut i32) (i32.const 0))
  (elem $e declare func $one)
  (elem $passive func $one)
  (data (i32.const 100) "initial")
  (data $d "passive!")
  (func $one (result i32) i32.const 1)
  (func (export "count") (result i32)
    (global.set $hidden (i32.add (global.get $hidden) (i32.const 1))) (global.get $hidden))
  (func (export "write") (param i32 i32) local.get 0 local.get 1 i32.store8)
  (func (export "read") (param i32) (result i32) local.get 0 i32.load8_u)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "pages") (result i32) memory.size)
  (func (export "table_size") (result i32) (table.size $t))
  (func (export "table_grow") (result i32) (table.grow $t (ref.func $one) (i32.const 3)))
  (func (export "table_is_null") (result i32) (ref.is_null (table.get $t (i32.const 0))))
  (func (export "table_set") (table.set $t (i32.const 0) (ref.func $one)))
  (func (export "drop") (data.drop $d) (elem.drop $passive))
  (func (export "init") (memory.init $d (i32.const 0) (i32.const 0) (i32.const 8))
    (table.init $t $passive (i32.const 0) (i32.const 0) (i32.const 1)))
  (func (export "write_and_trap") (global.set $hidden (i32.const 9))
    (i32.store8 (i32.const 100) (i32.const 0)) (drop (memory.grow (i32.const 2))) unreachable)
  (func (export "write_and_loop") (global.set $hidden (i32.const 9))
    (i32.store8 (i32.const 100) (i32.const 0)) (loop (br 0)))
  (func (export "fill") (param i32) (memory.fill (i32.const 0) (i32.const 255) (local.get 0))))"""


def state(box: Sandbox) -> tuple[object, ...]:
    """Everything that can be seen of a sandbox from outside."""
    memory = box.memory()
    return (
        memory.size,
        memory.read(0, memory.size),
        box.globals["g"],
        box.globals["f"],
        box.call("count"),
        box.call("table_size"),
        box.call("table_is_null"),
        box.call("pages"),
        box.try_call("init"),
    )


@pytest.fixture(params=["strict", "memory"])
def box(request, engine, guest):
    with Sandbox(guest(STATE), engine=engine, reset=request.param, deadline=0.05, verify=1) as box:
        yield box


@pytest.mark.parametrize(
    ("function", "args"),
    [
        ("count", ()),
        ("write", (100, 7)),
        ("write", (65535, 7)),
        ("grow", (3,)),
        ("table_grow", ()),
        ("table_set", ()),
        ("drop", ()),
        ("fill", (65536,)),
    ],
)
def test_what_a_call_changed_is_gone_in_the_next(box, function, args):
    before = state(box)
    for _ in range(3):
        box.call(function, *args)
        assert state(box) == before


def test_a_trapped_call_leaves_nothing_behind(box):
    before = state(box)
    with pytest.raises(GuestTrap):
        box.call("write_and_trap")
    assert state(box) == before


def test_a_timed_out_call_leaves_nothing_behind(box):
    before = state(box)
    with pytest.raises(GuestTimeout):
        box.call("write_and_loop")
    assert state(box) == before


def test_grown_memory_comes_back_zeroed_and_small(box):
    with box.context() as context:
        assert context.call("grow", 2) == 1
        context.call("write", 2 * 65536 + 5, 9)
        assert context.call("read", 2 * 65536 + 5) == 9
        context.finish()
    assert box.memory().size == 65536
    with box.context() as context:
        context.call("grow", 2)
        assert context.call("read", 2 * 65536 + 5) == 0
        context.finish()


def test_host_writes_are_state_that_the_next_reset_wipes(box):
    box.memory().write(100, b"changed")
    box.globals["g"] = 77
    assert box.memory().read(100, 7) == b"changed"
    assert box.call("read", 100) == ord("c")
    assert box.memory().read(100, 7) == b"initial"
    assert box.globals["g"] == 5


def test_reset_undoes_host_writes(box):
    box.memory().write(0, b"x")
    box.globals["g"] = 1
    box.reset()
    assert box.memory().read(0, 1) == b"\0"
    assert box.globals["g"] == 5


def test_a_refused_call_resets_nothing(box):
    box.memory().write(0, b"x")
    with pytest.raises(Exception, match="argument"):
        box.call("write", 1, "no number")
    assert box.memory().read(0, 1) == b"x"
