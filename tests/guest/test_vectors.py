"""Byte vectors: allocators by convention, by name and at a fixed address; allocators that lie."""

from __future__ import annotations

import pytest

from hlfuzz import (
    AbiViolation,
    Caller,
    ContextFinished,
    GuestTimeout,
    GuestTrap,
    HostFunctionError,
    Sandbox,
    UsageError,
    Violation,
)

SUM = """(func (export "sum") (param i32 i32) (result i32) (local i32)
    (block $end (loop $next (br_if $end (i32.eqz (local.get 1)))
      (local.set 2 (i32.add (local.get 2) (i32.load8_u (local.get 0))))
      (local.set 0 (i32.add (local.get 0) (i32.const 1)))
      (local.set 1 (i32.sub (local.get 1) (i32.const 1))) (br $next)))
    (local.get 2))
  (func (export "where") (param i32 i32) (result i32) (local.get 0))"""


def module(allocator: str, extra: str = SUM) -> str:
    """A guest with a bump allocator $bump and the export `allocator`."""
    return f"""(module (memory (export "memory") 1 2) (global $next (mut i32) (i32.const 1024))
      (global $pins (export "pins") (mut i32) (i32.const 0))
      (func $bump (param i32) (result i32) (local i32) (local.set 1 (global.get $next))
        (global.set $next (i32.add (local.get 1) (local.get 0))) (local.get 1))
      {allocator} {extra})"""


def simple(name: str) -> str:
    return f'(export "{name}" (func $bump))'


