"""Opens sandboxes that need a CPU of their own, when another program on the machine may have it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from hlfuzz import EnvironmentProblem, Guest, Sandbox
from hlfuzz.sandbox import Provider

CAN_SPIN = len(os.sched_getaffinity(0)) > 1
"""Whether the spin transport is possible here at all."""
PATIENCE_SECONDS = 300.0


def open_sandbox(
    guest: Guest,
    host: Mapping[str, Provider] | None = None,
    *,
    patience: float = PATIENCE_SECONDS,
    **options: Any,
) -> Sandbox:
    """A `Sandbox`; waits up to `patience` seconds while another process's vCPU spins on the CPU."""
    give_up = time.monotonic() + patience
    while True:
        try:
            return Sandbox(guest, host, **options)
        except EnvironmentProblem as e:
            if e.reason != "cpu" or "already spins" not in str(e) or time.monotonic() > give_up:
                raise
            time.sleep(0.05)
