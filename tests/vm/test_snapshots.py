"""A snapshot holds all state of a quiet moment: sandboxes made from it begin there, and are reset to it."""

from __future__ import annotations

import asyncio

import native
import pytest
from native_guests import built
from patient import open_sandbox

from hlfuzz import (
    ContextBusy,
    ContextFinished,
    Float32,
    Global,
    Sandbox,
    Snapshot,
    SnapshotError,
    Timeout,
    UsageError,
)

COUNTER = """(module
  (import "env" "ask" (func $ask (result i32)))
  (import "env" "base" (global $base i32))
  (memory (export "memory") 1 400)
  (table (export "table") 2 20 funcref)
  (global $n (export "n") (mut i64) (i64.const 0))
  (func (export "count") (result i64)
    (global.set $n (i64.add (global.get $n) (i64.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (global.get $base)))
    (i64.add (global.get $n) (i64.extend_i32_u (i32.load (i32.const 8)))))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "table grow") (param i32) (result i32) (table.grow (ref.null func) (local.get 0)))
  (func (export "table size") (result i32) (table.size))
  (func (export "size") (result i32) (memory.size))
  (func (export "poke") (param i32 i32) (i32.store8 (local.get 0) (local.get 1)))
  (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "fill") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
  (func (export "ask") (result i32) (call $ask))
  (func (export "spin") (loop (br 0)))
  (func (export "trap") unreachable))"""
HOST = {"env.ask": lambda: 5, "env.base": Global(1000)}


@pytest.fixture
def counter(guest):
    return guest(COUNTER, name="counter")


def open_box(guest, host=HOST, **options) -> Sandbox:
    options.setdefault("transport", "exit")
    return open_sandbox(guest, host, engine="kvm", verify=1, **options)


def test_a_sandbox_made_from_a_snapshot_begins_there_and_is_reset_to_there(counter):
    with open_box(counter) as box:
        context = box.context()
        assert [context.call("count") for _ in range(3)] == [1001, 2002, 3003]
        snapshot = context.snapshot()
        context.finish()
        assert box.call("count") == 1001
    with open_box(counter, snapshot=snapshot) as again:
        assert [again.call("count") for _ in range(3)] == [4004] * 3
        assert again.globals["n"] == 3
        with again.context() as context:
            assert [context.call("count") for _ in range(2)] == [4004, 5005]
            context.finish()
        assert again.verify() == 0


def test_every_kind_of_wasm_state_is_in_a_snapshot(counter):
    with open_box(counter) as box, box.context() as context:
        context.call("grow", 250)
        context.call("fill", 200 << 16, 7, 3 << 16)
        context.call("poke", (251 << 16) - 1, 9)
        context.call("table grow", 5)
        box.globals["n"] = -(1 << 63)
        context.write(77, b"from the host")
        snapshot = context.snapshot()
        context.finish()
    with open_box(counter, snapshot=snapshot) as box:
        assert box.call("size") == 251
        assert box.call("peek", (251 << 16) - 1) == 9
        assert box.call("table size") == 7
        assert box.globals["n"] == -(1 << 63)
        assert box.memory().size == 251 << 16
        assert box.memory().read(200 << 16, 3 << 16) == b"\x07" * (3 << 16)
        assert box.memory().read(77, 13) == b"from the host"
        box.call("fill", 0, 1, 251 << 16)
        assert box.memory().read(77, 13) == b"from the host"
        assert box.verify() == 0


def test_a_context_goes_on_undisturbed_by_its_snapshots(counter, transport):
    with open_box(counter, transport=transport) as box, box.context() as context:
        snapshots = []
        for n in range(1, 6):
            assert context.call("count") == n * 1001
            snapshots.append(context.snapshot())
        context.finish()
        assert box.call("count") == 1001
        assert box.stats().verify_failures == 0
    for n, snapshot in enumerate(snapshots, 1):
        with open_box(counter, snapshot=snapshot) as box:
            assert box.call("count") == (n + 1) * 1001


@pytest.mark.parametrize("reset", ["strict", "memory"])
def test_snapshots_fit_the_other_transport(counter, transport, reset):
    other = {"exit": "spin", "spin": "exit"}[transport]
    with open_box(counter, transport=transport, reset=reset) as box:
        context = box.context()
        context.call("count")
        snapshot = context.snapshot()
        context.finish()
    with open_box(counter, transport=other, reset=reset, snapshot=snapshot) as box:
        assert [box.call("count") for _ in range(3)] == [2002] * 3
        assert box.call("ask") == 5