CONVENTIONS = {
    "hlfuzz_alloc": simple("hlfuzz_alloc"),
    "malloc": simple("malloc"),
    "_malloc": simple("_malloc"),
    "allocate": simple("allocate"),
    "alloc": simple("alloc"),
    "proxy_on_memory_allocate": simple("proxy_on_memory_allocate"),
    "old wasm-bindgen": simple("__wbindgen_malloc"),
    "wasm-bindgen": """(func (export "__wbindgen_malloc") (param i32 i32) (result i32)
        (if (i32.ne (local.get 1) (i32.const 1)) (then unreachable)) (call $bump (local.get 0)))""",
    "component model": """(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (if (i32.or (local.get 0) (local.get 1)) (then unreachable))
        (if (i32.ne (local.get 2) (i32.const 1)) (then unreachable)) (call $bump (local.get 3)))""",
    "AssemblyScript": """(func (export "__new") (param i32 i32) (result i32)
        (if (i32.ne (local.get 1) (i32.const 1)) (then unreachable)) (call $bump (local.get 0)))
      (func (export "__pin") (param i32) (result i32)
        (global.set $pins (i32.add (global.get $pins) (i32.const 1))) (local.get 0))""",
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_each_convention_is_found(engine, guest, convention):
    with Sandbox(guest(module(CONVENTIONS[convention])), engine=engine) as box:
        assert box.call("sum", b"\x01\x02\xff") == 258
        assert box.call_bytes("sum", bytes(2000)) == 0
        assert box.call("sum", bytearray(b"\x05")) == 5
        assert box.call("where", b"") == 1024  # an empty vector is allocated too


def test_assemblyscript_objects_are_pinned(engine, guest):
    with (
        Sandbox(guest(module(CONVENTIONS["AssemblyScript"])), engine=engine) as box,
        box.context() as context,
    ):
        context.call("sum", b"abc")
        assert box.globals["pins"] == 1
        context.finish()


def test_an_allocator_may_be_named(engine, guest):
    made = guest(module(simple("my_alloc")))
    with Sandbox(made, engine=engine, allocator="my_alloc") as box:
        assert box.call("sum", b"\x07") == 7
    for wrong in ("missing", "memory"):
        with pytest.raises(UsageError, match="no allocator"):
            Sandbox(made, engine=engine, allocator=wrong)


def test_data_may_go_to_a_scratch_address(engine, guest):
    with Sandbox(guest(module("")), engine=engine, allocator=4096) as box:
        assert box.call("where", b"abc") == 4096
        assert box.call("sum", bytes(61440)) == 0
        with pytest.raises(UsageError, match="scratch"):
            box.call("sum", bytes(61441))


def test_without_an_allocator_the_conventions_are_named(engine, guest):
    with Sandbox(guest(module("")), engine=engine) as box:
        with pytest.raises(UsageError, match=r"hlfuzz_alloc.*malloc.*allocator="):
            box.call("sum", b"abc")
        assert box.call("sum", 0, 5) == 0


def test_without_a_memory_vectors_are_refused(engine, guest):
    wat = """(module (func (export "f") (param i32 i32))
      (func (export "malloc") (param i32) (result i32) i32.const 8))"""
    with Sandbox(guest(wat), engine=engine) as box, pytest.raises(UsageError, match="no exported memory"):
        box.call("f", b"abc")


def test_several_vectors_and_scalars_mix(engine, guest):
    extra = """(func (export "mix") (param i64 i32 i32 f32 i32 i32) (result i32 i32 i32 i32)
      (i32.load8_u (local.get 1)) (local.get 2) (i32.load8_u (local.get 4)) (local.get 5))"""
    with Sandbox(guest(module(simple("malloc"), extra)), engine=engine) as box:
        assert box.call("mix", 1, b"ab", 0.5, b"xyz") == (ord("a"), 2, ord("x"), 3)
    with Sandbox(guest(module("", extra)), engine=engine, allocator=100) as box:
        assert box.call("mix", 1, b"ab", 0.5, b"xyz") == (ord("a"), 2, ord("x"), 3)


@pytest.mark.parametrize("args", [(b"ab", 1, 2), (1, b"ab", b"c"), (b"ab",), (1, b"ab", "x", b"c")])
def test_vectors_that_do_not_fit_are_refused_before_anything_runs(engine, guest, args):
    extra = '(func (export "mix") (param i64 i32 i32 f32 i32 i32))'
    trap = '(func (export "malloc") (param i32) (result i32) unreachable)'
    with (
        Sandbox(guest(module(trap, extra)), engine=engine) as box,
        pytest.raises(UsageError, match=r"do not fit|argument"),
    ):
        box.call("mix", *args)


LIARS = {
    "null": ("i32.const 0", "returned null"),
    "outside": ("i32.const 65534", "outside memory 0..65536"),
    "far outside": ("i32.const -1", "returned 4294967295"),
}


@pytest.mark.parametrize("liar", LIARS)
def test_an_allocator_that_returns_nonsense_is_a_violation(engine, guest, liar):
    code, message = LIARS[liar]
    made = guest(module(f'(func (export "malloc") (param i32) (result i32) {code})'))
    with Sandbox(made, engine=engine) as box:
        with pytest.raises(AbiViolation, match=message):
            box.call("sum", b"abc")
        assert isinstance(box.try_call("sum", b"abc"), Violation)
        assert box.call("sum", 0, 0) == 0
        with box.context() as context:
            context.try_call("sum", b"abc")
            with pytest.raises(Exception, match="poisoned"):
                context.call("sum", 0, 0)
            context.finish()


def test_an_allocator_that_traps_is_a_trap(engine, guest):
    made = guest(module('(func (export "malloc") (param i32) (result i32) unreachable)'))
    with Sandbox(made, engine=engine) as box, pytest.raises(GuestTrap):
        box.call("sum", b"abc")


def test_an_allocator_may_grow_memory(engine, guest):
    grow = """(func (export "malloc") (param i32) (result i32)
      (i32.mul (memory.grow (i32.const 1)) (i32.const 65536)))"""
    with Sandbox(guest(module(grow)), engine=engine) as box:
        assert box.call("where", bytes(65536)) == 65536
        assert box.memory().size == 65536


def test_allocation_is_undone_with_the_call(engine, guest):
    with Sandbox(guest(module(simple("malloc"))), engine=engine) as box:
        assert [box.call("where", bytes(1000)) for _ in range(3)] == [1024] * 3
        with box.context() as context:
            assert [context.call("where", bytes(1000)) for _ in range(3)] == [1024, 2024, 3024]
            context.finish()
        assert box.memory().read(1024, 3) == b"\0\0\0"


RESULTS = """(func (export "pair") (param i32 i32) (result i32 i32) (local.get 0) (local.get 1))
  (func (export "packed") (param i32 i32) (result i64)
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func (export "inplace") (param i32 i32) (result i32)
    (i32.store8 (local.get 0) (i32.const 33)) (local.get 1))
  (func (export "bad_pair") (param i32 i32) (result i32 i32) (i32.const 65530) (i32.const 7))
  (func (export "bad_packed") (param i32 i32) (result i64) (i64.const -1))
  (func (export "bad_inplace") (param i32 i32) (result i32) (i32.const -1))"""


def test_bytes_come_back_in_each_form(engine, guest):
    with Sandbox(guest(module(simple("malloc"), RESULTS)), engine=engine) as box:
        assert box.call_bytes("pair", b"hello", result="pair") == b"hello"
        assert box.call_bytes("packed", b"hello", result="packed") == b"hello"
        assert box.call_bytes("inplace", b"hello", result="inplace") == b"!ello"
        assert box.call_bytes("pair", b"hello") == (1024, 5)
        with box.context() as context:
            assert context.call_bytes("inplace", b"hello", result="inplace") == b"!ello"
            context.finish()


@pytest.mark.parametrize("form", ["pair", "packed", "inplace"])
def test_results_that_name_bytes_outside_memory_are_a_violation(engine, guest, form):
    with (
        Sandbox(guest(module(simple("malloc"), RESULTS)), engine=engine) as box,
        pytest.raises(AbiViolation, match="outside memory"),
    ):
        box.call_bytes(f"bad_{form}", b"hello", result=form)


def test_a_form_that_does_not_fit_the_results_is_refused(engine, guest):
    with Sandbox(guest(module(simple("malloc"), RESULTS)), engine=engine) as box:
        with pytest.raises(UsageError, match="cannot be read as 'pair'"):
            box.call_bytes("packed", b"hello", result="pair")
        with pytest.raises(UsageError, match="unknown result form"):
            box.call_bytes("packed", b"hello", result="nonsense")


def test_vectors_work_in_64_bit_memories(engine, guest):
    wat = """(module (memory (export "memory") i64 1)
      (func (export "malloc") (param i64) (result i64) (i64.const 256))
      (func (export "first") (param i64 i64) (result i32) (i32.load8_u (local.get 0)))
      (func (export "pair") (param i64 i64) (result i64 i64) (local.get 0) (local.get 1)))"""
    with Sandbox(guest(wat), engine=engine) as box:
        assert box.call("first", b"A") == 65
        assert box.call_bytes("pair", b"abc", result="pair") == b"abc"


def test_vectors_are_placed_without_a_call_of_theirs(engine, guest):
    where = """(func (export "sum3") (param i32) (result i32) (i32.add (i32.load8_u (local.get 0))
      (i32.add (i32.load8_u offset=1 (local.get 0)) (i32.load8_u offset=2 (local.get 0)))))"""
    with Sandbox(guest(module(CONVENTIONS["malloc"], where)), engine=engine) as box:
        with box.context() as context:
            first, second = context.place(b"\x01\x02\x03", b"\x10\x20\x30")
            assert (context.call("sum3", first), context.call("sum3", second)) == (6, 0x60)
            context.finish()
        with box.context() as context:
            assert context.place(b"x") == [1024]  # the reset took the others back
            context.finish()
    with Sandbox(guest(module("", where)), engine=engine, allocator=4096) as box, box.context() as context:
        assert context.place(b"12345", b"6") == [4096, 4112]
        context.finish()


def test_an_allocator_that_lies_to_place_poisons_the_context(engine, guest):
    far = '(func (export "malloc") (param i32) (result i32) (i32.const -8))'
    with Sandbox(guest(module(far)), engine=engine) as box, box.context() as context:
        with pytest.raises(AbiViolation, match="outside memory"):
            context.place(b"123456789")
        with pytest.raises(ContextFinished, match="poisoned by its allocator"):
            context.place(b"")
        context.finish()


def test_a_host_function_places_vectors_in_its_guest(engine, guest):
    body = """(func (export "go") (result i32) (i32.load8_u (call $give)))"""
    text = module(CONVENTIONS["malloc"], body).replace(
        "(module", '(module (import "env" "give" (func $give (result i32)))', 1
    )
    kept: list[Caller] = []

    def give(caller: Caller) -> int:
        kept.append(caller)
        return caller.place(b"ignored", b"\x2a")[1]

    with Sandbox(guest(text), {"env.give": give}, engine=engine) as box:
        assert box.call("go") == 42
        with pytest.raises(UsageError, match="after its host function returned"):
            kept[0].place(b"x")


CALLING_ALLOCATOR = """(module (import "env" "where" (func $where (param i32) (result i32)))
  (memory (export "memory") 8)
  (global $calls (mut i32) (i32.const 0))
  (func (export "malloc") (param i32) (result i32) (call $where (local.get 0)))
  (func (export "loop") (param i32 i32) (result i64) (loop (br 0)) (unreachable))
  (func (export "echo") (param i32 i32 i32) (result i64)
    (drop (call $where (local.get 2)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1)))))"""
SIZES = [0, 1, 4096, 65472, 65473, 200_000]
"""Round the longest vector that crosses in one exchange (64 KiB less a header of 64 bytes)."""


@pytest.mark.parametrize("size", SIZES)
def test_vectors_of_any_length_come_back_as_they_went_also_when_the_allocator_calls_the_host(
    engine, guest, size
):
    asked: list[int] = []

    def where(length: int) -> int:
        asked.append(length)
        return 4096

    data = bytes(i * 7 & 0xFF for i in range(size))
    with Sandbox(guest(CALLING_ALLOCATOR), {"env.where": where}, engine=engine) as box:
        for _ in range(2):  # the second call of an export takes the fast way
            assert box.call_bytes("echo", data, -5, result="packed") == data
        with box.context() as ctx:
            assert ctx.call_bytes("echo", data, -5, result="packed") == data
            ctx.finish()
        if engine == "kvm":
            assert box.verify() == 0
    assert asked == [size, -5] * 3


@pytest.mark.parametrize("size", [8, 200_000])
def test_failures_in_the_allocator_and_in_the_call_leave_a_sandbox_that_works(engine, guest, size):
    answers: list[object] = []

    def where(length: int) -> object:
        return answers.pop(0)

    with Sandbox(guest(CALLING_ALLOCATOR), {"env.where": where}, engine=engine, deadline=0.05) as box:
        for _ in range(2):
            answers[:] = [ValueError]
            with pytest.raises(HostFunctionError):
                box.call_bytes("echo", bytes(size), 0, result="packed")
            answers[:] = [8 << 16]
            with pytest.raises(AbiViolation, match=f"'malloc' returned {8 << 16} for {size} bytes, outside"):
                box.call_bytes("echo", bytes(size), 0, result="packed")
            answers[:] = [0]
            with pytest.raises(AbiViolation, match=f"null for {size} bytes"):
                box.call_bytes("echo", bytes(size), 0, result="packed")
            answers[:] = [4096]
            with pytest.raises(GuestTimeout):
                box.call_bytes("loop", bytes(size), result="packed")
            answers[:] = [4096, 0]
            assert box.call_bytes("echo", bytes(size), 0, result="packed") == bytes(size)
            assert answers == []
