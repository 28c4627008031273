"""Hypothesis strategies for the calls of an interface, and batches of cases drawn from them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from hypothesis.internal.constants_ast import Constants

from hlfuzz.invariants import Case, Interface, Method
from hlfuzz.invariants.generate import MAX_SEQUENCE
from hlfuzz.model import Call, Float32, Float64, ValType, Value


def scalars(type_: ValType) -> st.SearchStrategy[Value]:
    """Values of one Wasm type; floats by their bits, so that every NaN comes up."""
    if type_ is ValType.I32:
        return st.integers(-(1 << 31), (1 << 31) - 1)
    if type_ is ValType.I64:
        return st.integers(-(1 << 63), (1 << 63) - 1)
    if type_ is ValType.F32:
        return st.one_of(st.floats(width=32, allow_nan=False), st.integers(0, (1 << 32) - 1).map(Float32))
    if type_ is ValType.F64:
        return st.one_of(st.floats(allow_nan=False), st.integers(0, (1 << 64) - 1).map(Float64))
    return st.binary(min_size=16, max_size=16)


def vectors(seeds: tuple[bytes, ...] = ()) -> st.SearchStrategy[bytes]:
    """Byte vectors: seeds, random bytes, and blocks behind a 16-bit length that may lie."""
    lengths = st.one_of(st.none(), st.integers(0, 0xFFFF))
    prefixed = st.builds(_prefixed, st.binary(max_size=64), lengths, st.booleans())
    plain = st.one_of(st.binary(max_size=256), prefixed)
    return st.one_of(st.sampled_from(seeds), plain) if seeds else plain


def _prefixed(body: bytes, claimed: int | None, big_endian: bool) -> bytes:
    length = len(body) if claimed is None else claimed
    return length.to_bytes(2, "big" if big_endian else "little") + body


def calls(method: Method, seeds: tuple[bytes, ...] = ()) -> st.SearchStrategy[Call]:
    """Calls of one method."""
    parts: list[st.SearchStrategy[Any]] = [vectors(seeds)] if method.vector else []
    parts += [scalars(t) for t in method.scalars]
    return st.tuples(*parts).map(lambda args: Call(method.name, args))


def cases(interface: Interface, seeds: tuple[bytes, ...] = ()) -> st.SearchStrategy[Case]:
    """Single calls and sequences of one context. The interface must have a method."""
    one = st.one_of([calls(m, seeds) for m in interface.methods])
    single = one.map(lambda call: Case((call,), context=False))
    sequence = st.lists(one, min_size=2, max_size=MAX_SEQUENCE).map(lambda many: Case(tuple(many)))
    return st.one_of(single, sequence)


class _OwnConstants(HypothesisProvider):
    """Hypothesis's own way to draw, without the constants in the source of every loaded Python module.

    Those say nothing about a guest, make cases depend on what else is loaded, take seconds to collect in a
    large program, and are cached in the working directory.
    """

    @cached_property
    def _local_constants(self) -> Constants:
        return Constants()


AVAILABLE_PROVIDERS["hlfuzz"] = _OwnConstants


def batch(interface: Interface, seeds: tuple[bytes, ...], number: int, count: int) -> list[Case]:
    """Up to `count` cases that Hypothesis draws; the same `number` gives the same cases."""
    drawn: list[Case] = []

    @seed(number)
    @settings(
        max_examples=count,
        backend="hlfuzz",
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=(
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.large_base_example,
        ),
    )
    @given(cases(interface, seeds))
    def collect(case: Case) -> None:
        drawn.append(case)

    collect()
    return drawn
