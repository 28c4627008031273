"""Host functions of raw interfaces in every engine: what guests pass, what hosts answer, who is to blame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from hlfuzz import (
    AbiViolation,
    Guest,
    GuestTimeout,
    HostFunctionError,
    LinkError,
    Sandbox,
    UsageError,
    Violation,
)
from hlfuzz.bindings.raw import check_raw, raw_host
from hlfuzz.schema.raw import parse_text

GUEST = """(module
  (import "env" "f" (func $f {signature}))
  (memory (export "memory") 1 1)
  (data (i32.const 100) "hello\\00") (data (i32.const 200) "caf\\c3\\a9\\00")
  (data (i32.const 300) "ab\\ff\\00")
  (data (i32.const 65530) "no end")
  (func (export "malloc") (param i32) (result i32) {malloc})
  (func (export "read") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "go") (result {results}) {body}))"""

Open = Callable[..., Sandbox]


class Host:
    """The host object: keeps what it is given and answers as told."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.seen: list[tuple[object, ...]] = []

    def f(self, *values: object) -> object:
        self.seen.append(values)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def open_host(engine: str, guest: Callable[..., Guest]) -> Iterator[Open]:
    """Opens a guest whose `go` calls the host function `f` of an interface, with `host` on the other side."""
    with ExitStack() as stack:

        def open_one(
            toml: str,
            signature: str,
            body: str,
            host: object,
            results: str = "i32",
            malloc: str = "(i32.const 512)",
        ) -> Sandbox:
            schema = parse_text(f'version = 1\n[host."env.f"]\n{toml}', name="test.toml")
            wat = GUEST.format(signature=signature, body=body, results=results, malloc=malloc)
            loaded = guest(wat.replace("(result )", ""))
            check_raw(schema, loaded)
            return stack.enter_context(Sandbox(loaded, raw_host(schema, loaded, host), engine=engine))

        yield open_one


SENT = {
    "bytes": ('"x: bytes"', "(param i32 i32)", "(i32.const 100) (i32.const 5)", b"hello"),
    "no bytes": ('"x: bytes"', "(param i32 i32)", "(i32.const 65536) (i32.const 0)", b""),
    "cstring": ('"x: cstring"', "(param i32)", "(i32.const 200)", "café"),
    "an empty cstring": ('"x: cstring"', "(param i32)", "(i32.const 0)", ""),
    "i32": ('"x: i32"', "(param i32)", "(i32.const -1)", -1),
    "u32": ('"x: u32"', "(param i32)", "(i32.const -1)", 2**32 - 1),
    "u64": ('"x: u64"', "(param i64)", "(i64.const -1)", 2**64 - 1),
    "u8": ('"x: u8"', "(param i32)", "(i32.const 255)", 255),
    "bool": ('"x: bool"', "(param i32)", "(i32.const 1)", True),
    "f32": ('"x: f32"', "(param f32)", "(f32.const 0.5)", 0.5),
    "f64": ('"x: f64"', "(param f64)", "(f64.const -1.25)", -1.25),
}


@pytest.mark.parametrize("sent", SENT)
def test_what_the_guest_sends_arrives(open_host: Open, sent: str) -> None:
    parameter, signature, given, expected = SENT[sent]
    host = Host()
    box = open_host(f"params = [{parameter}]", signature, f"(call $f {given})", host, results="")
    assert box.call("go") is None
    assert host.seen == [(expected,)]
    assert type(host.seen[0][0]) is type(expected)


