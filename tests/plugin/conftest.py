"""The fixture of all tests of the plugin: a project in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from projects import Project

from hlfuzz.invariants import INVARIANTS


@pytest.fixture
def project(pytester: pytest.Pytester) -> Iterator[Project]:
    known = dict(INVARIANTS)
    yield Project(pytester)
    INVARIANTS.clear()
    INVARIANTS.update(known)
