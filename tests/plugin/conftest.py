"""Fixtures of all tests of the plugin: a project in a folder of its own, and a guest with a schema."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import ROOT, Project

from hlfuzz.invariants import INVARIANTS


@pytest.fixture(scope="session")
def typed_filter() -> Path:
    """The example filter with a FlatBuffers schema, compiled."""
    pytest.importorskip("ziglang")
    sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    return build("typed-filter", only={"filter_fbs"})["filter_fbs"]


@pytest.fixture
def project(pytester: pytest.Pytester) -> Iterator[Project]:
    known = dict(INVARIANTS)
    yield Project(pytester)
    INVARIANTS.clear()
    INVARIANTS.update(known)
