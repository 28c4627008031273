"""FlatBuffers with a generated client: whatever they send, connections learn nothing of each other."""

import pytest
from filter_hl import FilterGuest

import hlfuzz


@pytest.mark.hlfuzz(target="fbs")
@hlfuzz.invariants("tenant-independence")
@hlfuzz.given_calls(FilterGuest, max_calls=4)
def test_any_traffic(hlfuzz_sandbox, calls):
    assert all(isinstance(outcome, hlfuzz.Ok) for outcome in calls.run(hlfuzz_sandbox))
