"""What WASI remembers of a guest is state of its sandbox: reset with it, in the snapshot, nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hlfuzz import (
    Caller,
    CallLimits,
    Exited,
    GuestExited,
    LimitExceeded,
    Ok,
    Pool,
    Sandbox,
    SnapshotError,
    StartError,
    Timeout,
    Trap,
    Wasi,
    WasiActivity,
)
from hlfuzz.sandbox.engines import booting
from tests.wasi_guest import DATA, OUT, Calls, calls, forwarder

WASI = Wasi(["prog"], {"A": "1"}, stdin=b"0123456789", files={"f": b"abcdef"}, random_seed=3, allow="all")


def observed(call: Calls) -> tuple[Any, ...]:
    """Everything of WASI's state that a guest can see, and changes by looking."""
    random = (call("random_get", DATA, 8), call.context.read(DATA, 8))
    clock = (call("clock_time_get", 0, 0, OUT), call.u64(OUT))
    opened = call.open("f")
    return random, clock, call.read(0, 3), opened, call.read(4, 2), call.write(1, b"x")


def disturb(call: Calls) -> None:
    """Change every part of it."""
    observed(call)
    call("fd_renumber", 4, 0)
    call("fd_close", 2)
    call("fd_fdstat_set_rights", 3, 0, 0)


@pytest.fixture
def box(engine: str) -> Any:
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI, deadline=0.05) as opened:
        yield opened


def in_context(box: Sandbox, *acts: Any) -> Any:
    with box.context() as context:
        for act in acts:
            last = act(Calls(context))
        context.finish()
    return last


def test_nothing_of_a_context_is_seen_in_the_next(box):
    first = in_context(box, observed)
    assert in_context(box, disturb, observed) != first
    assert in_context(box, observed) == first
    box.reset()
    assert in_context(box, observed) == first


def test_nothing_of_a_call_is_seen_in_the_next(box):
    first = in_context(box, observed)
    box.call("fd_close", 0)
    box.call("random_get", DATA, 4)
    box.call("clock_time_get", 0, 0, OUT)
    assert in_context(box, observed) == first


@pytest.mark.parametrize(
    ("function", "args", "outcome"),
    [("trap", (), Trap("unreachable")), ("spin", (), Timeout(50_000)), ("proc_exit", (3,), Exited(3))],
)
def test_nothing_is_left_by_a_call_that_failed(box, function, args, outcome):
    first = in_context(box, observed)
    assert in_context(box, disturb, lambda call: call.context.try_call(function, *args)) == outcome
    assert in_context(box, observed) == first
    assert box.try_call(function, *args) == outcome
    assert in_context(box, observed) == first


def test_state_lasts_as_long_as_its_context(box):
    with box.context() as context:
        call = Calls(context)
        # `_initialize` has read the first two bytes
        assert [call.read(0, 3)[1] for _ in range(3)] == [b"234", b"567", b"89"]
        call.write(1, b"one")
        call.write(1, b"two")
        assert box.wasi.stdout == b"onetwo"
        context.finish()
    assert box.wasi.stdout == b"onetwo"
    assert box.call("sched_yield") == 0
    assert box.wasi.stdout == b""


def test_a_snapshot_has_what_wasi_remembers():
    options = {"engine": "kvm", "transport": "exit", "verify": 1}
    with Sandbox(forwarder(), wasi=WASI, **options) as box:
        with box.context() as context:
            call = Calls(context)
            disturb(call)
            snapshot = context.snapshot()
            expected = observed(call)
            context.finish()
        assert in_context(box, observed) != expected
    with Sandbox(forwarder(), wasi=WASI, snapshot=snapshot, **options) as again:
        for _ in range(2):
            assert in_context(again, observed) == expected
        assert [c.function for c in again.wasi.start.trace] == ["random_get", "clock_time_get", "fd_read"]
    with pytest.raises(SnapshotError, match="`wasi` is another"):
        Sandbox(forwarder(), wasi=Wasi(random_seed=9, allow="all"), snapshot=snapshot, **options)


def test_each_call_has_the_whole_limit_for_its_output(engine):
    for _ in range(2):
        with calls(engine, Wasi(stdout_limit=4, allow="all")) as (_, call):
            assert call.write(1, b"abcd") == (0, 4)
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=Wasi(stdout_limit=4, allow="all")) as box:
        for _ in range(3):
            assert in_context(box, lambda call: call.write(1, b"abcd")) == (0, 4)


def test_what_the_guest_does_when_it_starts_is_apart_from_its_calls(box):
    start = box.wasi.start
    assert [c.function for c in start.trace] == ["random_get", "clock_time_get", "fd_read"]
    assert box.wasi.trace == ()
    box.call("sched_yield")
    assert [c.function for c in box.wasi.trace] == ["sched_yield"]
    assert box.wasi.start == start


def test_both_engines_give_the_same_results_and_traces():
    def run(engine: str) -> tuple[Any, WasiActivity]:
        with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI) as box:
            return in_context(box, disturb, observed), box.wasi

    kvm, inprocess = run("kvm"), run("inprocess")
    assert kvm == inprocess
    assert len(kvm[1].trace) > 10