LIES = {
    "a length beyond memory": (
        '"n: i32", "data: bytes"',
        "(param i32 i32 i32)",
        "(i32.const 1) (i32.const 65530) (i32.const 10)",
        ("data", "10 bytes at 65530 are outside memory 0..65536", 6),
    ),
    "a negative length": (
        '"data: bytes"',
        "(param i32 i32)",
        "(i32.const 100) (i32.const -1)",
        ("data", "4294967295 bytes at 100 are outside memory 0..65536", 65436),
    ),
    "a pointer beyond memory": (
        '"data: bytes"',
        "(param i32 i32)",
        "(i32.const 65537) (i32.const 0)",
        ("data", "0 bytes at 65537 are outside memory 0..65536", 0),
    ),
    "pointer and length that wrap around": (
        '"data: bytes"',
        "(param i32 i32)",
        "(i32.const -4) (i32.const 8)",
        ("data", "8 bytes at 4294967292 are outside memory 0..65536", 0),
    ),
    "text that is no UTF-8": (
        '"n: i32", "path: cstring"',
        "(param i32 i32)",
        "(i32.const 1) (i32.const 300)",
        ("path", "text is no UTF-8: byte 0xff at 2 of 3", 2),
    ),
    "text without an end": (
        '"path: cstring"',
        "(param i32)",
        "(i32.const 65530)",
        ("path", "text at 65530 has no zero byte before the end of memory at 65536", 6),
    ),
    "text outside memory": (
        '"path: cstring"',
        "(param i32)",
        "(i32.const -1)",
        ("path", "pointer 4294967295 is outside memory 0..65536", 0),
    ),
    "a number out of range": (
        '"x: u8"',
        "(param i32)",
        "(i32.const 256)",
        ("x", "256 is outside 0 to 255 (u8)", None),
    ),
    "a bool that is none": (
        '"x: bool"',
        "(param i32)",
        "(i32.const -1)",
        ("x", "-1 is outside 0 to 1 (bool)", None),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_guest_that_lies_to_a_host_function_breaks_its_interface(open_host: Open, lie: str) -> None:
    parameters, signature, given, (path, message, offset) = LIES[lie]
    host = Host()
    box = open_host(f"params = [{parameters}]", signature, f"(call $f {given})", host, results="")
    for _ in range(2):
        with pytest.raises(AbiViolation) as caught:
            box.call("go")
        assert caught.value.outcome == Violation(f"host function 'env.f', {path}: {message}", path, offset)
    assert host.seen == []  # nothing that a guest lied about reaches the host's method


def test_the_search_for_the_end_of_a_text_has_an_end(
    open_host: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hlfuzz.bindings.raw import vectors

    monkeypatch.setattr(vectors, "MAX_CSTRING_BYTES", 10_000)
    fill = "(memory.fill (i32.const 1024) (i32.const 120) (i32.const {0}))"
    fill += "(i32.store8 (i32.const {1}) (i32.const 0))"
    host = Host()

    def length(count: int) -> Sandbox:
        body = fill.format(count, 1024 + count) + "(call $f (i32.const 1024))"
        return open_host('params = ["text: cstring"]', "(param i32)", body, host, results="")

    length(10_000).call("go")
    assert host.seen == [("x" * 10_000,)]
    with pytest.raises(AbiViolation, match="has no zero byte within 10000 bytes"):
        length(10_001).call("go")


READ_OUT = """(local i32) (local.set 0 (call $f (i32.const 600) (i32.const 4)))
  (if (result i32) (i32.lt_s (local.get 0) (i32.const 1)) (then (local.get 0))
    (else (i32.load8_u (i32.const 600))))"""
OUT = 'params = ["value: out bytes"]\nresult = "i32"'


@pytest.mark.parametrize(
    ("answer", "expected"), [(b"", 0), (b"A", 65), (b"ABCD", 65), (bytearray(b"Z"), 90), (b"ABCDE", -5)]
)
def test_an_answer_is_written_where_the_guest_has_room(open_host: Open, answer: bytes, expected: int) -> None:
    """One that does not fit is not written: the guest learns how many bytes it needs."""
    box = open_host(OUT, "(param i32 i32) (result i32)", READ_OUT, Host(answer))
    assert box.call("go") == expected


def test_an_answer_comes_after_other_results(open_host: Open) -> None:
    body = "(call $f (i32.const 600) (i32.const 4))"
    toml = 'params = ["value: out bytes"]\nresult = ["u64", "i32"]'
    box = open_host(
        toml, "(param i32 i32) (result i64 i32)", body, Host((2**64 - 1, b"ab")), results="i64 i32"
    )
    assert box.call("go") == (-1, 2)


@pytest.mark.parametrize(("capacity", "offset"), [(65536 - 600 + 1, 64936), (-1, 64936)])
def test_room_outside_memory_is_a_lie(open_host: Open, capacity: int, offset: int) -> None:
    host = Host(b"x")
    body = f"(call $f (i32.const 600) (i32.const {capacity}))"
    box = open_host(OUT, "(param i32 i32) (result i32)", body, host)
    with pytest.raises(AbiViolation, match=r"value: .* bytes at 600 are outside memory") as caught:
        box.call("go")
    assert (caught.value.outcome.path, caught.value.outcome.offset) == ("value", offset)
    assert host.seen == []


def test_more_room_than_the_interface_allows_is_a_lie(open_host: Open) -> None:
    toml = 'params = ["value: out bytes(3)"]\nresult = "i32"'
    box = open_host(toml, "(param i32 i32) (result i32)", READ_OUT, Host(b"x"))
    with pytest.raises(AbiViolation, match="capacity 4 is more than the interface's 3"):
        box.call("go")


def test_bytes_as_a_result_are_placed_by_the_guests_allocator(open_host: Open) -> None:
    packed = "(i32.load8_u (i32.wrap_i64 (i64.shr_u (call $f) (i64.const 32))))"
    box = open_host('result = "bytes"\nform = "packed"', "(result i64)", packed, Host(b"Q"))
    assert box.call("go") == 81
    toml = 'result = "bytes"\nform = "pair"'
    box = open_host(toml, "(result i32 i32)", "(call $f)", Host(b"12345"), results="i32 i32")
    assert box.call("go") == (512, 5)


def test_bytes_in_place_replace_what_the_guest_sent(open_host: Open) -> None:
    toml = 'params = ["data: bytes"]\nresult = "bytes"\nform = "inplace"'
    body = "(call $f (i32.const 100) (i32.const 5)) (i32.load8_u (i32.const 100))"
    box = open_host(toml, "(param i32 i32) (result i32)", body, Host(b"J"), results="i32 i32")
    assert box.call("go") == (1, ord("J"))
    box = open_host(toml, "(param i32 i32) (result i32)", body, Host(b"jello!"), results="i32 i32")
    with pytest.raises(HostFunctionError, match="6 bytes do not fit into the 5 of 'data'"):
        box.call("go")


@pytest.mark.parametrize(
    ("malloc", "message"),
    [
        ("(i32.const 0)", "allocator 'malloc' returned null"),
        ("(i32.const 65536)", "outside memory"),
        ("unreachable", "its allocator failed for 3 bytes: guest trapped: unreachable"),
    ],
)
def test_an_allocator_that_fails_for_an_answer_accuses_the_guest(
    open_host: Open, malloc: str, message: str
) -> None:
    toml = 'result = "bytes"\nform = "packed"'
    body = "(i32.wrap_i64 (call $f))"
    box = open_host(toml, "(result i64)", body, Host(b"abc"), malloc=malloc)
    with pytest.raises(AbiViolation, match=message):
        box.call("go")


def test_an_allocator_that_does_not_return_is_a_timeout(engine: str, guest: Callable[..., Guest]) -> None:
    schema = parse_text('version = 1\n[host."env.f"]\nresult = "bytes"\nform = "packed"', name="t.toml")
    wat = GUEST.format(
        signature="(result i64)",
        body="(i32.wrap_i64 (call $f))",
        results="i32",
        malloc="(loop br 0) unreachable",
    )
    loaded = guest(wat)
    with (
        Sandbox(loaded, raw_host(schema, loaded, Host(b"abc")), engine=engine, deadline=0.02) as box,
        pytest.raises(GuestTimeout),
    ):
        box.call("go")


@pytest.mark.parametrize(
    ("toml", "answer", "message"),
    [
        ("", 1, "returned 1: expected None"),
        ('result = "u8"', 256, "returned 256: 256 is outside 0 to 255"),
        ('result = "i32"', "1", "'1' is not an integer"),
        ('result = "bool"', 1, "1 is not a bool"),
        ('result = ["i32", "i32"]', 1, "returned 1: expected a tuple of 2 numbers"),
        ('result = ["i32", "i32"]', (1, 2, 3), "expected a tuple of 2 numbers"),
        (OUT, "text", "returned 'text': expected bytes"),
        ('result = "bytes"\nform = "packed"', None, "returned None: expected bytes"),
        ("", ValueError("too bad"), "ValueError: too bad"),
    ],
)
def test_a_host_method_that_answers_wrongly_is_the_hosts_fault(
    open_host: Open, toml: str, answer: object, message: str
) -> None:
    results = {"": "", OUT: "i32", 'result = ["i32", "i32"]': "i32 i32"}.get(
        toml, "i64" if "bytes" in toml else "i32"
    )
    given = "(i32.const 600) (i32.const 4)" if toml == OUT else ""
    signature = f"{'(param i32 i32)' if toml == OUT else ''} {f'(result {results})' if results else ''}"
    box = open_host(toml, signature, f"(call $f {given})", Host(answer), results=results)
    with pytest.raises(HostFunctionError, match=r"'env\.f'") as caught:
        box.call("go")
    assert message in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError if isinstance(answer, ValueError) else UsageError)


def test_a_host_without_a_method_is_refused(guest: Callable[..., Guest]) -> None:
    schema = parse_text('version = 1\n[host."env.write"]', name="t.toml")
    loaded = guest('(module (import "env" "write" (func)))')
    for host in (None, object()):
        with pytest.raises(LinkError, match=r"no method 'write' for 'env\.write'"):
            raw_host(schema, loaded, host)


def test_host_functions_that_the_guest_does_not_import_need_no_method(guest: Callable[..., Guest]) -> None:
    schema = parse_text('version = 1\n[host."env.a"]\n[host."env.b"]', name="t.toml")
    loaded = guest('(module (import "env" "b" (func)))')

    class OnlyB:
        def b(self) -> None: ...

    assert list(raw_host(schema, loaded, OnlyB())) == ["env.b"]


def test_host_methods_run_where_they_are_sent(engine: str, guest: Callable[..., Guest]) -> None:
    schema = parse_text('version = 1\n[host."env.f"]\nparams = ["a: i32", "b: i32"]', name="t.toml")
    loaded = guest(
        '(module (import "env" "f" (func $f (param i32 i32)))'
        '(func (export "go") (call $f (i32.const 1) (i32.const 2))))'
    )
    host, sent = Host(), list[tuple[Any, ...]]()

    def invoke(function: Callable[..., Any], *values: Any) -> Any:
        sent.append(values)
        return function(*values)

    with Sandbox(loaded, raw_host(schema, loaded, host, invoke), engine=engine) as box:
        box.call("go")
    assert sent == host.seen == [(1, 2)]
