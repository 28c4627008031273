"""Allocators are found by name and signature."""

from __future__ import annotations

import pytest

from hlfuzz.guest import find_allocator
from hlfuzz.model import Export, ExternKind, FuncType, MemoryType, ModuleInfo, ValType

I32, I64, F32 = ValType.I32, ValType.I64, ValType.F32


def info(*functions: tuple[str, tuple[ValType, ...], tuple[ValType, ...]]) -> ModuleInfo:
    exports = [Export(n, ExternKind.FUNC, FuncType(p, r), i) for i, (n, p, r) in enumerate(functions)]
    exports.append(Export("memory", ExternKind.MEMORY, MemoryType(1), len(exports)))
    return ModuleInfo(
        size=8, sha256="", imports=(), exports=tuple(exports), memories=(), tables=(), globals=0, functions=0,
        start=False, features=(), custom_sections=(), data_segments=0, elem_segments=0, code_bytes=0,
        producers={}, memory_bytes_min=0,
    )  # fmt: skip


def test_the_most_specific_convention_wins():
    found = find_allocator(
        info(("alloc", (I32,), (I32,)), ("malloc", (I32,), (I32,)), ("hlfuzz_alloc", (I32,), (I32,)))
    )
    assert found is not None
    assert found.export.name == "hlfuzz_alloc"
    assert found.arguments == (None,)


@pytest.mark.parametrize(
    "function",
    [
        ("malloc", (I32, I32), (I32,)),
        ("malloc", (I32,), ()),
        ("malloc", (F32,), (I32,)),
        ("malloc", (I32,), (F32,)),
        ("malloc", (), (I32,)),
        ("memory", (I32,), (I64,)),
        ("frobnicate", (I32,), (I32,)),
    ],
)
def test_a_name_with_another_signature_is_no_allocator(function):
    assert find_allocator(info(function)) is None


def test_64_bit_addresses_are_known_by_the_result():
    found = find_allocator(info(("malloc", (I64,), (I64,))))
    assert found is not None
    assert found.word is I64


def test_pin_is_used_with_new_alone():
    pin = ("__pin", (I32,), (I32,))
    with_new = find_allocator(info(("__new", (I32, I32), (I32,)), pin))
    assert with_new is not None
    assert with_new.pin is not None
    assert with_new.pin.name == "__pin"
    with_malloc = find_allocator(info(("malloc", (I32,), (I32,)), pin))
    assert with_malloc is not None
    assert with_malloc.pin is None


def test_a_named_allocator_need_not_follow_a_convention():
    found = find_allocator(info(("malloc", (I32,), (I32,)), ("mine", (I32,), (I32,))), "mine")
    assert found is not None
    assert found.export.name == "mine"
    assert find_allocator(info(("mine", (I32, I32, I32), (I32,))), "mine") is None
