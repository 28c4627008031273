"""Password hashes from npm (argon2, scrypt, bcrypt): megabytes of memory, long loops, known answers."""

from __future__ import annotations

import hashlib
from random import Random

import pytest
from twins import Twins

RFC_9106 = {  # section 5: argon2d, argon2i, argon2id
    0: "512b391b6f1162975371d30919734294f868e3be3984f3c1a13a4db9fabe4acb",
    1: "c814d9d1dc7f37aa13f0d77f2494bda1c8de6b016dd388d29952a4c4672b6ce8",
    2: "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
}
PASSWORD, SALT, SECRET, DATA = b"\1" * 32, b"\2" * 16, b"\3" * 8, b"\4" * 12
PASSES, KIB, LANES, TAG, VERSION = 3, 32, 4, 32, 0x13


def le32(*numbers: int) -> bytes:
    return b"".join(n.to_bytes(4, "little") for n in numbers)


def buffer(box: Twins, size: int) -> int:
    """Memory of `size` bytes, asked for as hash-wasm's JavaScript does."""
    box.call("Hash_GetBuffer")
    box.call("Hash_SetMemorySize", size)
    return box.call("Hash_GetBuffer")


def long_blake2b(data: bytes, length: int) -> bytes:
    """H' of RFC 9106, section 3.3."""
    if length <= 64:
        return hashlib.blake2b(le32(length) + data, digest_size=length).digest()
    block = hashlib.blake2b(le32(length) + data).digest()
    out = block[:32]
    while length - len(out) > 64:
        block = hashlib.blake2b(block).digest()
        out += block[:32]
    return out + hashlib.blake2b(block, digest_size=length - len(out)).digest()


@pytest.mark.parametrize("kind", RFC_9106)
def test_argon2_fills_its_memory_as_rfc_9106_says(twins, kind):
    box = twins("hash-wasm/argon2")
    memory = buffer(box, KIB * 1024 + 1024)
    parameters = le32(LANES, TAG, KIB, PASSES, VERSION, kind)
    box.write(memory + KIB * 1024, parameters)
    inputs = b"".join(le32(len(x)) + x for x in (PASSWORD, SALT, SECRET, DATA))
    seed = hashlib.blake2b(parameters + inputs).digest()
    lane_blocks = KIB // (LANES * 4) * 4
    for lane in range(LANES):
        for block in range(2):
            content = long_blake2b(seed + le32(block, lane), 1024)
            box.write(memory + (lane * lane_blocks + block) * 1024, content)
    box.call("Hash_Calculate", 0, KIB)
    assert long_blake2b(box.read(memory, 1024), TAG).hex() == RFC_9106[kind]


@pytest.mark.parametrize("module", ["argon2-browser", "argon2-browser-simd"])
@pytest.mark.parametrize("kind", RFC_9106)
def test_argon2_of_another_package_agrees(twins, module, kind):
    box = twins(module)
    constructors, malloc, argon2_hash_ext = "d", "f", "l"  # names that emscripten has shortened
    box.call(constructors)

    def put(data: bytes) -> tuple[int, int]:
        return box.put(box.call(malloc, len(data)), data), len(data)

    out = box.call(malloc, TAG)
    status = box.call(
        argon2_hash_ext, PASSES, KIB, LANES, *put(PASSWORD), *put(SALT), out, TAG, 0, 0, kind,
        *put(SECRET), *put(DATA), VERSION,
    )  # fmt: skip
    assert status == 0
    assert box.read(out, TAG).hex() == RFC_9106[kind]


@pytest.mark.parametrize(("cost", "block", "lanes"), [(16, 1, 1), (64, 8, 2), (1024, 8, 1)])
def test_scrypt_agrees_with_openssl(twins, cost, block, lanes):
    rng = Random(cost)
    password, salt = rng.randbytes(20), rng.randbytes(16)
    box = twins("hash-wasm/scrypt")
    mixed = 128 * block * lanes
    memory = buffer(box, mixed + 128 * block * cost + 256 * block)
    box.write(memory, hashlib.pbkdf2_hmac("sha256", password, salt, 1, mixed))
    box.call("scrypt", block, cost, lanes)
    found = hashlib.pbkdf2_hmac("sha256", password, box.read(memory, mixed), 1, 64)
    assert found == hashlib.scrypt(password, salt=salt, n=cost, r=block, p=lanes, dklen=64)


@pytest.mark.parametrize(
    ("password", "encoded"),
    [  # from the test suite of crypt_blowfish 1.3 (openwall), wrapper.c
        (b"U*U", b"$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
        (b"U*U*", b"$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
        (b"U*U*U", b"$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a"),
    ],
)
def test_bcrypt_verifies_known_hashes(twins, password, encoded):
    box = twins("hash-wasm/bcrypt")
    memory = box.call("Hash_GetBuffer")
    for tried, expected in ((password, 1), (password + b"?", 0)):
        box.write(memory, encoded + tried)
        assert box.call("bcrypt_verify", len(tried)) == expected
