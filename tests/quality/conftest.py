"""The example guests that the planted faults are looked for in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))


@pytest.fixture(scope="session")
def filters() -> dict[str, Path]:
    """The example network filters, compiled."""
    pytest.importorskip("ziglang")
    from build import build

    return build("network-filter")
