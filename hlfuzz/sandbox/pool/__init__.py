"""A pool of warm sandboxes, leased to one tenant at a time."""

from __future__ import annotations

from hlfuzz.sandbox.pool.lease import LeasedSandbox
from hlfuzz.sandbox.pool.metrics import PoolMetrics, Quantiles
from hlfuzz.sandbox.pool.pool import Pool

__all__ = ["LeasedSandbox", "Pool", "PoolMetrics", "Quantiles"]
