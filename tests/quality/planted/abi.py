"""Guests that lie at their interface, and a host that believes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import guests
import wasmtime

import hlfuzz.bindings.client
import hlfuzz.bindings.verified
import hlfuzz.sandbox.calls
from hlfuzz.bindings import host
from hlfuzz.bindings.interface import Interface, Message
from hlfuzz.bindings.records import OK_HEADER, read_header
from hlfuzz.bindings.verified import VerifiedReader
from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, Subject, Target, describe_interface
from hlfuzz.invariants.lying.records import record_batch, true_record
from hlfuzz.invariants.lying.typed import liar_schema, stamped
from hlfuzz.model import Failure
from hlfuzz.sandbox import WASI, CallContext, Caller, HostFunction, Wasi, box, providers
from hlfuzz.sandbox.providers import Linked
from hlfuzz.sandbox.wasi.provide import provide
from hlfuzz.vmm import Machine
from planted import Planted
from planted import typed as typed_example

READ_TWICE, NO_BOUNDS = 1 << 16, 1 << 17
"""Bits of `hl_test_fault` (hlfuzz.h)."""

_MEMORY = '(import "env" "write" (func $write (param i32 i32))) (memory (export "memory") 1)'

_ALLOCATOR = '(func (export "alloc") (param i32) (result i32) (i32.const 1024))'

# What begins with a byte above 127 it claims to be 64 KiB longer.
SOMETIMES_LIES = f"""(module {_MEMORY} {_ALLOCATOR}
  (func (export "on_data") (param i32 i32)
    (call $write (local.get 0)
      (i32.add (local.get 1)
        (i32.mul (i32.const 65536) (i32.shr_u (i32.load8_u (local.get 0)) (i32.const 7)))))))"""

# The third vector of a context goes where there is room for 16 bytes.
RUNS_OUT_OF_ROOM = f"""(module {_MEMORY} (global $calls (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (select (i32.const 65520) (i32.const 1024) (i32.gt_u (global.get $calls) (i32.const 2))))
  (func (export "on_data") (param i32 i32)))"""

# Aligns its vectors to the end of the memory, and one byte further.
ENDS_ONE_TOO_LATE = f"""(module {_MEMORY}
  (func (export "alloc") (param i32) (result i32) (i32.sub (i32.const 65537) (local.get 0)))
  (func (export "on_data") (param i32 i32)))"""


def wat(text: str) -> Callable[[], Target]:
    """A guest with the fault in it."""
    return partial(guests.target, text, "kvm")


def typed(rule: str, path: str, *, in_request: bool = False) -> Target:
    """A typed guest that answers what is right to short requests, and to longer ones, or with `in_request` in
    those that it sends to its host, what breaks this rule in this field."""
    interface = liar_schema()
    header = len(OK_HEADER)
    right = true_record()
    wrong = next(r for r in record_batch(1) if breaks(interface, r[header:]) == (rule, path))
    answer, request = (right, wrong[header:]) if in_request else (wrong, right[header:])
    places = {4096: right, 8192: answer, 12288: request}
    data = "".join(f'(data (i32.const {at}) "{escaped(bytes_)}")' for at, bytes_ in places.items())
    text = f"""(module
      (import "liar.LiarHost" "note" (func $note (param i32 i32) (result i64)))
      (memory (export "memory") 1) {data}
      (func (export "hlfuzz_alloc") (param i32) (result i32) (i32.const 20480))
      (func (export "liar_LiarGuest_answer") (param i32 i32) (result i64)
        (if (i32.gt_u (local.get 1) (i32.const 24)) (then
          (drop (call $note (i32.const 12288) (i32.const {len(request)})))
          (return (i64.const {8192 << 32 | len(answer)}))))
        (i64.const {4096 << 32 | len(right)})))"""
    guest = Guest.from_wasm(stamped(bytes(wasmtime.wat2wasm(text))), name="typed")
    return Target(guest, describe_interface(guest.info, Config()), engine="kvm", schema=interface)


def breaks(interface: Interface, data: bytes) -> tuple[str, str] | None:
    fault = interface.codec.verify("liar.Answer", data)
    return None if fault is None else (fault.rule.name, fault.path)


def escaped(data: bytes) -> str:
    return "".join(f"\\{byte:02x}" for byte in data)


@contextmanager
def broken(*damage: Callable[[], AbstractContextManager[Any]], engine: str = "kvm") -> Iterator[Target]:
    """A guest without fault, on a platform with one."""
    with ExitStack() as stack:
        for plant in damage:
            stack.enter_context(plant())
        yield stack.enter_context(guests.target(guests.CLEAN_ECHO, engine))


@contextmanager
def native(faults: int) -> Iterator[None]:
    """Every micro-VM has these bits of `hl_test_fault`."""
    from hlfuzz.vmm.library import lib

    make = Machine.__init__

    def make_careless(self: Machine, *args: Any, **options: Any) -> None:
        make(self, *args, **options)
        assert lib.hl_test_fault(self.pointer, faults) == lib.HL_DONE

    with patch.object(Machine, "__init__", make_careless):
        yield


@contextmanager
def new_verifiers() -> Iterator[None]:
    """Verifiers that were made before, and are good or bad, are not used."""
    liar_schema.cache_clear()
    try:
        yield
    finally:
        liar_schema.cache_clear()


def missing_a_bound(schema: Any, compile_program: Any = hlfuzz.bindings.verified.compile_program) -> bytes:
    """The verification program with elements of four bytes (op 6) taken for one byte long."""
    program, count = re.subn(
        rb"(\x06\x00....)(\x04\x00\x00\x00){2}",
        lambda found: found[1] + 2 * b"\1\0\0\0",
        compile_program(schema),
        flags=re.DOTALL,
    )
    assert count == 1
    return program


def any_number_for_an_enum(
    schema: Any, compile_program: Any = hlfuzz.bindings.verified.compile_program
) -> bytes:
    """In the program of the target's schema only: single numbers of one byte (op 1) belong to no enum."""
    program = compile_program(schema)
    if schema.name == "liar":
        return program
    mended, count = re.subn(
        rb"(\x01\x00.{4}\x01\x00\x00\x00\x01\x00\x00\x00).\x00\x00\x00(\xff{4})",
        lambda found: found[1] + 2 * found[2],
        program,
        flags=re.DOTALL,
    )
    assert count
    return mended


@contextmanager
def own_schema_unverified() -> Iterator[Target]:
    """The example filter, with a verifier that no other test meets."""
    with typed_example.target("filter_fbs") as sound:
        assert sound.schema is not None
        guest, schema = sound.guest, sound.schema.schema
    with patch.object(hlfuzz.bindings.verified, "compile_program", any_number_for_an_enum):
        interface = describe_interface(guest.info, Config())
        with Target(guest, interface, engine="kvm", schema=Interface(schema)) as own:
            yield own


def read_unverified(self: VerifiedReader, type_name: str) -> Any:
    return self._codec.reader(type_name)


def end_without_reset(self: CallContext, how: str, end: Any = CallContext._end) -> None:
    """The sandbox of a context in which a call failed is not reset."""
    with patch.object(self._box._engine, "reset", lambda: None) if self._poison else ExitStack():
        end(self, how)


def go_on_after_failure(self: CallContext, *call: Any, run: Any = CallContext._run) -> Any:
    result = run(self, *call)
    self._poison = ""
    return result


def read_what_is_there(
    self: Machine, memory: int, address: int, length: int, read: Any = Machine.memory_read
) -> bytes | None:
    """Of a buffer that leaves the memory, the part inside is taken."""
    inside = max(self.memory_size(memory) - address, 0)
    return read(self, memory, address, min(length, inside))


def forgiving(*asked: Any, read: Any = hlfuzz.sandbox.calls.read_result) -> Any:
    """An empty result instead of a violation."""
    result = read(*asked)
    return b"" if isinstance(result, Failure) else result


def status_only(record: bytes) -> tuple[int, int]:
    return read_header(record)[0], 0


@contextmanager
def request_read_again() -> Iterator[None]:
    """What is verified is not what is decoded."""
    again: list[Callable[[], bytes]] = []

    def request_bytes(caller: Caller, pointer: int, length: int, name: str) -> bytes:
        again[:] = [partial(caller.read, pointer, length & 0xFFFF_FFFF)]
        return again[0]()

    def read_request(data: bytes, request: Message, name: str, verify: Any = host.read_request) -> Any:
        verify(data, request, name)
        decode, _ = liar_schema().steps(request.type_name)
        return decode(again[0]())

    with patch.multiple(host, request_bytes=request_bytes, read_request=read_request):
        yield


def lenient(common: bool) -> Callable[[], AbstractContextManager[Any]]:
    """A loader that invents what is missing: everything, or with `common` only a name that toolchains use."""

    def link(guest: Guest, given: Any) -> Linked:
        invented = {
            i.key: HostFunction(lambda *arguments: 0)
            for i in guest.info.functions_imported
            if i.key not in given and (i.key == "env.abort" or not common)
        }
        return providers.link(guest, {**invented, **given})

    return partial(patch.object, box, "link", link)


def generous_link(guest: Guest, given: Any) -> Linked:
    """WASI for every guest that imports it."""
    if any(i.module == WASI for i in guest.info.imports):
        given = {**provide(guest, Wasi(allow="all"), given)[1], **given}
    return providers.link(guest, given)


def careless_link(guest: Guest, given: Any) -> Linked:
    """What nobody asked for is left out silently."""
    wanted = {i.key for i in guest.info.imports}
    return providers.link(guest, {name: provider for name, provider in given.items() if name in wanted})


def any_function(wanted: Any, type_: Any, provider: Any) -> HostFunction:
    """A provider of another kind becomes a function that does nothing."""
    if isinstance(provider, HostFunction):
        return provider
    return HostFunction(provider if callable(provider) else lambda *arguments: None)


@contextmanager
def shared_links() -> Iterator[None]:
    """All sandboxes of a guest get the host functions of the first."""
    linked: dict[Guest, Linked] = {}

    def link(guest: Guest, given: Any) -> Linked:
        return linked.setdefault(guest, providers.link(guest, given))

    with patch.object(box, "link", link):
        yield


FAULTS = (
    Planted(
        "lies-about-length-sometimes",
        "abi-conformity",
        Subject.GUEST,
        "a host call's length is 64 KiB too long when the input begins with a byte above 127",
        wat(SOMETIMES_LIES),
    ),
    Planted(
        "allocator-runs-out-of-room",
        "abi-conformity",
        Subject.GUEST,
        "the allocator puts its third vector at the end of the memory, however long it is",
        wat(RUNS_OUT_OF_ROOM),
    ),
    Planted(
        "allocator-ends-one-too-late",
        "abi-conformity",
        Subject.GUEST,
        "the allocator's room ends one byte behind the memory",
        wat(ENDS_ONE_TOO_LATE),
    ),
    Planted(
        "typed-enum-of-no-member",
        "abi-conformity",
        Subject.GUEST,
        "a response holds a number that is no member of its enum",
        partial(typed, "ENUM", "mood"),
    ),
    Planted(
        "typed-text-no-utf8",
        "abi-conformity",
        Subject.GUEST,
        "a text in a vector of a response is no UTF-8",
        partial(typed, "UTF8", "tags[1]"),
    ),
    Planted(
        "typed-union-of-no-variant",
        "abi-conformity",
        Subject.GUEST,
        "a request to a host function holds a union with a tag that the schema does not know",
        partial(typed, "UNION", "body", in_request=True),
    ),
    Planted(
        "typed-vector-outside-its-buffer",
        "abi-conformity",
        Subject.GUEST,
        "a vector in a request to a host function begins behind the end of the buffer",
        partial(typed, "BOUNDS", "numbers", in_request=True),
    ),
    Planted(
        "results-without-bounds",
        "abi-conformity",
        Subject.PLATFORM,
        "the native library copies a result from anywhere in the VM's RAM",
        partial(broken, partial(native, NO_BOUNDS)),
    ),
    Planted(
        "results-outside-are-empty",
        "abi-conformity",
        Subject.PLATFORM,
        "the in-process engine takes a result outside of memory for an empty one",
        partial(
            broken, partial(patch.object, hlfuzz.sandbox.calls, "read_result", forgiving), engine="inprocess"
        ),
        kvm=False,
    ),
    Planted(
        "host-call-buffers-are-cut",
        "abi-conformity",
        Subject.PLATFORM,
        "a host function that reads a buffer which leaves the memory gets the part inside",
        partial(broken, partial(patch.object, Machine, "memory_read", read_what_is_there)),
    ),
    Planted(
        "violation-without-reset",
        "abi-conformity",
        Subject.PLATFORM,
        "the sandbox is not reset at the end of a call context in which the guest lied",
        partial(broken, partial(patch.object, CallContext, "_end", end_without_reset)),
    ),
    Planted(
        "violation-leaves-context-open",
        "abi-conformity",
        Subject.PLATFORM,
        "a call context goes on after the guest lied in it",
        partial(broken, partial(patch.object, CallContext, "_run", go_on_after_failure)),
    ),
    Planted(
        "verifier-misses-a-bound",
        "abi-conformity",
        Subject.PLATFORM,
        "the native verifier takes elements of four bytes for one: a vector may end behind its buffer",
        partial(
            broken,
            partial(patch.object, hlfuzz.bindings.verified, "compile_program", missing_a_bound),
            new_verifiers,
        ),
    ),
    Planted(
        "own-schema-verified-without-enums",
        "abi-conformity",
        Subject.PLATFORM,
        "the native verifier of the target's schema takes any number for an enum",
        own_schema_unverified,
    ),
    Planted(
        "records-read-unverified",
        "abi-conformity",
        Subject.PLATFORM,
        "the typed client reads a response without verifying it",
        partial(broken, partial(patch.object, VerifiedReader, "decoder", read_unverified), new_verifiers),
    ),
    Planted(
        "second-word-of-header-ignored",
        "abi-conformity",
        Subject.PLATFORM,
        "the typed client looks at the status of a response record only, not at the word behind it",
        partial(
            broken, partial(patch.object, hlfuzz.bindings.client, "read_header", status_only), new_verifiers
        ),
    ),
    Planted(
        "length-read-twice",
        "double-fetch",
        Subject.PLATFORM,
        "the native library reads the length of a result once to check it and once more to copy",
        partial(broken, partial(native, READ_TWICE)),
    ),
    Planted(
        "request-read-twice",
        "double-fetch",
        Subject.PLATFORM,
        "the typed host verifies a request and then reads it from guest memory again",
        partial(broken, request_read_again),
    ),
    Planted(
        "loader-invents-imports",
        "capability",
        Subject.PLATFORM,
        "an import without a provider gets a function that returns 0",
        partial(broken, lenient(common=False)),
    ),
    Planted(
        "loader-invents-env-abort",
        "capability",
        Subject.PLATFORM,
        "a capability-probing guest gets `env.abort`, which toolchains import, without anybody giving it",
        partial(broken, lenient(common=True)),
    ),
    Planted(
        "wasi-for-everybody",
        "capability",
        Subject.PLATFORM,
        "a guest that imports WASI gets it without `wasi=`",
        partial(broken, partial(patch.object, box, "link", generous_link)),
    ),
    Planted(
        "unasked-provider-ignored",
        "capability",
        Subject.PLATFORM,
        "a host function that no import names, perhaps a misspelt one, is left out silently",
        partial(broken, partial(patch.object, box, "link", careless_link)),
    ),
    Planted(
        "kinds-not-checked",
        "capability",
        Subject.PLATFORM,
        "a memory is taken for an imported function, and one with another number of arguments, too",
        partial(broken, partial(patch.object, providers, "host_function", any_function)),
    ),
    Planted(
        "sandboxes-share-host-functions",
        "capability",
        Subject.PLATFORM,
        "a second sandbox of a guest calls the host functions of the first",
        partial(broken, shared_links),
    ),
)
