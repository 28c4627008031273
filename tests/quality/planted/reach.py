"""Host functions that are reached by the wrong guest, in the wrong way, or with values of other types."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import guests

from hlfuzz.guest import Guest
from hlfuzz.invariants import Subject, Target
from hlfuzz.model import ValType, Value
from hlfuzz.sandbox import box, providers
from hlfuzz.sandbox.engines.inprocess import engine, modules, shims
from hlfuzz.sandbox.providers import Linked
from planted import Planted

CALLS = """(module (import "env" "all" (func $all (param i32 i64 f32 f64 v128)))
  (import "env" "none" (func $none))
  (func (export "go")
    (call $all (i32.const -1) (i64.const -1) (f32.const 1.5) (f64.const 2.5) (v128.const i64x2 1 2))
    (call $none)))"""


@contextmanager
def crossing_as(type_: ValType, wrong: Callable[[Any], Value]) -> Iterator[Target]:
    """What guests give to host functions arrives as something else."""
    lift = engine.lift

    def lifted(raw: Any, types: Any) -> tuple[Value, ...]:
        return tuple(
            wrong(value) if t is type_ else value for value, t in zip(lift(raw, types), types, strict=True)
        )

    with patch.object(engine, "lift", lifted), guests.target(CALLS, "inprocess") as target:
        yield target


@contextmanager
def swapped() -> Iterator[Target]:
    """The first import is answered by the last one's function."""

    def link(guest: Guest, given: Any) -> Linked:
        linked = providers.link(guest, given)
        last = len(linked.functions) - 1
        return Linked({last - at: function for at, function in linked.functions.items()}, linked.globals)

    with patch.object(box, "link", link), guests.target(CALLS, "inprocess") as target:
        yield target


@contextmanager
def remembered() -> Iterator[Target]:
    """What a guest was given once it is given again."""
    known: dict[str, Any] = {}

    def link(guest: Guest, given: Any) -> Linked:
        missing = {i.key: known[i.key] for i in guest.info.imports if i.key in known and i.key not in given}
        linked = providers.link(guest, {**missing, **given})
        known.update(given)
        return linked

    with patch.object(box, "link", link), guests.target(CALLS, "inprocess") as target:
        target.session()
        yield target


@contextmanager
def filled_table() -> Iterator[Target]:
    """A table that was asked for is not one of nulls."""
    front = shims.front

    def with_element(*asked: Any) -> str:
        text = front(*asked)
        return f"{text.rstrip()[:-1]} (elem (i32.const 3) func $h0))" if "(table" in text else text

    with (
        patch.object(shims, "front", with_element),
        patch.object(modules, "_compiled", type(modules._compiled)()),  # good or bad, for no other test
        guests.target(CALLS, "inprocess") as target,
    ):
        yield target


def fault(name: str, what: str, open_: Callable[[], Any]) -> Planted:
    return Planted(name, "capability", Subject.PLATFORM, what, open_, False)


FAULTS = (
    fault("host-functions-swapped", "two host functions have each other's place", swapped),
    fault("loader-remembers-providers", "an import is met by what was given earlier", remembered),
    fault("table-holds-a-host-function", "an imported table has a host function in one slot", filled_table),
    fault(
        "i32-arrives-unsigned",
        "a host function is given an i32 as a number without sign",
        partial(crossing_as, ValType.I32, lambda value: value & (1 << 32) - 1),
    ),
    fault(
        "i64-arrives-unsigned",
        "the same, of an i64",
        partial(crossing_as, ValType.I64, lambda value: value & (1 << 64) - 1),
    ),
    fault(
        "f32-arrives-as-bits",
        "a host function is given the bits of an f32 as an integer",
        partial(crossing_as, ValType.F32, lambda value: struct.unpack("<I", struct.pack("<f", value))[0]),
    ),
    fault(
        "f64-arrives-as-bits",
        "the same, of an f64",
        partial(crossing_as, ValType.F64, lambda value: struct.unpack("<q", struct.pack("<d", value))[0]),
    ),
    fault(
        "v128-arrives-cut",
        "a host function is given half of a v128",
        partial(crossing_as, ValType.V128, lambda value: value[:8]),
    ),
)
