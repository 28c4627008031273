"""The long run of everything at once: memory, descriptors, threads and mappings must stay flat.

    python bench/soak.py --seconds 600 --seed 1

Leases from a pool in several threads, traps, endless loops, failing host functions, contexts, snapshots that
are taken, saved, loaded and cloned, sandboxes opened and closed: in rounds of random work, sampled after
each. The first third of the time is warm-up. Exit code 1 when something has grown after that.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import wasmtime

import hlfuzz

GUEST = """(module
  (import "env" "price" (func $price (param i32) (result i32)))
  (memory (export "memory") 1 64)
  (global $n (mut i32) (i32.const 0))
  (func (export "count") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.store (i32.mul (global.get $n) (i32.const 4096)) (global.get $n))
    (global.get $n))
  (func (export "total") (param i32) (result i32) (i32.add (call $price (local.get 0)) (i32.const 1)))
  (func (export "grow") (result i32) (memory.grow (i32.const 8)))
  (func (export "crash") (unreachable))
  (func (export "spin") (loop (br 0))))"""
DEADLINE = 0.05
STEPS = 12
"""Pieces of work in a round, beside those of the pool's threads."""
LEASES = 30
"""Leases of each thread in a round."""
GROWTH_BYTES = 2 << 20
"""What the heap may fluctuate by; the work of a few rounds that leaks a page a call is more."""


@dataclass(frozen=True)
class Sample:
    """What the process holds at a quiet point."""

    resident: int
    """Bytes of memory of its own."""
    descriptors: int
    threads: int
    mappings: int

    @classmethod
    def take(cls) -> Sample:
        """As /proc shows it."""
        gc.collect()
        me = Path("/proc/self")
        status = dict(line.split(":", 1) for line in (me / "status").read_text().splitlines())
        # Mappings of hlfuzz: those of the heap come and go with the allocator.
        ours = ("/dev/zero", "memfd:hlfuzz", "anon_inode:kvm")
        lines = (me / "maps").read_text().splitlines()
        return cls(
            int(status["RssAnon"].split()[0]) << 10,
            len(list((me / "fd").iterdir())),
            len(list((me / "task").iterdir())),
            sum(any(name in line for name in ours) for line in lines),
        )


def price(item: int) -> int:
    """The host function."""
    if item < 0:
        raise ValueError("not for sale")
    return 2 * item


class Soak:
    """The objects that live as long as the run, and the pieces of work."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.file = folder / "state"
        self.guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm(GUEST)), name="soak")
        self.host = {"env.price": price}
        self.pool = hlfuzz.Pool(self.guest, self.host, size=3, transport="exit", deadline=DEADLINE)
        self.box = self.open()

    def open(self, snapshot: hlfuzz.Snapshot | None = None) -> hlfuzz.Sandbox:
        """A sandbox of its own."""
        return hlfuzz.Sandbox(
            self.guest, self.host, transport="exit", deadline=DEADLINE, snapshot=snapshot, verify=50
        )

    def close(self) -> None:
        """Close what lives as long as the run."""
        self.box.close()
        self.pool.close()

    def ends(self, box: hlfuzz.Sandbox, function: str, error: type[Exception], *args: int) -> None:
        """A call that must end badly, and leaves the sandbox as it was."""
        try:
            box.call(function, *args)
        except error:
            assert box.call("count") == 1, f"state after {function}"
        else:
            raise AssertionError(f"{function} has not ended with {error.__name__}")

    def trap(self) -> None:
        self.ends(self.box, "crash", hlfuzz.GuestTrap)

    def timeout(self) -> None:
        self.ends(self.box, "spin", hlfuzz.GuestTimeout)

    def host_error(self) -> None:
        self.ends(self.box, "total", hlfuzz.HostFunctionError, -1)

    def grow(self) -> None:
        assert self.box.call("grow") == 1, "memory that was grown is back"

    def context(self) -> None:
        with self.box.context() as ctx:
            for number in range(1, 8):
                assert ctx.call("count") == number
            ctx.finish()

    def clone(self) -> None:
        with self.open() as box:
            assert box.call("total", 20) == 41

    def snapshot(self) -> None:
        with self.open() as box, box.context() as ctx:
            assert ctx.call("count") == 1
            taken = ctx.snapshot()
            ctx.finish()
        taken.save(self.file)
        for state in (taken, hlfuzz.Snapshot.load(self.file, self.guest)):
            with self.open(state) as box:
                assert box.call("count") == 2
                assert box.call("count") == 2

    def lease(self, seed: int) -> None:
        """What one thread does with the pool."""
        chosen = random.Random(seed)
        for _ in range(LEASES):
            with self.pool.lease() as box:
                assert box.call("count") == 1, "the state of another tenant"
                if chosen.random() < 0.1:
                    self.ends(box, "crash", hlfuzz.GuestTrap)

    def round(self) -> None:
        """Random work, and two threads with the pool beside it. Raises what any of them raises."""
        failures: list[BaseException] = []

        def run(seed: int) -> None:
            try:
                self.lease(seed)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=run, args=(self.random.random(),)) for _ in range(2)]
        for thread in threads:
            thread.start()
        work: list[Callable[[], None]] = [self.trap, self.timeout, self.host_error, self.grow]
        work += [self.context, self.clone, self.snapshot]
        for step in self.random.choices(work, k=STEPS):
            step()
            self.done[step.__name__] += 1
        for thread in threads:
            thread.join()
        self.done["lease"] += 2 * LEASES
        if failures:
            raise failures[0]


def run(seconds: float, seed: int, report: Callable[[str], None] = print) -> list[str]:
    """Work for so long. Returns what has grown, in words; raises when a promise is broken on the way."""
    samples: list[tuple[float, Sample]] = []
    with tempfile.TemporaryDirectory(prefix="hlfuzz-soak-") as folder:
        soak = Soak(seed, Path(folder))
        try:
            start = shown = time.monotonic()
            while (now := time.monotonic()) < start + seconds or len(samples) < 12:
                soak.round()
                samples.append((now - start, Sample.take()))
                if now >= shown + 10:
                    shown = now
                    report(f"{now - start:5.0f} s  {len(samples)} rounds  {samples[-1][1]}")
        finally:
            soak.close()
    report(f"{len(samples)} rounds: " + ", ".join(f"{n} {what}" for what, n in sorted(soak.done.items())))
    return grown([sample for _, sample in samples])


def grown(samples: list[Sample]) -> list[str]:
    """What is larger at the end than after the warm-up."""
    steady = samples[len(samples) // 3 :]
    early, late = steady[: len(steady) // 3], steady[-(len(steady) // 3) :]
    found: list[str] = []
    for what in ("descriptors", "threads", "mappings"):
        before, after = (max(getattr(sample, what) for sample in some) for some in (early, late))
        if after > before:
            found.append(f"{what}: from {before} to {after}")
    before, after = (median(sample.resident for sample in some) for some in (early, late))
    if after > before + GROWTH_BYTES:
        found.append(f"resident memory: from {before / 2**20:.1f} to {after / 2**20:.1f} MiB")
    return found


def main() -> int:
    """Run, and say what has grown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600, help="how long")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of work")
    arguments = parser.parse_args()
    found = run(arguments.seconds, arguments.seed)
    for what in found:
        print(f"grown: {what}")
    print("not flat" if found else "flat")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
