"""What differs from the snapshot is listed byte for byte with its place, and a CPU's registers by name."""

from __future__ import annotations

from pathlib import Path

import native
import pytest
from native_build import TOOLCHAINS
from needs import require_kvm

from hlfuzz import Guest, Sandbox, UsageError
from hlfuzz.model import Difference

WAT = """(module (memory (export "memory") 1 4) (global $n (export "n") (mut i32) (i32.const 0))
  (data $greeting (i32.const 1024) "hello, world")
  (func (export "write") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
  (func (export "grow") (drop (memory.grow (i32.const 1))) (i32.store (i32.const 65540) (i32.const 7)))
  (func (export "count") (global.set $n (i32.add (global.get $n) (i32.const 1)))))"""


@pytest.fixture
def box(guest):
    require_kvm()
    with Sandbox(guest(WAT), transport="exit") as box:
        yield box


def of_memory(box: Sandbox) -> list[Difference]:
    return [d for d in box.differences() if d.place.startswith("memory")]


def test_each_written_byte_is_listed_with_what_it_was_and_where_it_is(box: Sandbox) -> None:
    assert box.differences() == ()
    with box.context() as context:
        context.call("write", 1028, 0x11223344)
        context.call("write", 40000, 1)
        context.call("grow")
        first, second, third = of_memory(box)
        context.finish()
    assert first.place == "memory 'memory' +0x404, data segment 'greeting' +0x4"
    assert (first.length, first.before, first.after) == (4, b"o, w", b"\x44\x33\x22\x11")
    assert (second.place, second.length, second.after) == ("memory 'memory' +0x9c40", 1, b"\x01")
    assert (third.place, third.after) == ("memory 'memory' +0x10004", b"\x07"), "grown memory too"
    assert second.address - first.address == 40000 - 1028
    assert box.differences() == ()


def test_more_than_32_bytes_are_one_line_that_shows_the_first(box: Sandbox) -> None:
    with box.context() as context:
        context.memory().write(2000, b"\xee" * 100)
        (found,) = of_memory(box)
        context.finish()
    assert (found.length, found.after) == (100, b"\xee" * 32)
    assert str(found).endswith("ee...")


def test_a_limit_keeps_the_first_ones(box: Sandbox) -> None:
    with box.context() as context:
        for at in range(0, 4096, 64):
            context.memory().write(at, b"\x01")
        everything = box.differences()
        assert len(everything) >= 64
        assert box.differences(limit=3) == everything[:3]
        context.finish()
    for limit in (0, 65537):
        with pytest.raises(UsageError, match="give 1 to 65536"):
            box.differences(limit=limit)


def test_what_the_guest_may_not_write_is_looked_at_alone(box: Sandbox) -> None:
    with box.context() as context:
        context.call("write", 0, 1)
        assert box.differences(read_only=True) == ()
        context.finish()
    native.plant(box, native.lib.HL_FAULT_SPOIL_TEXT | native.lib.HL_FAULT_SPOIL_TABLES)
    box.call("write", 0, 1)
    assert [d.place for d in box.differences(read_only=True)] == ["supervisor pages", "text"]
    assert box.differences() == box.differences(read_only=True)


def test_a_mailbox_that_a_strict_reset_left_alone_is_a_difference(box: Sandbox) -> None:
    native.plant(box, native.lib.HL_FAULT_FORGET_MAILBOX)
    box.call("write", 0, 1)
    places = {d.place for d in box.differences()}
    assert places
    assert all(place.startswith("the mailbox's ") for place in places), places


def test_a_memory_reset_leaves_the_mailbox_and_says_nothing_of_it(guest) -> None:
    require_kvm()
    with Sandbox(guest(WAT), transport="exit", reset="memory") as box:
        box.call("write", 0, 1)
        assert box.differences() == ()


@pytest.mark.programs("gcc")
def test_a_native_guest_is_explained_by_its_symbols(tmp_path: Path) -> None:
    require_kvm()
    source = """
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"
static int32_t kept[10];
static int32_t keep(int32_t what) { ((volatile int32_t *)kept)[3] = what; return what; }
HLG_EXPORT(int32_t, keep, int32_t);
"""
    compiler = next(t for t in TOOLCHAINS if str(t) == "gcc c -O2")
    with Sandbox(Guest.from_elf(compiler.build(source, tmp_path)), transport="exit") as box:
        with box.context() as context:
            context.call("keep", 0x01010101)
            places = {d.place: d.after for d in box.differences()}
            context.finish()
        assert places["kept +0xc (data)"] == b"\x01\x01\x01\x01"
        assert box.differences() == ()


def test_two_sandboxes_of_one_guest_have_the_same_registers_between_calls(guest) -> None:
    require_kvm()
    made = guest(WAT)
    with Sandbox(made, transport="exit") as used, Sandbox(made, transport="exit") as fresh:
        first = fresh.cpu_state()
        assert {"rax", "rip", "cs", "cr3", "efer", "mxcsr", "st0", "ymm15", "dr7", "pat"} <= set(first)
        assert int.from_bytes(first["mxcsr"], "little") == 0x1F80
        used.call("count")
        assert used.cpu_state() == first
        with used.context() as context:
            context.call("write", 1, 2)
            changed = {name for name, value in used.cpu_state().items() if value != first[name]}
            context.finish()
        assert changed, "while the context is open they are the guest's"
        assert used.cpu_state() == first


def test_the_other_engine_says_that_it_has_nothing_to_look_at(guest) -> None:
    with Sandbox(guest(WAT), engine="inprocess") as box:
        for look in (box.differences, box.cpu_state):
            with pytest.raises(UsageError, match="engine='kvm'"):
                look()
