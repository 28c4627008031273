"""Numbers and byte vectors: what one caller sends never shows in the answer to another."""

import pytest

import hlfuzz


@pytest.mark.hlfuzz(target="raw")
@hlfuzz.invariants("context-dependence", "tenant-independence")
def test_a_chunk_and_its_summary(hlfuzz_sandbox):
    with hlfuzz_sandbox.context() as connection:
        connection.call("on_new_connection", 1, b"h", 443)
        connection.call("on_data", b"GET / HTTP/1.1")
        connection.call_bytes("summary", b"GET / HTTP/1.1", result="packed")
        connection.finish()
