"""Dispatched sandboxes in asyncio: awaited calls, host functions in the loop's thread, cancelling."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from dispatched import GUEST, threads_named

import hlfuzz
from hlfuzz import Caller, Guest, Sandbox

LONG = 60.0


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A test in an event loop; what does not end fails."""
    asyncio.run(asyncio.wait_for(main(), LONG))


@pytest.fixture
def plain(guest: Callable[..., Guest]) -> Guest:
    return guest(GUEST)


@pytest.fixture
def open_box(plain: Guest, engine: str) -> Callable[..., Sandbox]:
    """Opens a dispatched sandbox whose host function is `twice`."""

    def opened(twice: Callable[..., Any] = lambda value: 2 * value, **options: Any) -> Sandbox:
        options = {"engine": engine, "dispatch": "asyncio", "deadline": 20.0} | options
        return Sandbox(plain, {"env.twice": twice}, **options)

    return opened


def test_calls_return_what_they_return_without_a_loop(open_box):
    async def main() -> None:
        async with open_box() as box:
            assert await box.acall("add", 40, 2) == 42
            assert await box.acall("ask", 20) == 41
            assert await box.acall_bytes("echo", b"bytes", result="packed") == b"bytes"
            assert await box.atry_call("boom") == hlfuzz.Trap("unreachable", "")
            with pytest.raises(hlfuzz.GuestTrap):
                await box.acall("boom")
            with pytest.raises(hlfuzz.UsageError):
                await box.acall("no_such_function")

    run(main)


def test_the_loop_goes_on_while_a_guest_is_at_work(open_box):
    async def main() -> None:
        async with open_box() as box:
            call = asyncio.ensure_future(box.acall("spin"))
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert not call.done()
            call.cancel()

    run(main)


def test_a_task_with_nothing_but_quick_calls_lets_others_run(open_box):
    async def main() -> None:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with open_box() as box:
            worker = box._lane.worker
            worker.wait_briefly = worker.wait_end  # whatever the machine is busy with: every call is quick
            task = asyncio.ensure_future(other())
            for _ in range(1000):
                await box.acall("add", 1, 2)
            assert turns > 5
            task.cancel()

    run(main)


def test_host_functions_and_host_coroutines_run_in_the_owners_thread_and_in_order(open_box):
    owner, seen = threading.get_ident(), []

    def plain_twice(value: int) -> int:
        seen.append((value, threading.get_ident()))
        return 2 * value

    async def twice(value: int) -> int:
        await asyncio.sleep(0)
        return plain_twice(value)

    async def main() -> None:
        for function in (plain_twice, twice):
            seen.clear()
            async with open_box(function) as box:
                await box.acall("ask_each", 5)
            assert seen == [(value, owner) for value in (5, 4, 3, 2, 1)]

    run(main)


def test_the_loop_goes_on_while_a_host_coroutine_waits(open_box):
    async def main() -> None:
        go = asyncio.Event()

        async def twice(value: int) -> int:
            await go.wait()
            return 2 * value

        async with open_box(twice) as box:
            call = asyncio.ensure_future(box.acall("ask", 4))
            await asyncio.sleep(0.01)
            assert not call.done()
            go.set()
            assert await call == 9

    run(main)


def test_calls_made_at_once_run_in_the_order_in_which_they_were_made(open_box):
    order: list[int] = []

    async def twice(value: int) -> int:
        await asyncio.sleep(0.001 * (5 - value))  # the first would be the last, if they ran side by side
        order.append(value)
        return 2 * value

    async def main() -> None:
        async with open_box(twice) as box:
            answers = await asyncio.gather(*(box.acall("ask", value) for value in range(5)))
            assert answers == [1, 3, 5, 7, 9]
            assert order == [0, 1, 2, 3, 4]

    run(main)


def test_state_is_wiped_after_each_call_and_lives_in_a_context(open_box):
    async def main() -> None:
        async with open_box() as box:
            assert [await box.acall("count") for _ in range(2)] == [1, 1]
            async with box.acontext() as context:
                assert [await context.acall("count") for _ in range(3)] == [1, 2, 3]
                assert context.memory().size == 65536
                with pytest.raises(hlfuzz.ContextBusy):
                    await box.acall("count")
                with pytest.raises(hlfuzz.ContextBusy):
                    async with box.acontext():
                        pass
            assert await box.acall("count") == 1
            with pytest.raises(hlfuzz.ContextFinished):
                await context.acall("count")

    run(main)


def test_a_call_that_fails_poisons_its_context_and_not_the_sandbox(open_box):
    async def main() -> None:
        async with open_box() as box:
            async with box.acontext() as context:
                assert await context.atry_call("boom") == hlfuzz.Trap("unreachable", "")
                with pytest.raises(hlfuzz.ContextFinished):
                    await context.acall("count")
            assert await box.acall("count") == 1

    run(main)


