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
"""An awaited call takes so long at most, and so many hops to a thread and back."""
CALLS: Final = 1.75
"""Where a call leaves the VM, it takes at most so many calls that block."""
_HOST: Final = {"env.host": int}


def rows(rounds: int, block: int) -> Iterator[Row]:
    """`rounds` blocks of calls, each beside a block of hops; then the same guest in 100 sandboxes at once."""
    guest = Guest.from_wasm(WASM, name="the benchmark's guest")
    with _all_cpus():
        yield asyncio.run(_against_hop(guest, rounds, block))
        yield asyncio.run(_against_call(guest, rounds, block))
        yield asyncio.run(_many(guest, rounds))


async def _against_hop(guest: Guest, rounds: int, block: int) -> Row:
    async with _sandbox(guest, "spin", "memory") as box, _hop() as hop:
        taken = await _in_turn(hop, lambda: box.acall("add", 1, 2), rounds, block)
    return taken.row(
        "acall add, spin, + reset (floor: a thread hop)",
        floor=taken.floor,
        ratio=taken.ratio,
        target=f"≤ {ACALL_US:g} µs, ≤ {HOPS:g} × floor",
        ok=taken.p50 <= ACALL_US and taken.ratio <= HOPS,
    )


async def _against_call(guest: Guest, rounds: int, block: int) -> Row:
    with Sandbox(guest, _HOST, engine="kvm", transport="exit") as plain:

        async def call() -> object:
            return plain.call("add", 1, 2)

        async with _sandbox(guest, "exit", "strict") as box:
            taken = await _in_turn(call, lambda: box.acall("add", 1, 2), rounds, block)
    return taken.row(
        "acall add, exit, + strict reset (floor: call)",
        floor=taken.floor,
        ratio=taken.ratio,
        target=f"≤ {CALLS:g} × floor",
        ok=taken.ratio <= CALLS,
    )


async def _in_turn(
    floor: Callable[[], Awaitable[object]], act: Callable[[], Awaitable[object]], rounds: int, block: int
) -> Samples:
    await _timed(act, block)
    floors: list[list[int]] = []
    acts: list[list[int]] = []
    for _ in range(rounds):
        floors.append(await _timed(floor, block))
        acts.append(await _timed(act, block))
    return Samples(tuple(acts), tuple(floors))


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
        guest, _HOST, engine="kvm", transport=transport, reset=reset, dispatch="asyncio"
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
