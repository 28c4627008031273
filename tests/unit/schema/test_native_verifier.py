"""The native verifier gives the verdict of the one in Python: same rule, same offset, same field."""

from __future__ import annotations

import struct
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from native_schemas import SCHEMAS, mutate
from random_values import RandomValues
from strategies_of_schemas import schemas

from hlfuzz.errors import UsageError
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.wire.base import Limits, Rule
from hlfuzz.schema.wire.flatbuffers import FlatBuffersCodec, compile_program, flatbuffers_codec
from hlfuzz.vmm import NativeVerifier

_BUFFERS = 27_000
"""Mutated buffers of each of the four schemas."""


def both(name: str, limits: Limits | None = None) -> tuple[FlatBuffersCodec, NativeVerifier, str]:
    limits = limits or Limits()
    root, text = SCHEMAS[name]
    schema = parse_text(text)
    native = NativeVerifier(
        compile_program(schema), depth=limits.depth, tables=limits.tables, size=limits.size
    )
    return flatbuffers_codec(schema, limits=limits), native, root


def agree(codec: FlatBuffersCodec, native: NativeVerifier, root: str, data: bytes) -> Rule | None:
    """The verdict of both; a difference fails the test."""
    fault = codec.verify(root, data)
    expected = None if fault is None else (int(fault.rule), fault.offset, fault.path)
    assert native.verify(native.root(root), data) == expected, data.hex()
    return None if fault is None else fault.rule


@pytest.mark.parametrize("name", SCHEMAS)
def test_both_verifiers_give_the_same_fault_for_mutated_buffers(name: str) -> None:
    codec, native, root = both(name)
    values = RandomValues(codec.schema, codec.classes, seed=1, depth=2, longest=2)
    random = Random(2)
    seen: Counter[Rule | None] = Counter()
    for _ in range(_BUFFERS // 30):
        good = codec.encode(root, values.record(root))
        assert agree(codec, native, root, good) is None
        for _ in range(30):
            seen[agree(codec, native, root, mutate(good, random))] += 1
    # The mutations must reach the rules, and leave some buffers valid, or the agreement says little.
    assert seen[None] > _BUFFERS // 100
    assert {Rule.TOO_SHORT, Rule.ALIGNMENT, Rule.BOUNDS, Rule.VTABLE, Rule.FIELD_BOUNDS} <= seen.keys()
    if name == "everything":
        unseen = set(Rule) - seen.keys()
        assert unseen <= {Rule.TOO_LONG, Rule.DEPTH, Rule.TABLES, Rule.NESTED, Rule.BOOL, Rule.MALFORMED}


@settings(max_examples=60, deadline=None, database=None)
@given(schemas(), st.randoms(use_true_random=False))
def test_both_verifiers_give_the_same_fault_whatever_the_schema(schema: Schema, random: Random) -> None:
    codec, native = flatbuffers_codec(schema), NativeVerifier(compile_program(schema))
    assert schema.root is not None
    values = RandomValues(schema, codec.classes, seed=random.randrange(1 << 32), depth=2, longest=2)
    for _ in range(5):
        good = codec.encode(schema.root, values.record(schema.root))
        assert agree(codec, native, schema.root, good) is None
        for _ in range(10):
            agree(codec, native, schema.root, mutate(good, random))


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        (Limits(depth=3), Rule.DEPTH),
        (Limits(tables=5), Rule.TABLES),
        (Limits(size=300), Rule.TOO_LONG),
    ],
)
def test_limits_mean_the_same_to_both(limits: Limits, rule: Rule) -> None:
    codec, native, root = both("tree", limits)
    free, _, _ = both("tree")
    values = RandomValues(free.schema, free.classes, seed=3, depth=4, longest=1)
    seen = Counter(agree(codec, native, root, free.encode(root, values.record(root))) for _ in range(200))
    assert seen.keys() == {None, rule}


def test_shared_parts_that_would_read_out_to_too_much_are_refused_by_both() -> None:
    codec, native, root = both("everything")
    _, text = SCHEMAS["everything"]
    assert "texts:[string]" in text
    node = codec.classes.definitions[root]
    data = codec.encode(root, node(need="", texts=["x" * 60_000, *["y"] * 20_000]))
    assert agree(codec, native, root, data) is None
    # Every element becomes an offset to the one long string.
    long = data.index(b"x" * 60_000) - 4
    vector = data.index(struct.pack("<I", 20_001))
    shared = bytearray(data)
    for at in range(vector + 4, vector + 4 + 4 * 20_001, 4):
        shared[at : at + 4] = struct.pack("<I", (long - at) & 0xFFFF_FFFF)
    assert agree(codec, native, root, bytes(shared)) is Rule.TABLES


@pytest.mark.parametrize("name", SCHEMAS)
def test_programs_with_any_byte_changed_are_refused_or_used_without_harm(name: str) -> None:
    program = compile_program(parse_text(SCHEMAS[name][1]))
    codec, _, root = both(name)
    data = codec.encode(root, RandomValues(codec.schema, codec.classes, seed=4).record(root))
    refused = 0
    random = Random(5)
    for at in range(len(program)):
        changed = bytearray(program)
        changed[at] = (changed[at] + random.randrange(1, 256)) % 256
        try:
            NativeVerifier(bytes(changed)).verify(0, data)
        except UsageError:
            refused += 1
    assert refused > len(program) // 4


def test_programs_cut_anywhere_are_refused() -> None:
    program = compile_program(parse_text(SCHEMAS["flat"][1]))
    for end in range(len(program)):
        with pytest.raises(UsageError):
            NativeVerifier(program[:end])
    with pytest.raises(UsageError, match="bytes follow its end"):
        NativeVerifier(program + b"\0")


def test_roots_and_limits_that_do_not_exist_are_refused() -> None:
    _, native, _ = both("flat")
    program = compile_program(parse_text(SCHEMAS["flat"][1]))
    with pytest.raises(UsageError, match="no table 'Other'"):
        native.root("Other")
    with pytest.raises(UsageError, match="no table number 7"):
        native.verify(7, b"")
    for limits in ({"depth": 0}, {"depth": 65}, {"tables": 0}, {"size": 0}):
        with pytest.raises(UsageError):
            NativeVerifier(program, **limits)


def test_many_buffers_are_verified_at_once() -> None:
    codec, native, root = both("flat")
    good = codec.encode(root, codec.classes.definitions[root]())
    buffers = [good, b"", good[:-1], good, good + b"\0"]
    count = native.count_valid(native.root(root), b"".join(buffers), [len(b) for b in buffers])
    assert count == sum(codec.verify(root, b) is None for b in buffers)
    with pytest.raises(UsageError):
        native.count_valid(0, good, [len(good) + 1])
