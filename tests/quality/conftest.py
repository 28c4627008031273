"""Engines that the planted faults are looked for on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))


@pytest.fixture(params=["kvm", "inprocess"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine; kvm only where it is usable."""
    # Imported late: Wasmtime's signal handler must come after pytest's faulthandler, or a guest's trap looks
    # fatal.
    from hlfuzz.sandbox import why_no_kvm

    if request.param == "kvm" and (reason := why_no_kvm()):
        pytest.skip(reason)
    return str(request.param)


@pytest.fixture(scope="session")
def filters() -> dict[str, Path]:
    """The example network filters, compiled."""
    pytest.importorskip("ziglang")
    from build import build

    return build("network-filter")
