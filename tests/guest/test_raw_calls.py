"""Raw interfaces in every engine: arguments and results of each type, and guests that lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hlfuzz import AbiViolation, Guest, GuestError, GuestTrap, Sandbox, UsageError, Violation
from hlfuzz.bindings.raw import check_raw, raw_call
from hlfuzz.schema.ir import Direction
from hlfuzz.schema.raw import parse_text

RUNTIME = """(memory (export "memory") 1 1) (global $next (mut i32) (i32.const 1024))
  (func $malloc (export "malloc") (param i32) (result i32) (local i32) (local.set 1 (global.get $next))
    (global.set $next (i32.add (local.get 1) (local.get 0))) (local.get 1))"""

Open = Callable[..., Callable[..., Any]]


@pytest.fixture
def open_raw(engine: str, guest: Callable[..., Guest]) -> Iterator[Open]:
    """Opens the one method of an interface: `open_raw(toml, wat functions)` is what calls it."""
    with ExitStack() as stack:

        def open_one(method: str, functions: str, context: bool = False) -> Callable[..., Any]:
            schema = parse_text(f"version = 1\n[guest.f]\n{method}", name="test.toml")
            loaded = guest(f"(module {RUNTIME} {functions})")
            check_raw(schema, loaded)
            box = stack.enter_context(Sandbox(loaded, engine=engine))
            ((_, found),) = schema.methods(Direction.GUEST)
            call = raw_call(found)
            target = stack.enter_context(box.context()) if context else box
            if context:
                stack.callback(target.finish)
            return lambda *args: call(target, *args)

        yield open_one


ECHO = {
    "i32": ("i32", [0, -1, 2**31 - 1, -(2**31)]),
    "u32": ("i32", [0, 2**31, 2**32 - 1]),
    "i64": ("i64", [-(2**63), 2**63 - 1]),
    "u64": ("i64", [0, 2**63, 2**64 - 1]),
    "f32": ("f32", [0.5, float("inf")]),
    "f64": ("f64", [0.1, -1e300]),
    "i8": ("i32", [-128, 127]),
    "u8": ("i32", [0, 255]),
    "i16": ("i32", [-(2**15), 2**15 - 1]),
    "u16": ("i32", [0, 2**16 - 1]),
    "bool": ("i32", [True, False]),
}


@pytest.mark.parametrize("type_", ECHO)
def test_numbers_come_back_as_they_went(open_raw: Open, type_: str) -> None:
    wasm, values = ECHO[type_]
    call = open_raw(
        f'params = ["x: {type_}"]\nresult = "{type_}"',
        f'(func (export "f") (param {wasm}) (result {wasm}) (local.get 0))',
    )
    for value in values:
        assert call(value) == value
        assert type(call(value)) is type(value)


@pytest.mark.parametrize(
    ("type_", "value", "why"),
    [
        ("i32", 2**31, "outside -2147483648 to 2147483647"),
        ("u32", -1, "outside 0 to 4294967295"),
        ("u8", 256, "outside 0 to 255"),
        ("i32", 1.5, "not an integer"),
        ("i32", "1", "not an integer"),
        ("bool", 2, "not a bool"),
        ("f32", 1e39, "does not fit"),
        ("f64", 10**400, "does not fit"),
        ("f64", "nan", "not a number"),
        ("bytes", "text", "not bytes"),
        ("cstring", b"bytes", "not a str"),
        ("cstring", "a\0b", "zero byte at 1"),
        ("cstring", "\ud800", "no text"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_name(
    open_raw: Open, type_: str, value: object, why: str
) -> None:
    wasm = {"bytes": "i32 i32", "f32": "f32", "f64": "f64", "i64": "i64"}.get(type_, "i32")
    call = open_raw(
        f'params = ["first: i32", "second: {type_}"]', f'(func (export "f") (param i32 {wasm}) unreachable)'
    )
    with pytest.raises(UsageError, match=f"'f', parameter 'second', {type_}.*{why}"):
        call(0, value)


def test_an_integer_too_long_to_print_is_refused(open_raw: Open) -> None:
    call = open_raw('params = ["x: i64"]', '(func (export "f") (param i64))')
    with pytest.raises(UsageError, match=r"parameter 'x', i64\): a very large integer"):
        call(10**5000)


def test_the_number_of_arguments_is_checked(open_raw: Open) -> None:
    call = open_raw('params = ["a: i32", "b: bytes"]', '(func (export "f") (param i32 i32 i32) unreachable)')
    with pytest.raises(UsageError, match=r"1 arguments for the 2 parameters of 'f' \(a, b\)"):
        call(1)


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("form", "results"),
    [
        ("packed", "i64"),
        ("pair", "i32 i32"),
        ("inplace", "i32"),
    ],
)
def test_bytes_come_back_in_each_form(
    open_raw: Open, form: str, results: str, before: bool, context: bool
) -> None:
    """With a number before the bytes too, which the native call with bytes does not do."""
    at = 1 if before else 0
    pointer, length = f"(local.get {at})", f"(local.get {at + 1})"
    high = f"(i64.shl (i64.extend_i32_u {pointer}) (i64.const 32))"
    body = {
        "packed": f"(i64.or {high} (i64.extend_i32_u {length}))",
        "pair": f"{pointer} {length}",
        "inplace": f"(i32.store8 {pointer} (i32.const 33)) {length}",
    }[form]
    params = '"n: u8", "data: bytes"' if before else '"data: bytes"'
    call = open_raw(
        f'params = [{params}]\nresult = "bytes"\nform = "{form}"',
        f'(func (export "f") (param {"i32" if before else ""} i32 i32) (result {results}) {body})',
        context,
    )
    expected = b"!ello" if form == "inplace" else b"hello"
    for given in (b"hello", bytearray(b"hello"), memoryview(b"hello")):
        assert call(*([7] if before else []), given) == expected


REPLY = """(func (export "f") (param $data i32) (param $length i32) (param $out i32) (param $room i32)
  (result i32)
  (if (i32.gt_u (local.get $length) (local.get $room)) (then (return (i32.const -7))))
  (memory.copy (local.get $out) (local.get $data) (local.get $length)) (local.get $length))"""
REPLY_TOML = 'params = ["data: bytes", "reply: out bytes(8)"]\nresult = "i32"'


@pytest.mark.parametrize("context", [False, True])
def test_out_bytes_are_what_the_guest_wrote(open_raw: Open, context: bool) -> None:
    call = open_raw(REPLY_TOML, REPLY, context)
    assert [call(b""), call(b"abc"), call(b"12345678")] == [b"", b"abc", b"12345678"]


def test_a_negative_length_of_out_bytes_is_the_guests_error(open_raw: Open) -> None:
    call = open_raw(REPLY_TOML, REPLY, True)
    with pytest.raises(GuestError, match=r"error -7 \('f'\): a negative length for 'reply'") as caught:
        call(b"123456789")
    assert caught.value.code == -7
    assert call(b"ok") == b"ok"  # it is an answer, not a fault: the context goes on


def test_out_bytes_come_after_other_results(open_raw: Open) -> None:
    call = open_raw(
        'params = ["x: u8", "reply: out bytes(4)"]\nresult = ["u64", "i32"]',
        """(func (export "f") (param i32 i32 i32) (result i64 i32)
          (i32.store8 (local.get 1) (local.get 0)) (i64.const -1) (i32.const 1))""",
    )
    assert call(65) == (2**64 - 1, b"A")


def test_a_cstring_ends_with_a_zero_byte(open_raw: Open) -> None:
    strlen = """(func (export "f") (param i32) (result i32) (local i32)
      (block $end (loop $next (br_if $end (i32.eqz (i32.load8_u (i32.add (local.get 0) (local.get 1)))))
        (local.set 1 (i32.add (local.get 1) (i32.const 1))) (br $next))) (local.get 1))"""
    call = open_raw('params = ["text: cstring"]\nresult = "u32"', strlen)
    assert [call(""), call("abc"), call("é€")] == [0, 3, 5]


def test_several_vectors_have_places_of_their_own(open_raw: Open) -> None:
    call = open_raw(
        'params = ["a: bytes", "b: cstring", "c: bytes"]\nresult = ["u8", "u8", "u8"]',
        """(func (export "f") (param i32 i32 i32 i32 i32) (result i32 i32 i32)
          (i32.load8_u (local.get 0)) (i32.load8_u (local.get 2)) (i32.load8_u (local.get 3)))""",
    )
    assert call(b"\x01", "B", b"\x03") == (1, 66, 3)


LIES = {
    "packed bytes outside memory": (
        'params = ["n: i32"]\nresult = "bytes"\nform = "packed"',
        "(param i32) (result i64) (i64.const 0xfff000000020)",
        Violation("'f', result: 32 bytes at 65520 are outside memory 0..65536", "result", 16),
    ),
    "a pair outside memory": (
        'params = ["n: i32"]\nresult = "bytes"\nform = "pair"',
        "(param i32) (result i32 i32) (i32.const 70000) (i32.const 1)",
        Violation("'f', result: 1 bytes at 70000 are outside memory 0..65536", "result", 0),
    ),
    "more bytes in place than came": (
        'params = ["data: bytes"]\nresult = "bytes"\nform = "inplace"',
        "(param i32 i32) (result i32) (i32.const 6)",
        Violation(
            "'f', the result in 'data': 6 bytes written where there is room for 5", "the result in 'data'", 5
        ),
    ),
    "more bytes in place after a number": (
        'params = ["n: i32", "data: bytes"]\nresult = "bytes"\nform = "inplace"',
        "(param i32 i32 i32) (result i32) (i32.const 6)",
        Violation(
            "'f', the result in 'data': 6 bytes written where there is room for 5", "the result in 'data'", 5
        ),
    ),
    "more out bytes than there is room": (
        'params = ["n: i32", "reply: out bytes(4)"]\nresult = "i32"',
        "(param i32 i32 i32) (result i32) (i32.const 5)",
        Violation("'f', reply: 5 bytes written where there is room for 4", "reply", 4),
    ),
    "a bool that is none": (
        'params = ["n: i32"]\nresult = "bool"',
        "(param i32) (result i32) (i32.const 2)",
        Violation("'f', result: 2 is outside 0 to 1 (bool)", "result"),
    ),
    "a second result out of range": (
        'params = ["n: i32"]\nresult = ["i32", "i8"]',
        "(param i32) (result i32 i32) (i32.const 1) (i32.const 128)",
        Violation("'f', result[1]: 128 is outside -128 to 127 (i8)", "result[1]"),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_guest_that_lies_breaks_its_interface(open_raw: Open, lie: str) -> None:
    toml, function, expected = LIES[lie]
    call = open_raw(toml, f'(func (export "f") {function})')
    args = [a for a, word in ((1, '"n: '), (b"hello", '"data: ')) if word in toml]
    for _ in range(2):  # the sandbox works on, and says the same
        with pytest.raises(AbiViolation) as caught:
            call(*args)
        assert caught.value.outcome == expected


def test_a_trap_is_a_trap_whatever_the_signature(open_raw: Open) -> None:
    call = open_raw('params = ["text: cstring"]', '(func (export "f") (param i32) unreachable)')
    with pytest.raises(GuestTrap, match="unreachable"):
        call("x")


def test_state_written_in_one_call_is_gone_in_the_next(open_raw: Open) -> None:
    """Also in a call whose vectors are placed in a context of its own."""
    counter = """(global $calls (mut i32) (i32.const 0)) (func (export "f") (param i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (global.get $calls))"""
    toml = 'params = ["text: cstring"]\nresult = "u32"'
    alone, together = open_raw(toml, counter), open_raw(toml, counter, True)
    assert [alone("a"), alone("b"), together("a"), together("b")] == [1, 1, 1, 2]
