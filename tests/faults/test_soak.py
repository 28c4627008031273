"""A short soak: mixed work leaves memory, descriptors, threads and mappings as they were."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import require_kvm

SOAK = Path(__file__).resolve().parents[2] / "bench/soak.py"


@pytest.fixture(scope="module")
def soak() -> Any:
    spec = importlib.util.spec_from_file_location("soak", SOAK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module
    spec.loader.exec_module(module)
    return module


def test_five_seconds_of_mixed_work_leave_nothing_behind() -> None:
    require_kvm()
    # in a process of its own: the tests before this one have threads and descriptors too
    done = subprocess.run(
        [sys.executable, SOAK, "--seconds", "5"],
        env=os.environ | {"PYTHONPATH": str(SOAK.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "flat"
    assert all(f" {work}" in done.stdout for work in ("lease", "snapshot", "timeout", "trap"))


@pytest.mark.parametrize("what", ["resident", "descriptors", "threads", "mappings"])
def test_what_grows_slowly_is_seen(soak: Any, what: str) -> None:
    flat = soak.Sample(resident=100 << 20, descriptors=20, threads=3, mappings=9)
    assert soak.grown([flat] * 60) == []
    step = 1 << 20 if what == "resident" else 1
    growing = [dataclasses.replace(flat, **{what: getattr(flat, what) + i // 5 * step}) for i in range(60)]
    (found,) = soak.grown(growing)
    assert what in found
