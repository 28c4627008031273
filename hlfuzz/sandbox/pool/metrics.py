"""`PoolMetrics`: what a pool has done and how it stands, as data and as OpenMetrics text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hlfuzz.sandbox.pool.histogram import Histogram


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Durations in seconds; `p50` and `p99` are right within a factor of two."""

    count: int
    total: float
    p50: float
    p99: float

    @classmethod
    def of(cls, histogram: Histogram) -> Quantiles:
        """Those of a histogram."""
        return cls(
            histogram.count, histogram.total_ns / 1e9, histogram.quantile(0.5), histogram.quantile(0.99)
        )


@dataclass(frozen=True, slots=True)
class PoolMetrics:
    """Counters since a pool was opened, and how it stands now. Read while others lease, the figures may be a
    few leases apart from each other."""

    size: int
    """Sandboxes that exist, idle and leased."""
    idle: int
    in_use: int
    waiting: int
    """Threads and tasks that wait for a sandbox."""
    created: int
    leased: int
    returned: int
    evicted: int
    """Closed because they were idle too long."""
    replaced: int
    """Closed because they did not answer any more, or had served `max_leases`."""
    timeouts: int
    """Leases that ended as `PoolTimeout`."""
    waits: int
    """Leases that found no idle sandbox."""
    resets: int
    """Resets made at a return; a call outside a context has made its own."""
    time_to_lease: Quantiles
    """How long leases took. One that finds an idle sandbox counts as 0: it takes a microsecond."""
    lease_time: Quantiles
    """How long sandboxes were leased; of those that were returned."""


_COUNTERS = {
    "created": "Sandboxes made.",
    "leased": "Leases begun.",
    "returned": "Leases ended.",
    "evicted": "Sandboxes closed because they were idle too long.",
    "replaced": "Sandboxes closed because they were dead or worn out.",
    "timeouts": "Leases that found no sandbox in time.",
    "waits": "Leases that found no idle sandbox.",
    "resets": "Resets made at a return.",
}
_GAUGES = {
    "size": "Sandboxes that exist.",
    "idle": "Sandboxes that are free.",
    "in_use": "Sandboxes that are leased.",
    "waiting": "Threads and tasks that wait.",
}


def openmetrics(name: str, metrics: PoolMetrics, waits: Histogram, held: Histogram) -> str:
    """The metrics as text of OpenMetrics 1.0, with `name` as the label "pool"."""
    label = f'pool="{_escaped(name)}"'
    lines: list[str] = []
    for field, about in _GAUGES.items():
        lines += _head(f"hlfuzz_pool_{field}", "gauge", about)
        lines.append(f"hlfuzz_pool_{field}{{{label}}} {getattr(metrics, field)}")
    for field, about in _COUNTERS.items():
        lines += _head(f"hlfuzz_pool_{field}", "counter", about)
        lines.append(f"hlfuzz_pool_{field}_total{{{label}}} {getattr(metrics, field)}")
    lines += _histogram("hlfuzz_pool_time_to_lease_seconds", "Time that leases took to begin.", label, waits)
    lines += _histogram("hlfuzz_pool_lease_seconds", "Time that sandboxes were leased.", label, held)
    return "\n".join([*lines, "# EOF", ""])


def _head(name: str, kind: str, about: str) -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    if name.endswith("_seconds"):
        yield f"# UNIT {name} seconds"
    yield f"# HELP {name} {about}"


def _histogram(name: str, about: str, label: str, histogram: Histogram) -> Iterator[str]:
    yield from _head(name, "histogram", about)
    count = 0
    for bound, count in histogram.cumulative():
        yield f'{name}_bucket{{{label},le="{bound!r}"}} {count}'
    yield f'{name}_bucket{{{label},le="+Inf"}} {count}'
    yield f"{name}_count{{{label}}} {count}"
    yield f"{name}_sum{{{label}}} {histogram.total_ns / 1e9!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
