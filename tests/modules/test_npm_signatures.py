"""secp256k1 from npm: a megabyte of tables, host functions for randomness and errors, known curve points."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from twins import Twins

from hlfuzz import HostError

GENERATOR = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
COMPRESSED = 33


@pytest.fixture
def curve(twins) -> Twins:
    box = twins("secp256k1")
    box.call("initializeContext")
    return box


def point(curve: Twins, scalar: int) -> bytes:
    curve.write(curve.global_value("PRIVATE_INPUT"), scalar.to_bytes(32, "big"))
    assert curve.call("pointFromScalar", COMPRESSED) == 1
    return curve.read(curve.global_value("PUBLIC_KEY_INPUT"), COMPRESSED)


def test_the_generator_is_one_times_itself(curve):
    assert point(curve, 1) == GENERATOR
    negative = bytearray(point(curve, ORDER - 1))
    assert negative[0] == 3
    assert negative[1:] == GENERATOR[1:]


def test_points_add_up(curve):
    rng = Random(14)
    for _ in range(5):
        a, b = rng.randrange(1, ORDER), rng.randrange(1, ORDER)
        first, second, total = (point(curve, n) for n in (a, b, (a + b) % ORDER))
        curve.write(curve.global_value("PUBLIC_KEY_INPUT"), first)
        curve.write(curve.global_value("PUBLIC_KEY_INPUT2"), second)
        assert curve.call("pointAdd", COMPRESSED, COMPRESSED, COMPRESSED) == 1
        assert curve.read(curve.global_value("PUBLIC_KEY_INPUT"), COMPRESSED) == total


def test_signatures_verify_and_damaged_ones_do_not(curve):
    rng = Random(15)
    for _ in range(5):
        secret = rng.randrange(1, ORDER)
        public = point(curve, secret)
        digest = hashlib.sha256(rng.randbytes(40)).digest()
        curve.write(curve.global_value("PRIVATE_INPUT"), secret.to_bytes(32, "big"))
        curve.write(curve.global_value("HASH_INPUT"), digest)
        curve.call("sign", 0)
        signature = curve.read(curve.global_value("SIGNATURE_INPUT"), 64)
        curve.write(curve.global_value("PUBLIC_KEY_INPUT"), public)
        assert curve.call("verify", COMPRESSED, 0) == 1
        damaged = bytes([signature[0] ^ 1]) + signature[1:]
        curve.write(curve.global_value("SIGNATURE_INPUT"), damaged)
        curve.write(curve.global_value("PUBLIC_KEY_INPUT"), public)
        assert curve.call("verify", COMPRESSED, 0) == 0


def test_a_bad_scalar_ends_in_the_hosts_error_function(curve):
    curve.write(curve.global_value("PRIVATE_INPUT"), bytes(32))
    outcome = curve.try_call("pointFromScalar", COMPRESSED)
    if isinstance(outcome, HostError):
        assert "throwError" in outcome.function
    else:
        assert outcome.values[0] != 1
