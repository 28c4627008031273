"""Protobuf without generated code: the calls follow the schema that the target's settings name."""

import pytest

import hlfuzz


@pytest.mark.hlfuzz(target="proto")
@hlfuzz.invariants("context-dependence")
@hlfuzz.given_calls(max_calls=4)
def test_a_call_answers_alike_after_any_others(hlfuzz_sandbox, calls):
    with hlfuzz_sandbox.context() as connection:
        calls.run(connection)
        connection.finish()