def test_cancelling_ends_the_guests_call_and_the_sandbox_goes_on_at_its_snapshot(open_box):
    async def main() -> None:
        async with open_box(verify=1) as box:
            for _ in range(3):
                call = asyncio.ensure_future(box.acall("spin"))
                await asyncio.sleep(0.01)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                assert await box.acall("count") == 1

    run(main)


def test_after_a_cancelled_call_none_of_its_host_functions_runs(open_box):
    async def main() -> None:
        seen: list[int] = []
        async with open_box(seen.append) as box:
            calls = [asyncio.ensure_future(box.acall("ask_late")) for _ in range(4)]
            await asyncio.sleep(0)  # they begin; the first is at work
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
            assert await box.acall("add", 1, 1) == 2
            assert seen == []

    run(main)


def test_cancelling_a_call_cancels_the_host_coroutine_that_it_waits_for(open_box):
    async def main() -> None:
        entered, cleaned_up = asyncio.Event(), []

        async def twice(_: int) -> int:
            entered.set()
            try:
                await asyncio.sleep(LONG)
            finally:
                cleaned_up.append(True)
            return 0

        async with open_box(twice) as box:
            call = asyncio.ensure_future(box.acall("ask", 1))
            await entered.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await box.acall("count") == 1
            assert cleaned_up == [True]

    run(main)


def test_a_timeout_of_asyncio_ends_the_call(open_box):
    async def main() -> None:
        async with open_box() as box:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await box.acall("spin")
            assert await box.acall("count") == 1

    run(main)


def test_deadlines_hold_and_host_coroutines_do_not_count(open_box):
    async def twice(value: int) -> int:
        await asyncio.sleep(0.3)
        return 2 * value

    async def main() -> None:
        async with open_box(twice, deadline=0.1, wall_deadline=0.25) as box:
            assert await box.acall("ask", 1) == 3
            assert isinstance(await box.atry_call("ask_then_spin"), hlfuzz.Timeout)
            assert isinstance(await box.atry_call("spin"), hlfuzz.Timeout)
            assert await box.acall("count") == 1

    run(main)


def test_what_a_host_coroutine_raises_reaches_the_caller(open_box):
    error = ValueError("no such key")

    async def twice(_: int) -> int:
        await asyncio.sleep(0)
        raise error

    async def main() -> None:
        async with open_box(twice) as box:
            with pytest.raises(hlfuzz.HostFunctionError, match="no such key") as caught:
                await box.acall("ask", 1)
            assert caught.value.__cause__ is error
            assert await box.acall("count") == 1

    run(main)


def test_a_host_coroutine_calls_the_guest_back_by_its_caller(open_box):
    async def twice(caller: Caller, value: int) -> int:
        caller.write(16, b"seen")
        assert await caller.acall("add", value, value) == 2 * value
        assert caller.call("add", 1, 2) == 3
        assert await caller.aplace(b"x") == [1024]
        return int.from_bytes(caller.read(16, 4), "little")

    async def main() -> None:
        async with open_box(twice) as box:
            assert await box.acall("ask", 5) == int.from_bytes(b"seen", "little") + 1

    run(main)


