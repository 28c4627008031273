"""Arguments and results of raw functions, which are numbers and byte vectors without a type of their own."""

from __future__ import annotations

from typing import Any, Unpack

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from hlfuzz.bindings.interface import Interface
from hlfuzz.bindings.strategies.bounds import Bounds, BoundsOptions
from hlfuzz.bindings.strategies.values import builder
from hlfuzz.errors import UsageError
from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import Method, ResultForm


def arguments(
    interface: Interface, service: str, method: str, **bounds: Unpack[BoundsOptions]
) -> SearchStrategy[tuple[Any, ...]]:
    """What a method takes, in order.

    Raises: UsageError for an unknown method, or one of a typed interface: that takes a record (`valid`).
    """
    make = builder(interface, Bounds(**bounds))
    inputs = [p.type for p in _method(interface, service, method).parameters if not p.out]
    return st.tuples(*(make.type(t) for t in inputs))


def results(
    interface: Interface, service: str, method: str, **bounds: Unpack[BoundsOptions]
) -> SearchStrategy[tuple[Any, ...]]:
    """What a method gives, in order: numbers, or the bytes that they stand for. The last result of a method
    with an `out` parameter is its length, and so stands for bytes too.

    Raises: as `arguments`.
    """
    limits = Bounds(**bounds)
    make = builder(interface, limits)
    found = _method(interface, service, method)
    if found.form is not ResultForm.NONE:
        return st.tuples(st.binary(max_size=limits.max_bytes))
    parts: list[SearchStrategy[Any]] = [make.number(r) for r in found.results]
    for parameter in found.parameters:
        if parameter.out:
            # Without a capacity the guest says with each call what fits.
            room = parameter.capacity or limits.max_bytes
            parts[-1:] = [st.binary(max_size=min(limits.max_bytes, room))]
    return st.tuples(*parts)


def _method(interface: Interface, service: str, method: str) -> Method:
    found = {m.name: m for m in interface.service(service).methods}
    if method not in found:
        known = did_you_mean(method, found, f"it has {', '.join(found) or 'none'}")
        raise UsageError(f"no method {method!r} ({service}): {known}")
    if found[method].request is not None:
        raise UsageError(f"{service}.{method} takes a record: use valid() with {found[method].request!r}")
    return found[method]