def test_call_records_have_no_calls_of_a_restart(engine):
    records: list[Any] = []
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI, trace=records.append) as box:
        box.call("sched_yield")
        box.call("proc_raise", 9)
    assert [[(h.function.partition(".")[2], h.result) for h in r.host_calls] for r in records] == [
        [("sched_yield", (0,))],
        [("proc_raise", (52,))],
    ]


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each guest that was booted."""
    counted: list[int] = []

    class Boot(booting.Boot):
        def run(self) -> int:
            counted.append(1)
            return super().run()

    monkeypatch.setattr(booting, "Boot", Boot)
    monkeypatch.setattr(booting, "_templates", type(booting._templates)())
    return counted


def opened(wasi: Wasi, host: Any = None) -> tuple[Any, WasiActivity | None]:
    with Sandbox(forwarder(), host, engine="kvm", transport="exit", wasi=wasi, verify=1) as box:
        return in_context(box, observed), box.wasi.start


def test_a_guest_is_booted_once_for_each_configuration(boots):
    first = opened(WASI)
    assert first[1] is not None
    assert len(first[1].trace) == 3
    same = Wasi(
        ["prog"], {"A": "1"}, stdin=b"0123456789", files={"/f": b"abcdef"}, random_seed=3, allow="all"
    )
    for wasi in (WASI, same):
        assert opened(wasi) == first
    assert len(boots) == 1
    assert opened(Wasi(random_seed=4, files={"f": b"abcdef"}, allow="all")) != first
    assert len(boots) == 2


def test_snapshots_that_are_kept_are_bounded(boots):
    for seed in range(booting.KEPT + 2):
        opened(Wasi(files={"f": b"abcdef"}, random_seed=seed, allow="all"))
    opened(Wasi(files={"f": b"abcdef"}, random_seed=booting.KEPT + 1, allow="all"))
    assert len(boots) == booting.KEPT + 2
    assert len(booting._templates[forwarder()]) == booting.KEPT


def test_a_guest_that_asks_others_when_it_starts_is_booted_each_time(boots):
    host = {"wasi_snapshot_preview1.random_get": lambda pointer, length: 0}
    for _ in range(2):
        opened(WASI, host)
    opened(WASI)
    opened(WASI, host)
    assert len(boots) == 4


def test_a_guest_that_ends_itself_when_it_starts_says_with_what_words(engine, guest):
    wat = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\\08\\00\\00\\00\\05\\00\\00\\00no go")
      (func (export "_initialize")
        (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 64)))
        (call $exit (i32.const 2))))"""
    with pytest.raises(StartError, match="exited with code 2") as caught:
        Sandbox(guest(wat), engine=engine, transport="exit", wasi=Wasi(allow="all"))
    assert caught.value.__notes__ == ["standard error of the guest: no go"]


def test_a_host_function_that_lets_a_nested_exit_pass_ends_the_guest_with_it(engine, guest):
    wat = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (import "env" "again" (func $again)) (memory (export "memory") 1)
      (func (export "inner") (call $exit (i32.const 4)))
      (func (export "outer") (call $again)))"""

    def passes(caller: Caller) -> None:
        caller.call("inner")

    def catches(caller: Caller) -> None:
        with pytest.raises(GuestExited, match="code 4"):
            caller.call("inner")

    for again, outcome in ((passes, Exited(4)), (catches, Ok())):
        with Sandbox(
            guest(wat), {"env.again": again}, engine=engine, transport="exit", wasi=Wasi(allow="all")
        ) as box:
            assert box.try_call("outer") == outcome


def test_a_call_over_its_limits_leaves_wasi_as_it_was(engine):
    limits = CallLimits(host_calls=20, host_call_bytes=64)
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI, call_limits=limits) as box:
        first = in_context(box, observed)
        outcome = in_context(box, observed, lambda call: call.context.try_call("random_get", DATA, 65))
        assert isinstance(outcome, LimitExceeded)
        assert in_context(box, observed) == first


def test_a_dispatched_sandbox_gives_the_same(engine):
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI) as box:
        expected = box.call("random_get", DATA, 8), box.wasi, in_context(box, observed)

    async def dispatched() -> Any:
        async with Sandbox(
            forwarder(), engine=engine, transport="exit", wasi=WASI, dispatch="asyncio"
        ) as box:
            found = await box.acall("random_get", DATA, 8), box.wasi
            return *found, await box.arun(lambda: in_context(box, observed))

    assert asyncio.run(dispatched()) == expected


def test_a_tenant_of_a_pool_finds_nothing_of_the_one_before(engine):
    with Pool(forwarder(), engine=engine, transport="exit", wasi=WASI, size=1) as pool:
        with pool.lease() as box:
            first = in_context(box, observed)
            in_context(box, disturb)
            assert box.wasi.stdout == b"x"
        with pool.lease() as box:
            assert (box.wasi.stdout, box.wasi.trace) == (b"", ())
            assert in_context(box, observed) == first