def test_cancelling_ends_also_the_call_back_of_a_host_coroutine(open_box):
    async def main() -> None:
        entered = asyncio.Event()

        async def twice(caller: Caller, _: int) -> int:
            entered.set()
            await caller.acall("spin")
            return 0

        async with open_box(twice) as box:
            call = asyncio.ensure_future(box.acall("ask", 1))
            await entered.wait()
            await asyncio.sleep(0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert await box.acall("count") == 1

    run(main)


def test_a_coroutine_that_would_wait_for_its_own_sandbox_is_refused(open_box):
    async def main() -> None:
        async def twice(value: int) -> int:
            with pytest.raises(hlfuzz.ContextBusy, match="acall"):
                await box.acall("count")
            with pytest.raises(hlfuzz.ContextBusy):
                box.close()
            return 2 * value

        async with open_box(twice) as box:
            assert await box.acall("ask", 1) == 3

    run(main)


def test_while_a_call_runs_the_sandbox_is_not_used_from_outside(open_box):
    async def main() -> None:
        async with open_box() as box:
            memory = box.memory()
            call = asyncio.ensure_future(box.acall("spin"))
            await asyncio.sleep(0)
            for use in (
                lambda: box.call("count"),
                box.memory,
                box.reset,
                box.stats,
                lambda: memory.read(0, 1),
                box.context,
            ):
                with pytest.raises(hlfuzz.ContextBusy):
                    use()
            call.cancel()
            assert await box.acall("count") == 1
            assert memory.read(0, 1) == b"\0"

    run(main)


def test_a_blocking_call_works_between_awaited_ones_and_awaits_no_coroutine(open_box):
    async def twice(value: int) -> int:
        return 2 * value

    async def main() -> None:
        async with open_box() as box:
            assert box.call("ask", 4) == 9
            assert await box.acall("ask", 4) == 9
        async with open_box(twice) as box:
            with pytest.raises(hlfuzz.HostFunctionError, match="acall"):
                box.call("ask", 4)

    run(main)


def test_closing_ends_a_call_in_progress_and_those_behind_it(open_box):
    before = threads_named("hlfuzz-dispatch")

    async def main() -> None:
        entered, ended = asyncio.Event(), []

        async def twice(_: int) -> int:
            entered.set()
            try:
                await asyncio.sleep(LONG)
            finally:
                ended.append(True)
            return 0

        for function in ("spin", "ask"):
            box = open_box(twice)
            arguments = (1,) if function == "ask" else ()
            calls = [asyncio.ensure_future(box.acall(function, *arguments)) for _ in range(3)]
            await (entered.wait() if function == "ask" else asyncio.sleep(0.01))
            await box.aclose()
            for call in calls:
                with pytest.raises(hlfuzz.SandboxClosed):
                    await call
            with pytest.raises(hlfuzz.SandboxClosed):
                await box.acall("count")
        assert ended == [True]

    run(main)
    assert threads_named("hlfuzz-dispatch") == before


def test_a_closed_sandbox_leaves_no_descriptor_no_thread_and_no_object_behind(open_box):
    async def twice(value: int) -> int:
        await asyncio.sleep(0)
        return 2 * value

    async def main() -> None:
        async def used() -> weakref.ref[Sandbox]:
            async with open_box(twice) as box:
                await asyncio.gather(*(box.acall("ask", n) for n in range(3)))
                call = asyncio.ensure_future(box.acall("spin"))
                await asyncio.sleep(0)
            await asyncio.gather(call, return_exceptions=True)
            return weakref.ref(box)

        async def left() -> tuple[int, int]:
            await asyncio.sleep(0.01)  # what asyncio still has to do for calls that have ended
            gc.collect()
            descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
            return descriptors, threads_named("hlfuzz-dispatch")

        await used()
        before = await left()
        boxes = [await used() for _ in range(3)]
        assert await left() == before
        assert [box() for box in boxes] == [None, None, None]

    run(main)


def test_another_thread_may_not_call_a_dispatched_sandbox(open_box):
    async def main() -> None:
        async with open_box() as box:
            with pytest.raises(hlfuzz.WrongThread):
                await asyncio.to_thread(lambda: asyncio.run(box.acall("count")))
            with pytest.raises(hlfuzz.WrongThread):
                await asyncio.to_thread(box.close)

    run(main)


def test_a_sandbox_of_a_loop_that_has_ended_says_so_and_closes(open_box):
    async def main() -> Sandbox:
        box = open_box()
        asyncio.ensure_future(box.acall("spin"))  # noqa: RUF006
        await asyncio.sleep(0)
        return box

    box = asyncio.run(main())
    with pytest.raises(hlfuzz.UsageError, match="another event loop"):
        asyncio.run(box.acall("count"))
    box.close()


def test_dispatch_outside_of_a_loop_and_calls_of_one_that_is_not_dispatched_are_refused(open_box):
    with pytest.raises(hlfuzz.UsageError, match="asyncio loop"):
        open_box()
    with pytest.raises(hlfuzz.UsageError, match="choose"):
        open_box(dispatch="trio")
    with open_box(dispatch=None) as box, pytest.raises(hlfuzz.UsageError, match="dispatch"):
        asyncio.run(box.acall("count"))


def test_context_variables_of_the_caller_are_seen_by_host_functions(open_box):
    from contextvars import ContextVar

    request: ContextVar[str] = ContextVar("request")
    seen: list[str] = []

    async def twice(value: int) -> int:
        seen.append(request.get())
        return value

    async def main() -> None:
        async def serve(name: str) -> None:
            request.set(name)
            await box.acall("ask", 1)

        async with open_box(twice) as box:
            await asyncio.gather(*(asyncio.create_task(serve(name)) for name in ("a", "b")))
        assert seen == ["a", "b"]

    run(main)


def test_traces_record_awaited_calls_with_their_host_calls(open_box):
    async def twice(value: int) -> int:
        await asyncio.sleep(0)
        return 2 * value

    records: list[hlfuzz.CallRecord] = []

    async def main() -> None:
        async with open_box(twice, trace=records.append) as box:
            await asyncio.gather(box.acall("ask", 1), box.acall("ask", 2))

    run(main)
    assert [(r.call.args, [h.result for h in r.host_calls]) for r in records] == [
        ((1,), [(2,)]),
        ((2,), [(4,)]),
    ]
