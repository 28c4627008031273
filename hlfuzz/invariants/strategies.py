"""Hypothesis strategies for sequences of calls; only to be imported where Hypothesis is wanted."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from hlfuzz.bindings import strategies as typed_strategies
from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants.interface import Interface, Method, describe_interface
from hlfuzz.invariants.sequences import Calls, Source, TypedCall, typed_of
from hlfuzz.invariants.settings.config import Config
from hlfuzz.invariants.target import Target
from hlfuzz.invariants.typed import Typed
from hlfuzz.invariants.typed.method import TypedMethod
from hlfuzz.model import Call, Float32, Float64, ValType, Value

MAX_CALLS = 8
"""Calls of a sequence when nobody says how many."""


def call_sequences(
    source: Source, *, max_calls: int = MAX_CALLS, min_calls: int = 1
) -> st.SearchStrategy[Calls]:
    """Sequences of valid calls: of a generated client class, of a `Target`, or of a `Guest`'s exports.

    Arguments are drawn as the schema says, without one by the types of the exports. An example shrinks to
    few calls with small arguments. Raises `UsageError`: bounds that do not fit, nothing to call.
    """
    if not 0 <= min_calls <= max_calls:
        raise UsageError(f"no sequence has {min_calls} to {max_calls} calls: give a max_calls of 1 or more")
    typed = typed_of(source)
    made = _typed_calls(source, typed) if typed is not None else _plain_calls(source)
    if not made:
        raise UsageError("nothing to call (call_sequences): the source has no method")
    # No call at all is an element too, and the simplest: a large call is taken out in one step of shrinking.
    one = st.one_of(st.none(), *made, *made)
    lists = st.lists(one, min_size=min_calls, max_size=max_calls).map(
        lambda drawn: [call for call in drawn if call is not None]
    )
    return lists.filter(lambda calls: len(calls) >= min_calls).map(lambda calls: Calls.of(source, calls))


def _typed_calls(source: Source, typed: Typed) -> list[st.SearchStrategy[TypedCall]]:
    chosen = typed.methods.values()
    if isinstance(source, Target):
        chosen = [typed.methods[m.name] for m in source.interface.methods]
    return [typed_calls(typed, method) for method in chosen]


def typed_calls(typed: Typed, method: TypedMethod) -> st.SearchStrategy[TypedCall]:
    """Valid calls of one method of a schema."""

    def make(arguments: tuple[Any, ...]) -> TypedCall:
        return TypedCall(method.name, arguments, method.encode(arguments))

    return arguments_of(typed, method).map(make)


def arguments_of(typed: Typed, method: TypedMethod) -> st.SearchStrategy[tuple[Any, ...]]:
    """Valid arguments of one method of a schema."""
    if method.method.request is not None:
        return st.tuples(typed_strategies.valid(typed.interface, method.method.request))
    return typed_strategies.arguments(typed.interface, method.service.name, method.method.name)


def _plain_calls(source: Source) -> list[st.SearchStrategy[TypedCall]]:
    interface = _interface(source)
    seeds = source.seeds if isinstance(source, Target) else ()
    return [
        calls(method, seeds).map(lambda call: TypedCall(call.function, call.args, call))
        for method in interface.methods
    ]


def _interface(source: Source) -> Interface:
    match source:
        case Target():
            return source.interface
        case Guest():
            return describe_interface(source.info, Config())
        case _:
            raise UsageError(f"no source of calls ({source!r})")


def calls_of(interface: Interface, method: Method, seeds: tuple[bytes, ...] = ()) -> st.SearchStrategy[Call]:
    """Calls of one method, as a target has it; with a schema also encodings that are damaged."""
    if interface.typed is None:
        return calls(method, seeds)
    typed, found = interface.typed, interface.typed.methods[method.name]
    valid = typed_calls(typed, found).map(lambda made: made.call)
    request = found.method.request
    if request is None:
        return valid
    near = typed_strategies.near_valid(typed.interface, request).map(lambda near: near.data)
    hostile = typed_strategies.hostile_bytes(typed.interface, request)
    return st.one_of(valid, valid, st.one_of(near, hostile).map(lambda data: Call(method.name, (data,))))


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
    """Calls of an export without schema."""
    parts: list[st.SearchStrategy[Any]] = [vectors(seeds)] if method.vector else []
    parts += [scalars(t) for t in method.scalars]
    return st.tuples(*parts).map(lambda args: Call(method.name, args))
