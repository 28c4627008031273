"""Rows of event loops: an awaited call beside a bare hop to a thread, and 100 sandboxes in one loop."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from queue import SimpleQueue
from statistics import median
from typing import Final, Literal

from hlfuzz.bench.machines import WASM
from hlfuzz.bench.row import Row, Samples, percentile
from hlfuzz.guest import Guest
from hlfuzz.sandbox import Sandbox

SANDBOXES: Final = 100
ACALL_US: Final = 40.0
HOPS: Final = 2.0
"""The promise: an awaited call takes so long at most, and so many hops to a thread and back."""


def rows(rounds: int, block: int) -> Iterator[Row]:
    """`rounds` blocks of calls, each beside a block of hops; then the same guest in 100 sandboxes at once."""
    guest = Guest.from_wasm(WASM, name="the benchmark's guest")
    with _all_cpus():
        yield asyncio.run(_one(guest, "exit", "strict", rounds, block))
        yield asyncio.run(_one(guest, "spin", "memory", rounds, block))
        yield asyncio.run(_many(guest, rounds))


async def _one(
    guest: Guest,
    transport: Literal["spin", "exit"],
    reset: Literal["strict", "memory"],
    rounds: int,
    block: int,
) -> Row:
    calls: list[list[int]] = []
    hops: list[list[int]] = []
    async with _sandbox(guest, transport, reset) as box, _hop() as hop:
        await _timed(lambda: box.acall("add", 1, 2), block)
        for _ in range(rounds):
            hops.append(await _timed(hop, block))
            calls.append(await _timed(lambda: box.acall("add", 1, 2), block))
    samples = Samples(tuple(calls), tuple(hops))
    return samples.row(
        f"acall add, {transport}, {reset} reset",
        floor=samples.floor,
        ratio=samples.ratio,
        target=f"≤ {ACALL_US:g} µs, ≤ {HOPS:g} × thread hop",
        ok=samples.p50 <= ACALL_US and samples.ratio <= HOPS,
    )


async def _many(guest: Guest, calls: int) -> Row:
    """All sandboxes have a call in progress all the time; `ratio` is the slowest one's median over the
    fastest one's."""
    async with AsyncExitStack() as stack:
        boxes = [await stack.enter_async_context(_sandbox(guest, "exit", "strict")) for _ in range(SANDBOXES)]

        async def client(box: Sandbox) -> list[int]:
            return await _timed(lambda: box.acall("add", 1, 2), calls)

        await asyncio.gather(*(box.acall("add", 1, 2) for box in boxes))
        taken = await asyncio.gather(*map(client, boxes))
    every = [ns for box in taken for ns in box]
    medians = [median(box) for box in taken]
    return Row(
        f"acall add, {SANDBOXES} sandboxes at once in one loop",
        "µs",
        median(every) / 1e3,
        percentile(every, 0.99) / 1e3,
        len(every),
        ratio=max(medians) / min(medians),
    )


@asynccontextmanager
async def _sandbox(
    guest: Guest, transport: Literal["spin", "exit"], reset: Literal["strict", "memory"]
) -> AsyncGenerator[Sandbox]:
    async with Sandbox(
        guest, {"env.host": int}, engine="kvm", transport=transport, reset=reset, dispatch="asyncio"
    ) as box:
        yield box


@asynccontextmanager
async def _hop() -> AsyncGenerator[Callable[[], Awaitable[None]]]:
    """The least that a call in another thread can cost: a queue there, the loop's own wake-up back."""
    loop = asyncio.get_running_loop()
    queue: SimpleQueue[asyncio.Future[None] | None] = SimpleQueue()

    def answer() -> None:
        while (future := queue.get()) is not None:
            loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=answer)
    thread.start()

    async def hop() -> None:
        future: asyncio.Future[None] = loop.create_future()
        queue.put(future)
        await future

    try:
        yield hop
    finally:
        queue.put(None)
        thread.join()


async def _timed(act: Callable[[], Awaitable[object]], count: int) -> list[int]:
    clock = time.perf_counter_ns
    taken: list[int] = []
    for _ in range(count):
        begin = clock()
        await act()
        taken.append(clock() - begin)
    return taken


@contextmanager
def _all_cpus() -> Generator[None]:
    """The benchmark pins its thread, and threads that it starts would inherit that."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
