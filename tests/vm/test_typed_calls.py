"""Typed calls: handshake, values, errors both ways, guests that lie; hand-made modules in a micro-VM."""

from __future__ import annotations

import asyncio
import struct
import threading
from typing import Any

import pytest
import wasmtime

from hlfuzz import (
    AbiViolation,
    ContextFinished,
    GuestError,
    GuestTrap,
    HostFunctionError,
    LinkError,
    UsageError,
)
from hlfuzz.bindings import AsyncTypedGuest, HostRefusal, Interface, TypedGuest, client_of, section_text
from hlfuzz.bindings.handshake import SECTION
from hlfuzz.guest.sections import custom_section, with_custom_section
from hlfuzz.schema.fbs import parse_text as parse_fbs
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.proto import parse_text as parse_proto
from hlfuzz.schema.wire.base import EncodeError
from tests.needs import require_kvm

FBS = """
namespace net;
enum Verdict : ubyte { Deny, Allow }
table Tcp { port: ushort; }
table Udp { port: ushort; }
union Body { Tcp, Udp }
table Request { name: string; number: int; }
table Response { text: string; verdict: Verdict; body: Body; parts: [string]; }
rpc_service FilterGuest { OnData(Request): Response; }
rpc_service FilterHost { Log(Request): Response; }
"""
PROTO = """
syntax = "proto2"; package net;
enum Verdict { Deny = 0; Allow = 1; }
message Tcp { optional uint32 port = 1; }
message Udp { optional uint32 port = 1; }
message Request { optional string name = 1; optional int32 number = 2; }
message Response {
  optional string text = 1; optional Verdict verdict = 2; oneof body { Tcp tcp = 3; Udp udp = 4; }
  repeated string parts = 5;
}
service FilterGuest { rpc OnData(Request) returns (Response); }
service FilterHost { rpc Log(Request) returns (Response); }
"""
OK = struct.pack("<II", 0, 0)
AT = 4096


@pytest.fixture(scope="module", autouse=True)
def _kvm() -> None:
    require_kvm()


@pytest.fixture(scope="module", params=["fbs", "proto"])
def interface(request: pytest.FixtureRequest) -> Interface:
    parse, text = (parse_fbs, FBS) if request.param == "fbs" else (parse_proto, PROTO)
    return Interface(parse(text, name="filter"))


def record(interface: Interface, class_: str, /, **fields: Any) -> Any:
    return interface.classes.definitions[f"net.{class_}"](**fields)


def response(interface: Interface, **fields: Any) -> bytes:
    return interface.message("net.Response").encode(record(interface, "Response", **fields))


def module(
    schema: Schema,
    answer: bytes = b"",
    *,
    body: str | None = None,
    allocator: str = "(i32.const 65536)",
    stamp: bytes | None = None,
) -> bytes:
    """A guest whose method runs `body`, or answers with the bytes `answer`."""
    data = "".join(f"\\{byte:02x}" for byte in answer)
    body = body or f"(i64.const {AT << 32 | len(answer)})"
    wat = f"""(module
      (import "net.FilterHost" "Log" (func $log (param i32 i32) (result i64)))
      (memory (export "memory") 2) (global $n (mut i32) (i32.const 0))
      (data (i32.const {AT}) "{data}")
      (func (export "hlfuzz_alloc") (param i32) (result i32) {allocator})
      (func (export "net_FilterGuest_OnData") (param i32 i32) (result i64) {body}))"""
    text = section_text(schema).encode() if stamp is None else stamp
    return with_custom_section(bytes(wasmtime.wat2wasm(wat)), SECTION, text)


FORWARD = "(call $log (local.get 0) (local.get 1))"


class Host:
    """Answers with the name twice."""

    def __init__(self, interface: Interface) -> None:
        self.interface = interface
        self.threads: list[int] = []

    def log(self, request: Any) -> Any:
        self.threads.append(threading.get_ident())
        if request.number == 1:
            raise ValueError("no such name")
        if request.number == 2:
            raise HostRefusal(77, "not you")
        if request.number == 3:
            raise AssertionError("a test's own check")
        if request.number == 4:
            return record(self.interface, "Response", text=5)
        return record(self.interface, "Response", text=request.name * 2)


def opened(interface: Interface, wasm: bytes, **options: Any) -> TypedGuest[Any]:
    options.setdefault("host", Host(interface))
    return client_of(interface, "net.FilterGuest").open(wasm, **options)


def test_values_cross_both_ways_and_through_the_host(interface):
    with opened(interface, module(interface.schema, body=FORWARD)) as client:
        answer = client.invoke("OnData", record(interface, "Request", name="né"))
        assert answer == record(interface, "Response", text="néné")


def test_a_host_exception_is_an_error_code_for_the_guest_and_the_cause_of_what_it_makes_of_it(interface):
    with opened(interface, module(interface.schema, body=FORWARD)) as client:
        with pytest.raises(GuestError, match="ValueError: no such name") as caught:
            client.invoke("OnData", record(interface, "Request", number=1))
        assert (caught.value.code, type(caught.value.__cause__)) == (1, ValueError)
        with pytest.raises(GuestError) as caught:
            client.invoke("OnData", record(interface, "Request", number=2))
        assert (caught.value.code, caught.value.text) == (77, "not you")
        assert client.invoke("OnData", record(interface, "Request", name="a")).text == "aa"


