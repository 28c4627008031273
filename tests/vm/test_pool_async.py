"""Leasing from tasks of an event loop: other tasks run while one waits, and a dispatched call gives way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from needs import require_kvm

from hlfuzz import ContextBusy, Ok, Pool, PoolTimeout, SandboxClosed, Trap, WrongThread

GUEST = """
(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func (export "bump") (result i32)
    (global.set $count (i32.add (global.get $count) (i32.const 1))) (global.get $count))
  (func (export "ask") (param i32) (result i32) (call $host (local.get 0))))
"""


@pytest.fixture(autouse=True)
def _kvm() -> None:
    require_kvm()


async def slowly(value: int) -> int:
    await asyncio.sleep(0.01)
    return value


@pytest.fixture
def made(guest: Any) -> Any:
    return guest(GUEST)


def dispatched(made: Any, **options: Any) -> Pool:
    return Pool(made, {"env.host": slowly}, engine="kvm", transport="exit", dispatch="asyncio", **options)


def test_tasks_take_turns_and_each_finds_a_clean_sandbox(made: Any):
    async def tenant(pool: Pool, number: int) -> tuple[int, int]:
        async with pool.alease() as box:
            box.memory().write(0, b"tenant %d" % number)
            answer = await box.acall("ask", number)
            return answer, await box.acall("bump")

    async def main() -> None:
        with dispatched(made, size=2) as pool:
            results = await asyncio.gather(*(tenant(pool, n) for n in range(8)))
            assert results == [(n, 1) for n in range(8)]
            metrics = pool.metrics()
            assert (metrics.leased, metrics.returned, metrics.in_use) == (8, 8, 0)
            assert metrics.waits >= 1

    asyncio.run(main())


def test_a_task_that_waits_too_long_is_told_and_one_that_is_cancelled_takes_nothing(made: Any):
    async def main() -> None:
        with dispatched(made, size=1) as pool:
            async with pool.alease() as box:
                with pytest.raises(PoolTimeout, match="1 of 1 are leased"):
                    async with pool.alease(timeout=0.01):
                        pass
                task = asyncio.create_task(pool.alease().__aenter__())
                await asyncio.sleep(0)
                assert pool.metrics().waiting == 1
                task.cancel()
                await asyncio.wait([task])
                assert pool.metrics().waiting == 0
                assert await box.acall("bump") == 1
            async with pool.alease() as box:
                assert await box.acall("bump") == 1

    asyncio.run(main())


def test_a_sandbox_with_a_call_in_progress_does_not_go_back(made: Any):
    async def main() -> None:
        with dispatched(made, size=1) as pool:
            box = pool.acquire()
            task = asyncio.create_task(box.acall("ask", 7))
            await asyncio.sleep(0)
            for use in (lambda: box.call("bump"), lambda: pool.release(box)):
                with pytest.raises(ContextBusy):
                    use()
            assert await task == 7
            pool.release(box)
            with pytest.raises(SandboxClosed):
                await box.acall("ask", 7)

    asyncio.run(main())


def test_dispatched_sandboxes_are_leased_in_the_thread_of_their_loop(made: Any):
    async def main() -> None:
        with dispatched(made, size=1) as pool:
            errors: list[BaseException] = []

            def elsewhere() -> None:
                try:
                    pool.lease()
                except WrongThread as e:
                    errors.append(e)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join(30)
            assert len(errors) == 1

    asyncio.run(main())


def test_a_task_may_wait_for_what_a_thread_has(made: Any):
    async def main() -> None:
        with Pool(made, {"env.host": lambda n: n}, size=1, engine="kvm", transport="exit") as pool:
            leased, back = threading.Event(), threading.Event()

            def hold() -> None:
                with pool.lease() as box:
                    box.memory().write(0, b"x")
                    leased.set()
                    back.wait(30)

            thread = threading.Thread(target=hold)
            thread.start()
            leased.wait(30)
            asyncio.get_running_loop().call_later(0.02, back.set)
            async with pool.alease(timeout=30) as box:
                assert box.memory().read(0, 1) == b"\0"
                assert box.call("bump") == 1
            thread.join(30)

    asyncio.run(main())


def test_dispatched_sandboxes_without_a_micro_vm_come_back_too(guest: Any):
    wat = '(module (func (export "f") (result i32) (i32.const 7)) (func (export "t") unreachable))'
    trapping = guest(wat)

    async def main() -> list[object]:
        found: list[object] = []
        with Pool(trapping, engine="inprocess", dispatch="asyncio", size=1) as pool:
            for function in ("f", "t", "f"):
                async with pool.alease() as box:
                    found.append(await box.atry_call(function))
        return found

    assert asyncio.run(main()) == [Ok((7,)), Trap("unreachable"), Ok((7,))]
