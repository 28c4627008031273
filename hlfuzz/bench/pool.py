"""Row of the pool: lease, call and return beside the same call in a sandbox of its own."""

from __future__ import annotations

from statistics import median

from hlfuzz.bench.machines import WASM
from hlfuzz.bench.row import Row, Samples, timed
from hlfuzz.guest import Guest
from hlfuzz.sandbox import Pool

SHARE, EXTRA_US = 1.2, 1.0
"""What a lease may cost: so many times the call with its reset, and so much more."""


def row(vcpu: int, rounds: int, block: int) -> Row:
    """`with pool.lease() as box: box.call(...)`, against `box.call(...)` in the same sandbox."""
    guest = Guest.from_wasm(WASM, name="the benchmark's guest")
    with Pool(
        guest, {"env.host": _host}, size=1, engine="kvm", reset="memory", transport="spin", cpu=vcpu
    ) as pool:

        def leased() -> None:
            with pool.lease() as box:
                box.call("add", 1, 2)

        taken: list[list[int]] = []
        plain: list[list[int]] = []
        timed(leased, block)
        for _ in range(rounds):
            with pool.lease() as box:
                plain.append(timed(lambda box=box: box.call("add", 1, 2), block))
            taken.append(timed(leased, block))
        samples = Samples(tuple(taken), tuple(plain))
    over = median(median(a) / 1e3 - SHARE * median(b) / 1e3 for a, b in zip(taken, plain, strict=True))
    return samples.row(
        "Pool: lease + call + return",
        floor=samples.floor,
        ratio=samples.ratio,
        target="≤ 1.2 × call + reset, + 1 µs",
        ok=over <= EXTRA_US,
    )


def _host(value: int) -> int:
    return value
