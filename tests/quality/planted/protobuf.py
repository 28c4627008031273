"""A guest with a broad Protobuf schema, and verifiers of Protobuf that each miss one bound."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any
from unittest.mock import patch

import wasmtime

from hlfuzz.bindings import SECTION, Interface, section_text
from hlfuzz.guest import Guest
from hlfuzz.guest.sections import with_custom_section
from hlfuzz.invariants import Config, Subject, Target, describe_interface
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.proto import parse_text
from hlfuzz.schema.wire.protobuf import codec, scan, tables
from planted import Planted

BROAD = """
edition = "2023"; package b;
enum Open { ZERO = 0; ONE = 1; MINUS = -1; }
enum Closed { option features.enum_type = CLOSED; NIL = 0; TWO = 2; }
message Leaf { string text = 1; bytes raw = 2; int32 r = 3 [features.field_presence = LEGACY_REQUIRED]; }
message Inner { repeated int32 packed = 1; string s = 2; fixed32 f = 3; double d = 4; sint64 z = 5; }
message All {
  Inner inner = 1; Inner group = 2 [features.message_encoding = DELIMITED]; Open open = 3; Closed closed = 4;
  repeated double doubles = 5; repeated string texts = 6; map<string, Leaf> leaf_by = 7;
  map<sint32, Closed> closed_by = 8; All kid = 9; string unchecked = 10 [features.utf8_validation = NONE];
  oneof choice { string word = 11; Leaf leaf = 12; Inner part = 13 [features.message_encoding = DELIMITED]; }
}
message Answer { All all = 1; }
service BGuest { rpc go(All) returns (Answer); rpc leaf(Leaf) returns (Answer); }
"""

# Answers any request with an empty message; there is room for a request of 2 MiB.
ANSWERS = """(module (memory (export "memory") 40)
  (func (export "hlfuzz_alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "b_BGuest_go") (param i32 i32) (result i64) (i64.const 0x10_0000_0008))
  (func (export "b_BGuest_leaf") (param i32 i32) (result i64) (i64.const 0x10_0000_0008)))"""


@cache
def broad() -> Schema:
    return parse_text(BROAD, name="broad")


def target(engine: Any = "kvm") -> Target:
    """The guest, without a fault; with a codec of its own."""
    interface = Interface(broad())
    section = section_text(interface.schema).encode()
    wasm = with_custom_section(bytes(wasmtime.wat2wasm(ANSWERS)), SECTION, section)
    guest = Guest.from_wasm(wasm, name="broad")
    return Target(guest, describe_interface(guest.info, Config()), engine=engine, schema=interface)


BOUNDS = {
    "group-without-end": ("if frame.group:", "if False:"),
    "group-ended-by-another": ("number == frame.group and number:", "frame.group:"),
    "tag-of-more-than-32-bits": ("_MAX_TAG: Final = 0xFFFF_FFFF", "_MAX_TAG: Final = 1 << 40"),
    "tag-of-six-bytes": ("_SHORT: Final = 5", "_SHORT: Final = 10"),
    "length-of-more-than-31-bits": ("_MAX_LENGTH: Final = 0x7FFF_FFFF", "_MAX_LENGTH: Final = 1 << 40"),
    "length-behind-its-message": ("if size > end - pos:", "if size > len(data) - pos:"),
    "number-behind-its-message": ("_ONE.match(data, start, end)", "_ONE.match(data, start)"),
    "tag-behind-its-message": ("if start + index >= end:", "if start + index >= len(data):"),
    "field-number-0": ("if number == 0:", "if False:"),
    "wire-type-6": ("if wire not in _WIRE_NAMES:", "if wire == 7:"),
    "another-wire-type": ("number in frame.table.names:", "False:"),
    "fixed-number-behind-the-end": ("if pos > end:", "if pos > len(data):"),
    "depth": ("if len(frames) >= depth:", "if len(frames) > depth:"),
    "utf8": ("data[start:stop].decode()", 'data[start:stop].decode(errors="replace")'),
    "overlong-utf8": ("data[start:stop].decode()", 'data[start:stop].replace(b"\\xc0\\x80", b"").decode()'),
    "surrogates": ("data[start:stop].decode()", 'data[start:stop].decode(errors="surrogatepass")'),
    "packed-number-without-end": ("if run.end() != stop:", "if False:"),
    "packed-run-of-odd-length": ("if (stop - start) % size:", "if False:"),
    "number-of-eleven-bytes": ("[\\x80-\\xff]{0,9}+[\\x00-\\x7f]", "[\\x80-\\xff]{0,10}+[\\x00-\\x7f]"),
}
"""What the verifier looks at, and how it looks when it does not."""


@contextmanager
def misses(bound: str) -> Iterator[None]:
    """The verifier without one of its bounds."""
    old, new = BOUNDS[bound]
    text = inspect.getsource(scan)
    assert old in text, bound
    made: dict[str, Any] = {"__name__": scan.__name__}
    exec(compile(text.replace(old, new), "scan without a bound", "exec"), made)
    with patch.multiple(codec, scan=made["scan"], Fault=made["Fault"], Frame=made["Frame"]):
        yield


def _each(schema: Schema, change: Callable[[tables.Table], None]) -> dict[str, tables.Table]:
    """The verifier's tables with a change in each, also in those of map entries."""
    found = tables.tables(schema)
    for table in found.values():
        change(table)
        for _, child in table.known.values():
            if child is not None and child not in found.values():
                change(child)
    return found


def _demand_nothing(table: tables.Table) -> None:
    table.demanding = False


def _take_any_text(table: tables.Table) -> None:
    texts, any_bytes = tables.Content.TEXT.value, tables.Content.BYTES.value
    table.known = {
        tag: (any_bytes if content == texts else content, child)
        for tag, (content, child) in table.known.items()
    }


TABLES = {"required-fields": _demand_nothing, "texts-are-bytes": _take_any_text}


@contextmanager
def reads_tables(change: str) -> Iterator[None]:
    """The verifier with tables that leave something out."""
    with patch.object(codec, "tables", partial(_each, change=TABLES[change])):
        yield


@contextmanager
def broken(plant: Callable[[], Any], engine: str = "kvm") -> Iterator[Target]:
    with plant(), target(engine) as opened:
        yield opened


FAULTS = tuple(
    Planted(f"protobuf-{name}", "abi-conformity", Subject.PLATFORM, what, partial(broken, plant))
    for name, what, plant in (
        (
            "length-behind-its-message",
            "the verifier of Protobuf takes a length that ends behind its message, but inside the buffer",
            partial(misses, "length-behind-its-message"),
        ),
        (
            "group-ended-by-another",
            "the verifier of Protobuf takes any end of a group for that of the group which is open",
            partial(misses, "group-ended-by-another"),
        ),
        (
            "required-fields-unread",
            "the reader of Protobuf takes a message without a required field",
            partial(reads_tables, "required-fields"),
        ),
    )
)