def test_clones_of_one_snapshot_share_nothing(counter):
    with open_box(counter) as box, box.context() as context:
        context.call("count")
        snapshot = context.snapshot()
        context.finish()
    boxes = [open_box(counter, snapshot=snapshot) for _ in range(4)]
    contexts = [box.context() for box in boxes]
    for n, context in enumerate(contexts):
        for _ in range(n):
            context.call("count")
    assert [context.call("count") for context in contexts] == [(n + 2) * 1001 for n in range(4)]
    for box in boxes:
        box.close()


def test_a_snapshot_of_a_snapshot_is_one_too(counter):
    snapshot = None
    for n in range(1, 6):
        with open_box(counter, snapshot=snapshot) as box, box.context() as context:
            assert context.call("count") == n * 1001
            snapshot = context.snapshot()
            context.finish()


def test_a_snapshot_outlives_its_sandbox_and_its_guest_object(counter, guest):
    with open_box(counter) as box:
        snapshot = box.snapshot()
    with open_box(guest(COUNTER, name="the same module"), snapshot=snapshot) as box:
        assert box.call("count") == 1001


def test_no_snapshot_is_taken_while_a_call_is_open(counter):
    seen: list[Exception] = []

    def ask() -> int:
        for take in (box.snapshot, context.snapshot):
            with pytest.raises(ContextBusy, match="while a call is open") as error:
                take()
            seen.append(error.value)
        return 5

    with open_box(counter, {**HOST, "env.ask": ask}) as box:
        context = box.context()
        assert context.call("ask") == 5
        context.finish()
    assert len(seen) == 2


def test_the_sandbox_gives_no_snapshot_while_a_context_is_open_and_a_dead_context_none_at_all(counter):
    with open_box(counter) as box:
        context = box.context()
        with pytest.raises(ContextBusy, match="context is open"):
            box.snapshot()
        assert context.try_call("trap").code == "unreachable"
        with pytest.raises(ContextFinished, match="poisoned"):
            context.snapshot()
        context.finish()
        with pytest.raises(ContextFinished):
            context.snapshot()
        assert isinstance(box.snapshot(), Snapshot)


@pytest.mark.parametrize(
    ("limits", "difference"),
    [
        ({"memory_bytes": 32 << 20}, "Limits.memory_bytes is 67108864 in the snapshot and 33554432 here"),
        ({"table_elements": 99}, "Limits.table_elements"),
        ({"stack_bytes": 256 << 10}, "Limits.stack_bytes"),
    ],
)
def test_other_limits_are_refused_and_named(counter, guest, limits, difference):
    with open_box(counter) as box:
        snapshot = box.snapshot()
    with pytest.raises(SnapshotError, match=difference) as error:
        open_box(guest(COUNTER, **limits), snapshot=snapshot)
    assert error.value.reason == "other-guest"


def test_another_module_and_another_imported_global_are_refused_and_named(counter, guest):
    with open_box(counter) as box:
        snapshot = box.snapshot()
    with pytest.raises(SnapshotError, match="module") as error:
        open_box(guest(COUNTER.replace("i32.const 8", "i32.const 16")), snapshot=snapshot)
    assert error.value.reason == "other-guest"
    with pytest.raises(SnapshotError, match=r"'env.base' has another value"):
        open_box(counter, {**HOST, "env.base": Global(1001)}, snapshot=snapshot)


def test_a_snapshot_of_imported_floats_and_vectors_is_recognised(guest):
    text = '(module (import "e" "f" (global f32)) (import "e" "v" (global v128)) (func (export "f")))'
    host = {"e.f": Global(Float32(0x7FA0_0001)), "e.v": Global(bytes(range(16)))}
    module = guest(text)
    with open_box(module, host) as box:
        snapshot = box.snapshot()
    open_box(module, host, snapshot=snapshot).close()
    with pytest.raises(SnapshotError, match=r"e\.f"):
        open_box(module, {**host, "e.f": Global(Float32(0x7FA0_0002))}, snapshot=snapshot)


