"""Rows of the native verifier: how fast untrusted FlatBuffers are known to be safe to read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any, Final

from hlfuzz.bench.row import Row, Samples, percentile, timed
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, compile_program, flatbuffers_codec
from hlfuzz.vmm import NativeVerifier

_SCHEMA: Final = """
namespace bench;
enum Kind : ubyte { Data, Headers, Trailers, End }
table Vectors { bytes:[ubyte]; numbers:[long]; kinds:[Kind]; text:string; }
table Small {
  id:ulong; kind:Kind; flags:uint; name:string; payload:[ubyte];
  first:int; second:long; ratio:double; last:bool; port:ushort;
}
"""
_SIZE: Final = 1 << 16
"""Bytes of a vector."""
_COPIES: Final = 16
"""Buffers verified in one native call: 1 MiB of vectors."""
_TABLES: Final = 10_000


def rows(rounds: int) -> Iterator[Row]:
    """Verifying vectors of 64 KiB and small tables, in native code, and one small table from Python."""
    schema = parse_text(_SCHEMA)
    codec, verifier = flatbuffers_codec(schema), NativeVerifier(compile_program(schema))
    for name, value in _vectors(codec):
        buffer = codec.encode("bench.Vectors", value)
        taken = _timed(verifier, "bench.Vectors", buffer, _COPIES, rounds)
        yield _rate(f"verify {name}, 64 KiB", "GB/s", [_COPIES * len(buffer) / ns for ns in taken])
    small = codec.encode("bench.Small", _small(codec))
    taken = _timed(verifier, "bench.Small", small, _TABLES, rounds)
    yield _rate(f"verify a table of 10 fields, {len(small)} B", "M/s", [_TABLES * 1e3 / ns for ns in taken])
    yield Samples((_from_python(verifier, small, 1000 * rounds),)).row("verify the same from Python")


def _vectors(codec: FlatBuffersCodec) -> Iterator[tuple[str, Any]]:
    make = codec.classes.definitions["bench.Vectors"]
    yield "bytes", make(bytes=bytes(_SIZE))
    yield "numbers", make(numbers=[1] * (_SIZE // 8))
    yield "an enum's values", make(kinds=[3] * _SIZE)
    yield "ASCII text", make(text="a" * _SIZE)
    yield "Chinese text", make(text="漢" * (_SIZE // 3))


def _small(codec: FlatBuffersCodec) -> Any:
    return codec.classes.definitions["bench.Small"](
        id=7,
        kind=1,
        flags=3,
        name="connection",
        payload=b"payload",
        first=-1,
        second=2,
        ratio=0.5,
        last=True,
        port=443,
    )


def _timed(verifier: NativeVerifier, root: str, buffer: bytes, copies: int, rounds: int) -> list[int]:
    """Nanoseconds of verifying all copies, once a round."""
    index, data, lengths = verifier.root(root), buffer * copies, [len(buffer)] * copies
    taken: list[int] = []
    for _ in range(rounds + 1):
        begin = time.perf_counter_ns()
        good = verifier.count_valid(index, data, lengths)
        taken.append(time.perf_counter_ns() - begin)
        if good != copies:
            raise AssertionError(f"a valid {root} was refused")
    # The first round also fetches the copies into the cache.
    return taken[1:]


def _from_python(verifier: NativeVerifier, buffer: bytes, count: int) -> list[int]:
    index = verifier.root("bench.Small")
    return timed(lambda: verifier.verify(index, buffer), count)


def _rate(name: str, unit: str, rates: list[float]) -> Row:
    """A throughput; p99 is what 99 % of the rounds exceed."""
    p50 = median(rates)
    return Row(name, unit, p50, percentile(rates, 0.01), len(rates), target=f"≥ 1 {unit}", ok=p50 >= 1)
