"""hash-wasm: each hash by its real protocol, against published vectors and Python's own hashes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from twins import Twins

CHUNK = 16 * 1024
"""Size of the modules' input buffer (MAX_HEAP in hash-wasm)."""
LENGTHS = (0, 1, 55, 64, 127, 128, 129, 1000, 5000, CHUNK + 77)


def _openssl(name: str) -> Callable[[bytes], bytes] | None:
    """A hash that OpenSSL may have been built without."""
    try:
        hashlib.new(name, usedforsecurity=False)
    except ValueError:
        return None
    return lambda data: hashlib.new(name, data, usedforsecurity=False).digest()


@dataclass(frozen=True)
class Hash:
    """How hash-wasm's JavaScript drives a module: `setup` is written to its buffer, then Hash_Init(*init)."""

    size: int
    init: tuple[int, ...] = ()
    final: tuple[int, ...] = ()
    setup: bytes = b""
    oracle: Callable[[bytes], bytes] | None = None
    vectors: dict[bytes, str] = field(default_factory=dict)
    module: str = ""


_RIPEMD160 = {
    b"": "9c1185a5c5e9fc54612808977ee8f548b2258d31",
    b"abc": "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc",
}
_MD4 = {b"": "31d6cfe0d16ae931b73c59d7e0c089c0", b"abc": "a448017aaf21d8525fc10ae87aa6729d"}
_SM3 = {b"abc": "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"}
_BLAKE3 = {b"": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"}
_WHIRLPOOL = {
    b"": "19fa61d75522a4669b44e39c1d2e1726c530232130d407f89afee0964997f7a7"
    "3e83be698b288febcf88e3e03c4f0757ea8964e59b63d93708b138cc42a66eb3"
}
_CRC64_XZ = bytes.fromhex("c96c5795d7870f42")

HASHES = {
    "adler32": Hash(4, oracle=lambda d: zlib.adler32(d).to_bytes(4, "big")),
    "crc32": Hash(4, (0xEDB88320,), oracle=lambda d: zlib.crc32(d).to_bytes(4, "big")),
    "crc64": Hash(8, setup=_CRC64_XZ[::-1], vectors={b"123456789": "995dc9bbdf1939fa"}),
    "md4": Hash(16, vectors=_MD4, oracle=_openssl("md4")),
    "md5": Hash(16, oracle=lambda d: hashlib.md5(d, usedforsecurity=False).digest()),
    "ripemd160": Hash(20, vectors=_RIPEMD160, oracle=_openssl("ripemd160")),
    "sha1": Hash(20, oracle=lambda d: hashlib.sha1(d, usedforsecurity=False).digest()),
    "sha224": Hash(28, (224,), oracle=lambda d: hashlib.sha224(d).digest(), module="sha256"),
    "sha256": Hash(32, (256,), oracle=lambda d: hashlib.sha256(d).digest()),
    "sha384": Hash(48, (384,), oracle=lambda d: hashlib.sha384(d).digest(), module="sha512"),
    "sha512": Hash(64, (512,), oracle=lambda d: hashlib.sha512(d).digest()),
    "sha3-256": Hash(32, (256,), (6,), oracle=lambda d: hashlib.sha3_256(d).digest(), module="sha3"),
    "sha3-512": Hash(64, (512,), (6,), oracle=lambda d: hashlib.sha3_512(d).digest(), module="sha3"),
    "blake2b": Hash(64, (512,), oracle=lambda d: hashlib.blake2b(d).digest()),
    "blake2s": Hash(32, (256,), oracle=lambda d: hashlib.blake2s(d).digest()),
    "blake3": Hash(32, (0,), (32,), vectors=_BLAKE3),
    "sm3": Hash(32, vectors=_SM3, oracle=_openssl("sm3")),
    "whirlpool": Hash(64, vectors=_WHIRLPOOL),
    "xxhash32": Hash(4, (0,), vectors={b"": "02cc5d05"}),
    "xxhash64": Hash(8, setup=bytes(8), vectors={b"": "ef46db3751d8e999"}),
    "xxhash3": Hash(8, setup=bytes(8), vectors={b"": "2d06800538d394c2"}),
    "xxhash128": Hash(16, setup=bytes(8), vectors={b"": "99aa06d3014798d86001c324468d497f"}),
}


class Hasher:
    """One hash in all engines."""

    def __init__(self, twins: Twins, kind: Hash) -> None:
        self.twins = twins
        self.kind = kind
        self.buffer = twins.call("Hash_GetBuffer")

    def start(self) -> None:
        self.twins.write(self.buffer, self.kind.setup)
        self.twins.call("Hash_Init", *self.kind.init)

    def update(self, data: bytes) -> None:
        for at in range(0, len(data), CHUNK):
            chunk = data[at : at + CHUNK]
            self.twins.write(self.buffer, chunk)
            self.twins.call("Hash_Update", len(chunk))

    def finish(self) -> bytes:
        self.twins.call("Hash_Final", *self.kind.final)
        return self.twins.read(self.buffer, self.kind.size)

    def digest(self, data: bytes, rng: Random) -> bytes:
        """In chunks of random sizes."""
        self.start()
        at = 0
        while at < len(data):
            step = rng.randint(1, len(data))
            self.update(data[at : at + step])
            at += step
        return self.finish()

    def state(self) -> tuple[int, int]:
        """Address and length of the hash's state."""
        return self.twins.call("Hash_GetState"), self.twins.read_u32(self.twins.global_value("STATE_SIZE"))


@pytest.fixture(params=HASHES)
def hasher(request, twins) -> Hasher:
    kind = HASHES[request.param]
    return Hasher(twins(f"hash-wasm/{kind.module or request.param}"), kind)


def test_hashes_are_right_in_every_engine(hasher):
    rng = Random(1)
    for data, digest in hasher.kind.vectors.items():
        assert hasher.digest(data, rng).hex() == digest
    for length in LENGTHS:
        data = rng.randbytes(length)
        digest = hasher.digest(data, rng)
        assert digest == hasher.digest(data, rng), "the digest depends on how the input is cut"
        if hasher.kind.oracle is not None:
            assert digest == hasher.kind.oracle(data)


def test_a_saved_state_goes_on_where_it_was(hasher):
    rng = Random(2)
    data = rng.randbytes(300)
    hasher.start()
    hasher.update(data[:150])
    address, length = hasher.state()
    saved = hasher.twins.read(address, length)
    hasher.update(data[150:])
    digest = hasher.finish()
    hasher.twins.restart()
    hasher.start()
    hasher.twins.write(address, saved)
    hasher.update(data[150:])
    assert hasher.finish() == digest