def test_the_engine_in_this_process_has_no_snapshots(counter):
    with open_box(counter) as box:
        snapshot = box.snapshot()
    with pytest.raises(UsageError, match="needs a micro-VM"):
        Sandbox(counter, HOST, engine="inprocess", snapshot=snapshot)
    with (
        Sandbox(counter, HOST, engine="inprocess") as box,
        pytest.raises(UsageError, match="needs a micro-VM"),
    ):
        box.snapshot()


def test_a_damaged_reset_to_a_snapshot_is_seen(counter):
    with open_box(counter) as box, box.context() as context:
        context.call("count")
        snapshot = context.snapshot()
        context.finish()
    with open_sandbox(counter, HOST, engine="kvm", transport="exit", snapshot=snapshot) as box:
        native.plant(box, native.NO_RESET)
        assert [box.call("count") for _ in range(2)] == [2002, 3003]
        assert box.verify() > 0


_REGISTERS = ("rbx", "r15", "xmm15", "ymm14", "st0", "MXCSR", "ID flag", "es")


def test_every_register_of_a_native_guest_is_in_a_snapshot_and_in_its_file(tmp_path):
    """The guest keeps a count in each; `es` cannot come from a file, where the host chooses selectors."""
    guest = built("native_counters.c")

    def counts(snapshot: Snapshot) -> dict[str, int]:
        with open_box(guest, {}, snapshot=snapshot) as box:
            answer = box.call("count")
            assert box.call("count") == answer
        assert isinstance(answer, int)
        return dict(zip(_REGISTERS, (answer % 2**64).to_bytes(8, "little"), strict=True))

    with open_box(guest, {}) as box, box.context() as context:
        for _ in range(3):
            context.call("count")
        snapshot = context.snapshot()
        after = context.call("count")
        context.finish()
    assert isinstance(after, int)
    expected = dict(zip(_REGISTERS, (after % 2**64).to_bytes(8, "little"), strict=True))
    assert [expected[name] for name in _REGISTERS[:7]] == [3, 3, 3, 3, 3, 3, 1]
    assert counts(snapshot) == expected
    for compress in (False, True):
        snapshot.save(tmp_path / "native", compress=compress)
        assert counts(Snapshot.load(tmp_path / "native", guest)) | {"es": expected["es"]} == expected


def test_memory_of_a_native_guest_is_in_a_snapshot_and_in_its_file(tmp_path):
    guest = built("native_memory.c")
    with open_box(guest, {}) as box, box.context() as context:
        assert [context.call("push", n) for n in (5, 6, 7)] == [5, 11, 18]
        snapshot = context.snapshot()
        context.finish()
        assert box.call("push", 1) == 1
    snapshot.save(tmp_path / "native")
    loaded = Snapshot.load(tmp_path / "native", guest)
    for one in (snapshot, loaded):
        with open_box(guest, {}, snapshot=one) as box:
            assert [box.call("push", 1) for _ in range(2)] == [19, 19]
            assert box.verify() == 0


def test_a_dispatched_sandbox_gives_and_takes_snapshots_but_not_while_it_is_called(counter):
    async def main() -> None:
        asked, answer = asyncio.Event(), asyncio.Event()

        async def ask() -> int:
            asked.set()
            await answer.wait()
            return 5

        host = {**HOST, "env.ask": ask}
        with open_box(counter, host, dispatch="asyncio", deadline=0.2) as box:
            async with box.acontext() as context:
                assert await context.acall("count") == 1001
                snapshot = context.snapshot()
                asking = asyncio.ensure_future(context.acall("ask"))
                await asked.wait()
                with pytest.raises(ContextBusy):
                    context.snapshot()
                answer.set()
                assert await asking == 5
                await context.afinish()
            refusals = 0
            spinning = asyncio.ensure_future(box.atry_call("spin"))
            while not spinning.done():
                await asyncio.sleep(0.01)
                if not spinning.done():
                    with pytest.raises(ContextBusy):
                        box.snapshot()
                    refusals += 1
            assert refusals
            assert isinstance(spinning.result(), Timeout)
        with open_box(counter, host, dispatch="asyncio", snapshot=snapshot) as box:
            assert [await box.acall("count") for _ in range(3)] == [2002] * 3

    asyncio.run(main())