def test_a_failed_assertion_in_a_host_function_is_not_swallowed(interface):
    with opened(interface, module(interface.schema, body=FORWARD)) as client:
        with pytest.raises(HostFunctionError) as caught:
            client.invoke("OnData", record(interface, "Request", number=3))
        assert isinstance(caught.value.__cause__, AssertionError)


def test_a_host_that_answers_with_a_wrong_value_is_told(interface):
    with opened(interface, module(interface.schema, body=FORWARD)) as client:
        with pytest.raises(HostFunctionError, match="text") as caught:
            client.invoke("OnData", record(interface, "Request", number=4))
        assert isinstance(caught.value.__cause__, EncodeError)


def test_a_value_that_the_schema_does_not_allow_never_reaches_the_guest(interface):
    with opened(interface, module(interface.schema, body="unreachable")) as client:
        with pytest.raises(EncodeError, match="number"):
            client.invoke("OnData", record(interface, "Request", number=2**40))
        with pytest.raises(GuestTrap):
            client.invoke("OnData", record(interface, "Request"))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "0 bytes, less than the header"),
        (b"\0\0\0\0\0\0\0", "7 bytes, less than the header"),
        (struct.pack("<II", 0, 9), "second word of its response is 9"),
    ],
)
def test_a_record_without_a_proper_header_is_a_violation(interface, answer, words):
    with (
        opened(interface, module(interface.schema, answer)) as client,
        pytest.raises(AbiViolation, match=words),
    ):
        client.invoke("OnData", record(interface, "Request"))


def test_a_response_outside_memory_is_a_violation(interface):
    for word in (-1, 1 << 32 | 0xFFFF_FFFF, 0x20000 << 32 | 8):
        wasm = module(interface.schema, body=f"(i64.const {word})")
        with opened(interface, wasm) as client, pytest.raises(AbiViolation, match="outside memory"):
            client.invoke("OnData", record(interface, "Request"))


def lies(interface: Interface) -> dict[str, tuple[bytes, str]]:
    """Responses that a lying guest may give, with the field that must be named."""
    good = response(interface, text="text", parts=["one", "two"])
    bad_utf8 = good.replace(b"two", b"t\xffo")
    if interface.schema.format == "proto":
        return {
            "a length past the end": (b"\x0a\x7fabc", "text"),
            "a truncated variant": (b"\x1a\x01\x08", "body.tcp.port"),
        }
    allow = interface.classes.definitions["net.Verdict"].Allow
    enum = response(interface, verdict=allow)
    tcp = interface.classes.variants["net.Body", 1](record(interface, "Tcp", port=7))
    union = response(interface, body=tcp)
    return {
        "UTF-8": (bad_utf8, "parts[1]"),
        "an enum out of range": (_patched(enum, 1, 9), "verdict"),
        "a wrong union tag": (_patched(union, 1, 200), "body"),
        "a string past the end": (good.replace(b"\x04\0\0\0text", b"\xff\0\0\0text"), "text"),
    }


def _patched(data: bytes, old: int, new: int) -> bytes:
    """`data` with the one byte of the root table's inline part that is `old` changed."""
    root = struct.unpack_from("<I", data)[0]
    vtable = root - struct.unpack_from("<i", data, root)[0]
    size = struct.unpack_from("<H", data, vtable + 2)[0]
    places = [root + i for i in range(4, size) if data[root + i] == old]
    assert len(places) == 1
    return data[: places[0]] + bytes([new]) + data[places[0] + 1 :]


def test_a_lying_guest_is_a_violation_with_field_and_offset_and_the_next_call_works(interface):
    for what, (answer, path) in lies(interface).items():
        with opened(interface, module(interface.schema, OK + answer)) as client:
            for _ in range(2):
                with pytest.raises(AbiViolation) as caught:
                    client.invoke("OnData", record(interface, "Request"))
                assert caught.value.outcome.path == path, what
                assert caught.value.outcome.offset in range(len(answer) + 1), what


def test_a_clean_response_is_not_accused(interface):
    answer = response(interface, text="text", parts=["one", "two"])
    with opened(interface, module(interface.schema, OK + answer)) as client:
        assert client.invoke("OnData", record(interface, "Request")).parts == ["one", "two"]


