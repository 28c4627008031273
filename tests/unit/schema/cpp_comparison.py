"""Many mutated buffers judged by our verifier and by C++: what the two may differ in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

from cpp_verifier import cpp_verifier
from native_schemas import mutate
from random_values import RandomValues
from wire_schemas import SCHEMAS, text_of

from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.wire.base import Rule, WireFault
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, flatbuffers_codec

_BATCH = 20_000
_MUTANTS_PER_VALUE = 20


def compare(name: str, mutants: int, seed: int = 1) -> Counter[str]:
    """Verdicts on at least `mutants` mutated buffers of one schema, counted by what they are.

    Fails at a buffer that we accept and C++ rejects, at one that only C++ accepts for a reason of which the
    documentation does not speak, and at an accepted one that cannot be read.
    """
    codec = flatbuffers_codec(parse_text(text_of(name)))
    root = f"{name}.Root"
    read = codec.reader(root)
    cpp = cpp_verifier()
    seen: Counter[str] = Counter()
    for batch in _batches(codec, root, mutants, seed):
        for data, accepted in zip(batch, cpp.verdicts(name, batch), strict=True):
            fault = codec.verify(root, data)
            if fault is None:
                assert accepted, f"only C++ rejects {data.hex()}"
                read(data)
                seen["both accept"] += 1
            elif accepted:
                # C++ readers cannot see deprecated fields, so C++ does not verify them; ours can.
                assert name == "old" or _stricter(fault), f"only C++ accepts ({fault}) {data.hex()}"
                seen[f"only C++ accepts: {fault.rule.name}"] += 1
            else:
                seen["both reject"] += 1
    return seen


def _batches(codec: FlatBuffersCodec, root: str, mutants: int, seed: int) -> Iterator[list[bytes]]:
    values = RandomValues(codec.schema, codec.classes, seed)
    random = Random(seed)
    while mutants > 0:
        batch: list[bytes] = []
        while len(batch) < min(_BATCH, mutants):
            good = codec.encode(root, values.record(root))
            batch.append(good)
            batch += (mutate(good, random) for _ in range(_MUTANTS_PER_VALUE))
        mutants -= len(batch)
        yield batch


def _stricter(fault: WireFault) -> bool:
    """Whether a rule is one of those that C++ does not have; see docs/wire.md."""
    match fault.rule:
        case Rule.UTF8 | Rule.ENUM | Rule.UNION:
            return True
        case Rule.VTABLE:
            return fault.message.startswith(("a vtable of 0 ", "a vtable of 2 ", "a table of ")) or (
                # A vtable of two bytes at the very end.
                fault.message.startswith("the vtable is outside")
            )
        case Rule.FIELD_BOUNDS:
            return True
        case Rule.ALIGNMENT:
            return fault.message.startswith("elements are not aligned")
        case Rule.BOUNDS:
            return fault.message == "an offset of 0"
        case _:
            return False


__all__ = ["SCHEMAS", "compare"]
