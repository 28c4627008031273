"""One line of the benchmark table, and the statistics behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """A measured figure. `floor` and `peer` are in the row's unit; `ratio` is p50 over the floor, or how many
    times faster than the peer; `ok` is None where nothing was promised."""

    name: str
    unit: str
    p50: float
    p99: float
    samples: int
    floor: float | None = None
    peer: float | None = None
    ratio: float | None = None
    target: str = ""
    ok: bool | None = None

    def document(self) -> dict[str, object]:
        """As JSON, shape "hlfuzz.bench/1"."""
        return asdict(self)


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which `share` of them lie."""
    ordered = sorted(samples)
    return float(ordered[min(len(ordered) - 1, int(len(ordered) * share))])


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples in nanoseconds, in blocks that were taken in turn with blocks of their floor."""

    blocks: tuple[Sequence[int], ...]
    floor_blocks: tuple[Sequence[int], ...] = ()

    @property
    def p50(self) -> float:
        """Median in microseconds."""
        return median(self._all()) / 1e3

    @property
    def p99(self) -> float:
        """99th percentile in microseconds."""
        return percentile(self._all(), 0.99) / 1e3

    @property
    def count(self) -> int:
        """Number of samples."""
        return sum(map(len, self.blocks))

    @property
    def floor(self) -> float:
        """Median of the floor in microseconds."""
        return median([ns for block in self.floor_blocks for ns in block]) / 1e3

    @property
    def ratio(self) -> float:
        """Median over the rounds of p50 over the floor's p50: the same on a machine whose speed drifts."""
        return median(
            median(block) / max(1, median(floor))
            for block, floor in zip(self.blocks, self.floor_blocks, strict=True)
        )

    def row(
        self,
        name: str,
        *,
        floor: float | None = None,
        peer: float | None = None,
        ratio: float | None = None,
        target: str = "",
        ok: bool | None = None,
    ) -> Row:
        """These samples as a row in microseconds."""
        return Row(name, "µs", self.p50, self.p99, self.count, floor, peer, ratio, target, ok)

    def _all(self) -> list[int]:
        return [ns for block in self.blocks for ns in block]


def timed(act: Callable[[], object], count: int) -> list[int]:
    """Nanoseconds of each of `count` calls of `act`."""
    clock = time.perf_counter_ns
    taken: list[int] = []
    for _ in range(count):
        begin = clock()
        act()
        taken.append(clock() - begin)
    return taken
