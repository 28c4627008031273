"""Generated values fit their types, and the same seed generates the same cases."""

from __future__ import annotations

from random import Random

import pytest
import wasmtime

from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, describe_interface
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.guests.hostile import HOSTILE
from hlfuzz.invariants.inputs.source import Inputs
from hlfuzz.invariants.values import scalar
from hlfuzz.model import Float32, Float64, ValType

WAT = """(module (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "open"))
  (func (export "on_data") (param i32 i32))
  (func (export "set") (param i64)))"""


@pytest.mark.parametrize("type_", [ValType.I32, ValType.I64, ValType.F32, ValType.F64, ValType.V128])
def test_scalars_fit_their_type(type_: ValType) -> None:
    rng = Random(1)
    for _ in range(500):
        value = scalar(rng, type_)
        if type_ in (ValType.I32, ValType.I64):
            bits = 32 if type_ is ValType.I32 else 64
            assert isinstance(value, int)
            assert -(1 << (bits - 1)) <= value < 1 << (bits - 1)
        elif type_ is ValType.V128:
            assert isinstance(value, bytes)
            assert len(value) == 16
        else:
            assert isinstance(value, Float32 if type_ is ValType.F32 else Float64)


def generator(seed: int, tenant_open: str | None = None) -> Generator:
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(WAT)), name="guest")
    interface = describe_interface(guest.info, Config(tenant_open=tenant_open, host={}))
    rng = Random(seed)
    return Generator(interface, rng, Inputs(rng, (b"seed one", b"seed two")))


def test_the_same_seed_makes_the_same_cases() -> None:
    a, b = generator(5), generator(5)
    assert [a.sequence() for _ in range(20)] == [b.sequence() for _ in range(20)]
    assert [a.tenants() for _ in range(20)] == [b.tenants() for _ in range(20)]


def test_a_secret_also_comes_behind_a_short_command_of_a_seed() -> None:
    seen = set[bytes]()
    many = generator(3)
    for _ in range(300):
        case = many.tenants()
        assert case is not None
        slot = case.secret
        assert slot is not None
        data = case.calls[slot.call].args[0]
        assert isinstance(data, bytes)
        seen.add(data[: slot.offset])
    assert {b"", b"seed ", b"seed one"} <= seen


def test_a_tenants_secret_lies_in_its_vector_and_the_next_is_announced() -> None:
    many = generator(2, tenant_open="open")
    for _ in range(200):
        case = many.tenants()
        assert case is not None
        slot = case.secret
        assert slot is not None
        data = case.calls[slot.call].args[0]
        assert isinstance(data, bytes)
        assert slot.offset + slot.length <= len(data)
        assert case.calls[0].function == case.calls[slot.call + 1].function == "open"
        first, second = case.variants()
        assert first != second
        assert [c for c in first if c not in second] == [first[slot.call]]


def test_the_hostile_modules_are_what_their_source_says() -> None:
    for name, hostile in HOSTILE.items():
        compiled = bytes(wasmtime.wat2wasm(hostile.wat))
        assert compiled.startswith(hostile.wasm), name
        assert b"name" in compiled[len(hostile.wasm) :] or compiled == hostile.wasm
