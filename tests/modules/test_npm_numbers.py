"""Modules that compute with numbers: 64-bit arithmetic in halves, SHA-256 by AssemblyScript, fingerprints."""

from __future__ import annotations

import hashlib
from random import Random

import pytest

from hlfuzz import Trap

WORD = 1 << 64
STATE_BYTES = 88
"""Size of a streaming XXH64 state (xxhash-wasm, XXH64_STATE_SIZE_BYTES)."""


def signed(value: int) -> int:
    return value - WORD if value >> 63 else value


def halves(value: int) -> tuple[int, int]:
    return value & 0xFFFF_FFFF, value >> 32 & 0xFFFF_FFFF


def truncated_division(a: int, b: int) -> tuple[int, int]:
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient, a - b * quotient


def test_64_bit_arithmetic_agrees_with_python(twins):
    rng = Random(3)
    box = twins("long")
    edges = [0, 1, 2, WORD - 1, 1 << 63, (1 << 63) - 1, 0xFFFF_FFFF, 1 << 32]
    pairs = [(a, b) for a in edges for b in edges] + [
        (rng.getrandbits(64), rng.getrandbits(rng.randint(1, 64))) for _ in range(100)
    ]
    for a, b in pairs:
        expected = {"mul": a * b}
        if b:
            overflows = signed(a) == -(1 << 63) and signed(b) == -1
            if not overflows:
                expected["div_s"], expected["rem_s"] = truncated_division(signed(a), signed(b))
            expected["div_u"], expected["rem_u"] = a // b, a % b
        for function, value in expected.items():
            low = box.call(function, *halves(a), *halves(b))
            high = box.call("get_high")
            assert (low & 0xFFFF_FFFF, high & 0xFFFF_FFFF) == halves(value), (function, a, b)


@pytest.mark.parametrize("function", ["div_s", "div_u", "rem_s", "rem_u"])
def test_division_by_zero_traps(twins, function):
    box = twins("long")
    assert box.try_call(function, 1, 2, 0, 0) == Trap("integer-division-by-zero")
    box.restart()
    if function == "div_s":
        assert box.try_call(function, 0, 1 << 31, -1, -1) == Trap("integer-overflow")


@pytest.mark.parametrize("module", ["as-sha256", "as-sha256-simd"])
def test_assemblyscript_sha256_agrees_with_hashlib(twins, module):
    rng = Random(4)
    box = twins(module)
    source, out = box.global_value("input"), box.global_value("output")
    limit = box.global_value("INPUT_LENGTH")
    for length in (0, 1, 63, 64, 65, 119, 500, limit):
        data = rng.randbytes(length)
        box.write(source, data)
        box.call("digest", length)
        assert box.read(out, 32) == hashlib.sha256(data).digest()
    data = rng.randbytes(3 * limit)
    box.call("init")
    for at in range(0, len(data), limit):
        box.call("update", box.put(source, data[at : at + limit]), limit)
    box.call("final", out)
    assert box.read(out, 32) == hashlib.sha256(data).digest()
    pair = rng.randbytes(64)
    box.call("digest64", box.put(source, pair), out)
    assert box.read(out, 32) == hashlib.sha256(pair).digest()


def test_simd_batches_agree_with_hashlib(twins):
    rng = Random(5)
    box = twins("as-sha256-simd")
    source, out = box.global_value("input"), box.global_value("output")
    blocks = [rng.randbytes(64) for _ in range(4)]
    box.write(source, b"".join(blocks))
    box.call("batchHash4UintArray64s", out)
    assert box.read(out, 128) == b"".join(hashlib.sha256(b).digest() for b in blocks)


@pytest.mark.parametrize(
    "function", ["fingerprint32", "fingerprint64", "hash32", "hash64", "bigquery_fingerprint"]
)
def test_farmhash_gives_the_same_fingerprints(twins, function):
    rng = Random(6)
    box = twins("farmhash")
    seen = set()
    for length in range(0, 300, 13):
        address = box.call("__wbindgen_malloc", max(length, 1), 1)
        seen.add(box.call(function, box.put(address, rng.randbytes(length)), length))
    assert len(seen) > 20


def test_xxhash_streams_and_shots_agree(twins):
    rng = Random(7)
    box = twins("xxhash")
    state, data = 0, 4096
    for length in (0, 3, 31, 32, 33, 1000, 20_000):
        content = rng.randbytes(length)
        seed = rng.getrandbits(32)
        box.write(data, content)
        one = box.call("xxh64", data, length, seed)
        box.write(state, bytes(STATE_BYTES))
        box.call("init64", state, seed)
        cut = rng.randint(0, length)
        box.call("update64", state, data, cut)
        box.call("update64", state, data + cut, length - cut)
        assert box.call("digest64", state) == one
    assert box.call("xxh32", data, 0, 0) == 0x02CC5D05
    assert box.call("xxh64", data, 0, 0) == 0xEF46DB3751D8E999 - WORD
