"""A module and a raw interface: what fits, and the first thing that does not."""

from __future__ import annotations

import pytest
import wasmtime

from hlfuzz import Guest, LinkError
from hlfuzz.bindings.handshake import SECTION, section_text
from hlfuzz.bindings.raw import check, check_raw, lower
from hlfuzz.guest.sections import with_custom_section
from hlfuzz.model import FuncType, ValType
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.raw import parse_text

I32, I64, F32, F64 = ValType.I32, ValType.I64, ValType.F32, ValType.F64
MEMORY = '(memory (export "memory") 1)'
MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 8))'
ON_DATA = '(func (export "on_data") (param i32 i32) (result i32) (i32.const 0))'
INTERFACE = (
    '[guest.on_data]\nparams = ["data: bytes"]\nresult = "i32"\n[host."env.log"]\nparams = ["text: cstring"]'
)


def schema(text: str, head: str = "") -> Schema:
    return parse_text(f"version = 1\n{head}\n{text}", name="test.toml")


def guest(*parts: str) -> Guest:
    return Guest.from_wasm(bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})")), name="test")


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("", FuncType()),
        ('params = ["a: i32", "b: u32", "c: i8", "d: u16", "e: bool"]', FuncType((I32,) * 5)),
        ('params = ["a: i64", "b: u64", "c: f32", "d: f64"]', FuncType((I64, I64, F32, F64))),
        ('params = ["a: bytes", "b: cstring"]', FuncType((I32, I32, I32))),
        ('params = ["a: out bytes(8)"]\nresult = ["f64", "i32"]', FuncType((I32, I32), (F64, I32))),
        ('result = "bytes"\nform = "packed"', FuncType((), (I64,))),
        ('result = "bytes"\nform = "pair"', FuncType((), (I32, I32))),
        ('params = ["a: bytes"]\nresult = "bytes"\nform = "inplace"', FuncType((I32, I32), (I32,))),
        ('result = "bool"', FuncType((), (I32,))),
    ],
)
def test_each_method_has_one_wasm_signature(method: str, expected: FuncType) -> None:
    ((_, found),) = schema(f"[guest.f]\n{method}").methods()
    assert lower(found) == expected


def test_a_module_that_fits_has_no_differences() -> None:
    log = '(import "env" "log" (func (param i32)))'
    found = guest(log, MEMORY, MALLOC, ON_DATA, '(func (export "more"))')
    assert check(schema(INTERFACE), found.info) == []
    check_raw(schema(INTERFACE), found)
    # It need not import every host function.
    assert check(schema(INTERFACE), guest(MEMORY, MALLOC, ON_DATA).info) == []


