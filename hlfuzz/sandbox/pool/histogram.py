"""A histogram of durations in bounded memory: one counter for each power of two of nanoseconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

BUCKETS: Final = 64
"""Bucket `i` counts durations of `i` bits: 2**(i-1) ns up to 2**i - 1 ns. The last one is 292 years."""


class Histogram:
    """Counts durations. One thread at a time adds; others may read, and see a moment of it."""

    __slots__ = ("counts", "total_ns")

    def __init__(self) -> None:
        self.counts = [0] * BUCKETS
        self.total_ns = 0

    def add(self, ns: int) -> None:
        """Count a duration."""
        self.counts[ns.bit_length()] += 1
        self.total_ns += ns

    def merge(self, other: Histogram) -> None:
        """Count what `other` has counted."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total_ns += other.total_ns

    @property
    def count(self) -> int:
        """Durations counted."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """The duration in seconds below which `share` of them lie, to the bucket and by a straight line
        inside it: within a factor of two. 0 when nothing was counted."""
        wanted = share * self.count
        seen = 0
        for bits, count in enumerate(self.counts):
            if count and seen + count >= wanted:
                low, high = (1 << bits) >> 1, 1 << bits
                return (low + (high - low) * max(0.0, wanted - seen) / count) / 1e9 if bits else 0.0
            seen += count
        return 0.0

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Upper bound in seconds and the count up to there, for the buckets that say something."""
        used = [bits for bits, count in enumerate(self.counts) if count]
        seen = 0
        for bits in range(used[-1] + 1 if used else 0):
            seen += self.counts[bits]
            if bits >= used[0]:
                yield (1 << bits) / 1e9, seen