def test_a_lie_to_a_host_function_ends_the_call_as_a_violation(interface):
    seen: list[Any] = []

    class Curious(Host):
        def log(self, request: Any) -> Any:
            seen.append(request)
            return super().log(request)

    for body, words in (
        ("(call $log (i32.const 131070) (i32.const 8))", "outside memory"),
        (f"(call $log (i32.const {AT}) (i32.const 9))", "not a valid net.Request"),
    ):
        wasm = module(interface.schema, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff", body=body)
        client = opened(interface, wasm, host=Curious(interface))
        with client, pytest.raises(AbiViolation, match=words):
            client.invoke("OnData", record(interface, "Request"))
    assert seen == []


def test_an_allocator_that_lies_to_a_host_function_is_a_violation(interface):
    # The first allocation is the request's, the second the answer's.
    allocator = """(if (result i32) (global.get $n) (then (i32.const -16))
      (else (global.set $n (i32.const 1)) (i32.const 65536)))"""
    client = opened(interface, module(interface.schema, body=FORWARD, allocator=allocator))
    with client, pytest.raises(AbiViolation, match="hlfuzz_alloc returned 4294967280"):
        client.invoke("OnData", record(interface, "Request", name="a"))


def test_state_lives_in_a_context_and_nowhere_else(interface):
    one, two = (OK + response(interface, text=t) for t in ("first", "again"))
    assert len(one) == len(two)
    body = f"""(if (result i64) (global.get $n)
      (then (i64.const {AT + len(one) << 32 | len(two)}))
      (else (global.set $n (i32.const 1)) (i64.const {AT << 32 | len(one)})))"""
    request = record(interface, "Request")
    with opened(interface, module(interface.schema, one + two, body=body)) as client:
        assert [client.invoke("OnData", request).text for _ in range(2)] == ["first", "first"]
        context = client.context()
        assert [context.invoke("OnData", request).text for _ in range(3)] == ["first", "again", "again"]
        with pytest.raises(UsageError):
            context.context()
        context.finish()
        with pytest.raises(ContextFinished):
            context.invoke("OnData", request)
        assert client.invoke("OnData", request).text == "first"


def test_a_lie_poisons_its_context(interface):
    with opened(interface, module(interface.schema, b"")) as client:
        context = client.context()
        with pytest.raises(AbiViolation):
            context.invoke("OnData", record(interface, "Request"))
        with pytest.raises(ContextFinished, match="poisoned"):
            context.invoke("OnData", record(interface, "Request"))
        context.finish()


def test_a_guest_of_another_interface_is_refused_by_its_first_difference(interface):
    text = FBS if interface.schema.format == "fbs" else PROTO
    parse = parse_fbs if interface.schema.format == "fbs" else parse_proto
    old = text.replace("number: int", "number: long").replace("int32 number", "int64 number")
    theirs = module(parse(old, name="filter"))
    with pytest.raises(
        LinkError, match=r"the host has `field net\.Request .*number i32.*guest has .*number i64"
    ):
        opened(interface, theirs)
    more = text.replace("name: string;", "name: string; extra: bool;").replace(
        "optional string name = 1;", "optional string name = 1; optional bool extra = 9;"
    )
    with pytest.raises(LinkError, match="extra"):
        opened(interface, module(parse(more, name="filter")))


def test_a_guest_without_or_with_a_damaged_section_is_refused(interface):
    stamped = module(interface.schema)
    content = custom_section(stamped, SECTION)
    assert content is not None
    plain = with_custom_section(stamped, "other", b"")
    bare = plain.replace(content, b"x" * len(content))
    with pytest.raises(LinkError, match="does not begin with its own name"):
        opened(interface, bare)
    with pytest.raises(LinkError, match="not the SHA-256"):
        opened(interface, module(interface.schema, stamp=content[:-2] + b"!\n"))
    wat = wasmtime.wat2wasm('(module (memory (export "memory") 1))')
    with pytest.raises(LinkError, match="does not say which interface"):
        opened(interface, bytes(wat))


def test_comments_order_and_files_do_not_change_the_id(interface):
    text = FBS if interface.schema.format == "fbs" else PROTO
    parse = parse_fbs if interface.schema.format == "fbs" else parse_proto
    lines = text.strip().splitlines()
    moved = "\n".join([*lines[:-2], lines[-1], lines[-2]])
    assert Interface(parse(moved, name="other")).id == interface.id
    assert (
        Interface(parse(text.replace("message Tcp", "// why\nmessage Tcp"), name="filter")).id == interface.id
    )


def test_a_host_function_that_is_missing_is_named(interface):
    with pytest.raises(LinkError, match=r"no method 'log' for 'net\.FilterHost\.Log'"):
        opened(interface, module(interface.schema), host=object())


def test_async_calls_leave_the_loop_free_and_host_functions_run_in_it(interface):
    class AsyncHost(Host):
        async def log(self, request: Any) -> Any:
            await asyncio.sleep(0)
            return super().log(request)

    class Client(AsyncTypedGuest[Any]):
        _interface = interface
        _service = "net.FilterGuest"

    async def main() -> None:
        host = AsyncHost(interface)
        async with await Client.open(module(interface.schema, body=FORWARD), host=host) as client:
            requests = [record(interface, "Request", name=str(n)) for n in range(5)]
            answers = await asyncio.gather(*(client._call("OnData", r) for r in requests))
            assert [a.text for a in answers] == ["00", "11", "22", "33", "44"]
            assert set(host.threads) == {threading.get_ident()}
            with pytest.raises(GuestError, match="no such name"):
                await client._call("OnData", record(interface, "Request", number=1))
            async with client.context() as context:
                assert (await context._call("OnData", requests[1])).text == "11"
            await client.close()
            await client.close()

    asyncio.run(main())
