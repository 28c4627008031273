"""What a pool tells of itself: figures that add up, in bounded memory, as text that OpenMetrics readers
take."""

from __future__ import annotations

import random
from typing import Any

import pytest
from needs import require_kvm
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from hlfuzz import Pool, PoolTimeout
from hlfuzz.sandbox.pool.histogram import BUCKETS, Histogram

GUEST = (
    '(module (memory (export "memory") 1) (func (export "add") (param i32 i32) (result i32) (local.get 0)))'
)


def test_the_text_is_openmetrics_and_says_what_the_figures_say(guest: Any):
    require_kvm()
    with Pool(guest(GUEST), size=1, engine="kvm", transport="exit", name='a "pool"\\ of\nmine') as pool:
        for _ in range(5):
            with pool.lease() as box:
                box.memory().write(0, b"x")
        with pool.lease(), pytest.raises(PoolTimeout):
            pool.lease(timeout=0.01)
        held = pool.acquire()
        text, metrics = pool.openmetrics(), pool.metrics()
        pool.release(held)
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {
        (sample.name, sample.labels.get("le")): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert {s.labels["pool"] for f in families.values() for s in f.samples} == {'a "pool"\\ of\nmine'}
    for gauge in ("size", "idle", "in_use", "waiting"):
        assert samples[f"hlfuzz_pool_{gauge}", None] == getattr(metrics, gauge)
    for counter in ("created", "leased", "returned", "evicted", "replaced", "timeouts", "waits", "resets"):
        assert samples[f"hlfuzz_pool_{counter}_total", None] == getattr(metrics, counter)
    assert samples["hlfuzz_pool_lease_seconds_count", None] == metrics.lease_time.count == 6
    assert samples["hlfuzz_pool_lease_seconds_bucket", "+Inf"] == 6
    assert samples["hlfuzz_pool_lease_seconds_sum", None] == pytest.approx(metrics.lease_time.total)
    assert samples["hlfuzz_pool_time_to_lease_seconds_count", None] == metrics.time_to_lease.count == 7
    assert (metrics.in_use, metrics.leased, metrics.returned) == (1, 7, 6)
    assert (metrics.timeouts, metrics.resets) == (1, 5)


def test_a_new_pool_has_text_too(guest: Any):
    with Pool(guest(GUEST), size=1, engine="inprocess") as pool:
        assert list(text_string_to_metric_families(pool.openmetrics()))


def test_quantiles_are_right_within_a_factor_of_two():
    rng = random.Random(5)
    for low, high in ((1, 10), (100, 1_000_000), (10**6, 10**10)):
        durations = sorted(rng.randint(low, high) for _ in range(1000))
        histogram = Histogram()
        for ns in durations:
            histogram.add(ns)
        for share in (0.5, 0.99):
            true = durations[int(1000 * share)] / 1e9
            assert true / 2 <= histogram.quantile(share) <= true * 2


def test_a_histogram_takes_any_duration_and_stays_small():
    histogram = Histogram()
    for ns in (0, 1, (1 << 63) - 1):
        histogram.add(ns)
    assert (histogram.count, len(histogram.counts)) == (3, BUCKETS)
    assert [count for _, count in histogram.cumulative()][-1] == 3
    assert Histogram().quantile(0.5) == 0.0
