"""Our verifier accepts nothing that the C++ verifier rejects, and what it accepts can be read."""

from __future__ import annotations

import pytest
from cpp_comparison import SCHEMAS, compare

pytestmark = pytest.mark.programs("g++")

_MUTANTS = 102_000


@pytest.mark.parametrize("name", SCHEMAS)
def test_nothing_is_accepted_that_cpp_rejects(name):
    seen = compare(name, _MUTANTS // len(SCHEMAS))
    # The comparison says something only if both verdicts are common.
    assert seen["both accept"] > 2_000
    assert seen["both reject"] > 2_000