DIFFERENCES = {
    "a misspelt export": (
        (MEMORY, MALLOC, ON_DATA.replace("on_data", "on_date")),
        "it does not export 'on_data': did you mean 'on_date'?",
    ),
    "no export": ((MEMORY, MALLOC), "it does not export 'on_data': implement it"),
    "an export of another kind": (
        (MEMORY, MALLOC, '(global (export "on_data") i32 (i32.const 1))'),
        "its export 'on_data' is a global, not a function",
    ),
    "another number of parameters": (
        (MEMORY, MALLOC, '(func (export "on_data") (param i32) (result i32) (i32.const 0))'),
        "its export 'on_data' takes 1 parameters, not 2: it is (i32) -> (i32), the interface's 'on_data' is "
        "(i32, i32) -> (i32)",
    ),
    "another type": (
        (MEMORY, MALLOC, '(func (export "on_data") (param i32 f32) (result i32) (i32.const 0))'),
        "its export 'on_data' has f32 for the length of 'data', not i32: it is",
    ),
    "pointers of 64 bits": (
        (MEMORY, MALLOC, '(func (export "on_data") (param i64 i64) (result i32) (i32.const 0))'),
        "has i64 for the pointer of 'data', not i32: only 32-bit memories are supported",
    ),
    "another number of results": (
        (MEMORY, MALLOC, '(func (export "on_data") (param i32 i32))'),
        "its export 'on_data' returns 0 values, not 1: it is",
    ),
    "another result": (
        (MEMORY, MALLOC, '(func (export "on_data") (param i32 i32) (result i64) (i64.const 0))'),
        "its export 'on_data' returns other types: it is (i32, i32) -> (i64)",
    ),
    "an undeclared import": (
        ('(import "js" "fail_now" (func (param i32)))', MEMORY, MALLOC, ON_DATA),
        "it imports 'js.fail_now' (i32) -> (), which the interface does not declare: declare it as "
        '[host."js.fail_now"]',
    ),
    "a misspelt import": (
        ('(import "env" "lag" (func (param i32)))', MEMORY, MALLOC, ON_DATA),
        "did you mean 'env.log'?",
    ),
    "an import of another type": (
        ('(import "env" "log" (func (param i64)))', MEMORY, MALLOC, ON_DATA),
        "its import 'env.log' has i64 for the pointer of 'text', not i32",
    ),
    "an imported memory": (
        ('(import "env" "memory" (memory 1))', MEMORY, MALLOC, ON_DATA),
        "it imports the memory 'env.memory': a raw interface has only functions",
    ),
    "no memory": ((MALLOC, ON_DATA), "it exports no memory, where 'on_data' passes bytes"),
    "a memory of 64 bits": (
        ('(memory (export "memory") i64 1)', MALLOC, ON_DATA),
        "memory has 64-bit addresses",
    ),
    "no allocator": ((MEMORY, ON_DATA), "it exports no allocator, where 'on_data' takes bytes"),
}


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_the_first_difference_is_named(difference: str) -> None:
    parts, message = DIFFERENCES[difference]
    found = guest(*parts)
    assert message in check(schema(INTERFACE), found.info)[0]
    with pytest.raises(LinkError, match=r"the module does not fit the interface \(test, test\)"):
        check_raw(schema(INTERFACE), found)


def test_the_named_allocator_must_be_there() -> None:
    found = guest(MEMORY, MALLOC, ON_DATA)
    ((message),) = check(schema(INTERFACE, 'allocator = "maloc"'), found.info)
    assert message == "it has no allocator 'maloc': did you mean 'malloc'?"
    assert check(schema(INTERFACE, 'allocator = "malloc"'), found.info) == []
    assert check(schema(INTERFACE, "allocator = 4096"), guest(MEMORY, ON_DATA).info) == []


def test_a_scratch_address_cannot_hold_what_host_functions_answer() -> None:
    text = '[host."env.get"]\nresult = "bytes"\nform = "packed"'
    found = guest('(import "env" "get" (func (result i64)))', MEMORY)
    ((message),) = check(schema(text, "allocator = 4096"), found.info)
    assert "would overwrite those at the scratch address 4096" in message


def test_numbers_need_neither_memory_nor_allocator() -> None:
    found = guest('(func (export "add") (param i32 i32) (result i32) (i32.const 0))')
    assert check(schema('[guest.add]\nparams = ["a: i32", "b: i32"]\nresult = "i32"'), found.info) == []


def test_all_differences_are_counted() -> None:
    text = "[guest.a]\n[guest.b]\n[guest.c]"
    with pytest.raises(LinkError, match=r"does not export 'a'.*\(and 2 more\)"):
        check_raw(schema(text), guest())


def test_a_module_that_says_its_interface_is_held_to_it() -> None:
    mine, other = schema(INTERFACE), schema(INTERFACE.replace("cstring", "i32"))
    found = guest(MEMORY, MALLOC, ON_DATA)

    def stamped(interface: Schema) -> Guest:
        return Guest.from_wasm(with_custom_section(found.wasm, SECTION, section_text(interface).encode()))

    check_raw(mine, stamped(mine))
    assert check(mine, stamped(other).info) == []  # the signatures are the same
    with pytest.raises(LinkError, match="built for another interface"):
        check_raw(mine, stamped(other))
