"""A pool of sandboxes: never two tenants without a reset, never more than it has, first come first served."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import native
import pytest
from needs import require_kvm

from hlfuzz import (
    Caller,
    CallLimits,
    ContextBusy,
    ForkedProcess,
    GuestLimitExceeded,
    GuestTimeout,
    GuestTrap,
    HlfuzzError,
    HlfuzzWarning,
    HostFunctionError,
    Pool,
    PoolTimeout,
    SandboxClosed,
    UsageError,
    WrongThread,
)

GUEST = """
(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (export "count") (mut i32) (i32.const 0))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "bump") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
  (func (export "ask") (param i32) (result i32) (call $host (local.get 0)))
  (func (export "boom") (unreachable))
  (func (export "spin") (loop (br 0))))
"""
SECRET = b"the first tenant's secret"

OpenPool = Callable[..., Pool]


@pytest.fixture
def open_pool(guest: Any, engine: str) -> Iterator[OpenPool]:
    if engine == "kvm":
        require_kvm()
    made = guest(GUEST, name="pooled")
    pools: list[Pool] = []

    def open_one(host: Callable[..., int] = lambda n: n, **options: Any) -> Pool:
        options = {"size": 1, "deadline": 0.2} | options
        pool = Pool(made, {"env.host": host}, engine=engine, transport="exit", **options)
        pools.append(pool)
        return pool

    yield open_one
    for pool in pools:
        pool.close()


def in_thread(work: Callable[[], object]) -> object:
    """What `work` returns or raises in another thread."""
    result: list[object] = []

    def run() -> None:
        try:
            result.append(work())
        except Exception as e:
            result.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return result[0]


def test_a_leased_sandbox_works_as_any_other_and_goes_back_at_the_end_of_its_block(open_pool: OpenPool):
    pool = open_pool()
    with pool.lease() as box:
        assert box.call("add", 1, 2) == 3
        with box.context() as context:
            assert [context.call("bump") for _ in range(3)] == [1, 2, 3]
            context.finish()
        assert pool.metrics().in_use == 1
    assert (pool.metrics().in_use, pool.metrics().idle) == (0, 1)
    box = pool.acquire()
    assert box.call("bump") == 1
    pool.release(box)
    assert pool.metrics().returned == 2


LEFT: dict[str, Callable[[Any], object]] = {
    "memory": lambda box: box.memory().write(100, SECRET),
    "global": lambda box: box.globals.__setitem__("count", 77),
    "context": lambda box: box.context().write(100, SECRET),
    "call in a context": lambda box: box.context().call("bump"),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_a_tenant_left_behind_is_gone_for_the_next(open_pool: OpenPool, what: str):
    pool = open_pool()
    left_a_context = "context" in what
    with pytest.warns(HlfuzzWarning, match="open call context") if left_a_context else _nothing():  # noqa: SIM117
        with pool.lease() as box:
            LEFT[what](box)
    with pool.lease() as box:
        assert SECRET not in box.memory().read(0, 65536)
        assert box.call("bump") == 1
    assert pool.metrics().resets >= 1


class _nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_a_pool_whose_reset_does_nothing_is_found_out_by_the_secret_canary(guest: Any):
    require_kvm()
    with Pool(guest(GUEST), {"env.host": lambda n: n}, size=1, engine="kvm", transport="exit") as pool:
        with pool.lease() as box:
            native.plant(box, native.NO_RESET)
            box.memory().write(100, SECRET)
        with pool.lease() as box:
            assert SECRET in box.memory().read(0, 65536)  # so the tests above can fail
            native.plant(box, 0)
            box.reset()


def test_a_sandbox_that_is_clean_is_not_reset_again(open_pool: OpenPool):
    pool = open_pool()
    for _ in range(5):
        with pool.lease() as box:
            box.call("bump")
    assert pool.metrics().resets == 0
    with pool.lease() as box:
        box.memory().write(0, b"x")
    assert pool.metrics().resets == 1


def test_nothing_made_of_a_lease_works_after_it(open_pool: OpenPool):
    pool = open_pool()
    with pool.lease() as old:
        memory, globals_ = old.memory(), old.globals
        echo = old.bytes_caller("add", "packed")
        context = old.context()
        context.finish()
    with pool.lease() as new:
        new.memory().write(0, SECRET)
        for use in (
            lambda: old.call("add", 1, 2),
            lambda: old.try_call("add", 1, 2),
            lambda: old.context(),
            lambda: old.memory(),
            lambda: old.globals,
            lambda: old.reset(),
            lambda: memory.read(0, 8),
            lambda: memory.write(0, b"y"),
            lambda: globals_["count"],
            lambda: echo(b""),
            lambda: pool.release(old),
        ):
            with pytest.raises(SandboxClosed, match="went back to its pool"):
                use()
        with pytest.raises(UsageError):
            context.call("add", 1, 2)
        old.close()
        old.__exit__(None, None, None)
        assert new.memory().read(0, len(SECRET)) == SECRET
        assert pool.metrics().in_use == 1


def test_any_thread_may_lease_and_only_that_one_may_use_it(open_pool: OpenPool):
    pool = open_pool()

    def lease() -> object:
        with pool.lease() as box:
            box.memory().write(0, SECRET)
            return box.call("add", 1, 2)

    assert [lease(), in_thread(lease), in_thread(lease), lease()] == [3, 3, 3, 3]
    with pool.lease() as box:
        assert isinstance(in_thread(lambda: box.call("add", 1, 2)), WrongThread)
        assert isinstance(in_thread(lambda: pool.release(box)), WrongThread)
        assert box.call("add", 1, 2) == 3


def test_the_deadline_holds_in_a_thread_that_did_not_open_the_sandbox(open_pool: OpenPool):
    pool = open_pool()

    def endless() -> object:
        with pool.lease() as box:
            box.call("spin")
        return None

    for _ in range(3):
        assert isinstance(in_thread(endless), GuestTimeout)
    with pool.lease() as box:
        assert box.call("bump") == 1


def test_exceptions_of_the_block_pass_through_and_the_sandbox_is_back(open_pool: OpenPool):
    pool = open_pool()

    def fail() -> None:
        with pool.lease() as box:
            box.context().call("bump")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with pool.lease() as box:
        assert box.call("bump") == 1


def test_whatever_went_wrong_the_next_tenant_has_a_sound_sandbox(open_pool: OpenPool):
    def host(caller: Caller, n: int) -> int:
        if n == 1:
            raise ValueError("no")
        return len(caller.read(0, n))

    pool = open_pool(host, call_limits=CallLimits(host_call_bytes=10))
    for function, args, error in (
        ("boom", (), GuestTrap),
        ("spin", (), GuestTimeout),
        ("ask", (1,), HostFunctionError),
        ("ask", (11,), GuestLimitExceeded),
    ):
        with pytest.raises(error), pool.lease() as box:
            box.call(function, *args)
        with pool.lease() as box:
            assert box.call("bump") == 1
    assert pool.metrics().replaced == 0
    assert pool.metrics().resets == 4


def test_a_dead_sandbox_is_replaced(guest: Any):
    require_kvm()
    with Pool(
        guest(GUEST), {"env.host": lambda n: n}, size=2, engine="kvm", transport="exit", verify=1
    ) as pool:

        def die() -> None:
            with pool.lease() as box:
                native.plant(box, native.SKIP_PAGE)
                for _ in range(3):
                    box.memory().write(0, SECRET)
                    box.call("bump")

        with pytest.raises(HlfuzzError, match="state-reset violated"):
            die()
        for _ in range(4):
            with pool.lease() as box:
                assert box.call("bump") == 1
        metrics = pool.metrics()
        assert (metrics.replaced, metrics.size, metrics.created) == (1, 2, 3)


def test_a_sandbox_is_replaced_after_so_many_leases(open_pool: OpenPool):
    pool = open_pool(max_leases=3)
    seen = []
    for _ in range(7):
        with pool.lease() as box:
            seen.append(box.slot)
    assert [len({id(slot) for slot in part}) for part in (seen[:3], seen[3:6], seen[6:])] == [1, 1, 1]
    assert len({id(slot) for slot in seen}) == 3
    assert pool.metrics().replaced == 2


def test_who_waits_too_long_is_told_how_many_are_leased_and_since_when(open_pool: OpenPool):
    pool = open_pool(size=2, lease_timeout=0.05)
    with pool.lease(), pool.lease():
        with pytest.raises(
            PoolTimeout, match=r"after 0.05 s \(pooled\): 2 of 2 are leased, .* by MainThread"
        ):
            pool.lease()
        with pytest.raises(PoolTimeout, match=r"after 0 s"):
            pool.lease(timeout=0)
        assert pool.metrics().waiting == 0
    with pool.lease():
        pass
    assert (pool.metrics().timeouts, pool.metrics().waits) == (2, 2)


def test_who_waited_longest_is_served_first(open_pool: OpenPool):
    pool = open_pool()
    order: list[int] = []
    threads: list[threading.Thread] = []

    def wait(number: int) -> None:
        with pool.lease():
            order.append(number)

    with pool.lease():
        for number in range(6):
            threads.append(threading.Thread(target=wait, args=(number,)))
            threads[-1].start()
            while pool.metrics().waiting <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join(30)
    assert order == list(range(6))


def test_one_that_comes_back_and_leases_again_does_not_pass_those_who_wait(open_pool: OpenPool):
    pool = open_pool()
    served = threading.Event()

    def wait() -> None:
        with pool.lease():
            served.set()

    with pool.lease():
        thread = threading.Thread(target=wait)
        thread.start()
        while pool.metrics().waiting == 0:
            time.sleep(0.001)
    with pool.lease():
        assert served.is_set()
    thread.join(30)


def test_a_newcomer_does_not_pass_those_who_wait_when_one_has_just_come_back(
    open_pool: OpenPool, monkeypatch: pytest.MonkeyPatch
):
    pool = open_pool()
    served, done = threading.Event(), threading.Event()

    def wait() -> None:
        with pool.lease():
            served.set()
            done.wait(30)

    with monkeypatch.context() as patch:
        with pool.lease():
            thread = threading.Thread(target=wait)
            thread.start()
            while pool.metrics().waiting == 0:
                time.sleep(0.001)
            # the moment between putting it back and looking for who waits
            patch.setattr(pool._stock, "look_again", lambda: None)
        with pytest.raises(PoolTimeout):
            pool.lease(timeout=0)
    assert served.wait(30)
    done.set()
    thread.join(30)


def test_many_threads_never_share_a_sandbox(open_pool: OpenPool):
    pool = open_pool(size=2)
    busy: set[int] = set()
    wrong: list[object] = []

    def work(secret: bytes) -> None:
        for _ in range(40):
            with pool.lease() as box:
                slot = id(box.slot)
                if slot in busy:
                    wrong.append("shared")
                busy.add(slot)
                if any(box.memory().read(0, 64)):
                    wrong.append(secret)
                box.memory().write(0, secret)
                if box.call("bump") != 1 or box.slot.gate is None:
                    wrong.append("state")
                busy.discard(slot)

    threads = [threading.Thread(target=work, args=(b"tenant %d" % n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    metrics = pool.metrics()
    assert wrong == []
    assert (metrics.leased, metrics.returned, metrics.size, metrics.idle) == (240, 240, 2, 2)
    assert metrics.lease_time.count == metrics.time_to_lease.count == 240


def test_a_pool_grows_to_its_most_and_shrinks_to_its_least(open_pool: OpenPool):
    pool = open_pool(size=None, min_size=1, max_size=3, idle_seconds=0.05)
    assert pool.metrics().size == 1
    with pool.lease() as one, pool.lease() as two, pool.lease() as three:
        assert [box.call("bump") for box in (one, two, three)] == [1, 1, 1]
        assert pool.metrics().size == 3
        with pytest.raises(PoolTimeout):
            pool.lease(timeout=0)
        time.sleep(0.15)
        assert pool.metrics().size == 3  # what is leased is not evicted
    give_up = time.monotonic() + 30
    while pool.metrics().size > 1 and time.monotonic() < give_up:
        time.sleep(0.01)
    metrics = pool.metrics()
    assert (metrics.size, metrics.evicted, metrics.created) == (1, 2, 3)
    with pool.lease() as box:
        assert box.call("bump") == 1


def test_a_closed_pool_leases_nothing_and_closes_what_comes_back(open_pool: OpenPool):
    pool = open_pool(size=2)
    box = pool.lease()
    with pytest.raises(PoolTimeout, match="1 of 1 are leased"):
        pool.close(timeout=30)  # at once, because this thread has it itself
    with pytest.raises(SandboxClosed, match="pool is closed"):
        pool.lease()
    assert box.call("bump") == 1
    pool.release(box)
    assert pool.metrics().size == 0
    pool.close()


def test_closing_waits_for_what_other_threads_have_and_wakes_those_who_wait(open_pool: OpenPool):
    pool = open_pool()
    leased, back = threading.Event(), threading.Event()

    def hold() -> None:
        with pool.lease():
            leased.set()
            back.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    leased.wait(30)
    refused: list[object] = []
    waiter = threading.Thread(target=lambda: refused.append(_error(pool.lease)))
    waiter.start()
    while pool.metrics().waiting == 0:
        time.sleep(0.001)
    with pytest.raises(PoolTimeout, match="not all came back"):
        pool.close(timeout=0.02)
    waiter.join(30)
    assert isinstance(refused[0], SandboxClosed)
    back.set()
    pool.close(timeout=30)
    holder.join(30)
    assert pool.metrics().size == 0


def _error(work: Callable[[], object]) -> object:
    try:
        return work()
    except Exception as e:
        return e


def test_a_lease_cannot_be_given_back_inside_its_own_call(open_pool: OpenPool):
    errors: list[object] = []

    def host(n: int) -> int:
        errors.append(_error(lambda: pool.release(box)))
        return n

    pool = open_pool(host)
    with pool.lease() as box:
        assert box.call("ask", 5) == 5
        with pytest.raises(UsageError, match="belongs to a pool"):
            box.close()
    assert isinstance(errors[0], ContextBusy)


def test_a_sandbox_of_another_pool_is_refused(open_pool: OpenPool):
    one, two = open_pool(), open_pool()
    with one.lease() as box:
        with pytest.raises(UsageError, match="not of this pool"):
            two.release(box)
        assert box.call("bump") == 1


def test_host_functions_run_in_the_thread_that_leased(open_pool: OpenPool):
    threads: list[int] = []
    pool = open_pool(lambda n: threads.append(threading.get_ident()) or n)

    def ask() -> object:
        with pool.lease() as box:
            box.call("ask", 1)
        return threading.get_ident()

    assert [ask(), in_thread(ask)] == threads


def test_a_trace_that_a_tenant_sets_ends_with_its_lease(open_pool: OpenPool):
    pool, records = open_pool(), []
    with pool.lease() as box:
        box.trace = records.append
        box.call("bump")
    with pool.lease() as box:
        assert box.trace is None
        box.call("bump")
    assert len(records) == 1


def test_a_forked_child_can_use_nothing_of_the_pool(open_pool: OpenPool):
    pool = open_pool()
    with pool.lease() as box:
        pid = os.fork()
        if pid == 0:
            failed = True
            try:
                failed = not all(
                    isinstance(_error(use), ForkedProcess)
                    for use in (pool.lease, lambda: box.call("bump"), lambda: pool.release(box))
                )
                pool.close()
            finally:
                os._exit(failed)
        assert os.waitpid(pid, 0)[1] == 0
        assert box.call("bump") == 1


def test_sizes_and_times_out_of_range_are_refused(guest: Any):
    made = guest(GUEST)
    for options in (
        {"size": 0},
        {"size": 2, "max_size": 3},
        {"min_size": 3, "max_size": 2},
        {"min_size": -1},
        {"lease_timeout": -1},
        {"idle_seconds": float("nan")},
        {"max_leases": 0},
    ):
        with pytest.raises(UsageError, match="Pool"):
            Pool(made, {"env.host": lambda n: n}, engine="inprocess", **options)


def test_a_pool_whose_sandbox_cannot_be_made_leaves_nothing_open(guest: Any):
    require_kvm()
    before = native.open_files()
    for _ in range(3):
        with pytest.raises(UsageError):
            Pool(guest(GUEST), {"env.host": lambda n: n}, size=2, engine="kvm", reset="nonsense")
    gc.collect()
    assert native.open_files() <= before + 4  # the guest's own snapshot


def test_a_closed_pool_leaves_no_file_and_no_thread(guest: Any):
    require_kvm()
    made = guest(GUEST)

    def use() -> None:
        with (
            Pool(
                made, {"env.host": lambda n: n}, min_size=1, max_size=4, engine="kvm", transport="exit"
            ) as pool,
            pool.lease() as one,
            pool.lease() as two,
        ):
            one.call("bump")
            two.call("bump")

    use()
    gc.collect()
    files, threads = native.open_files(), threading.active_count()
    for _ in range(5):
        use()
    gc.collect()
    give_up = time.monotonic() + 30
    while threading.active_count() > threads and time.monotonic() < give_up:
        time.sleep(0.01)
    assert native.open_files() <= files
    assert threading.active_count() <= threads
