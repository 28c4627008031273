"""Evolution of Protobuf schemas: changes that peers bear, and those that they misread or refuse."""

from __future__ import annotations

from functools import cache

import pytest

from hlfuzz.schema.conform import conform
from hlfuzz.schema.ir import Position, Schema
from hlfuzz.schema.proto import parse_text

_DEFINITIONS = """
enum Open { ZERO = 0; ONE = 1; } enum Shut { option features.enum_type = CLOSED; NIL = 0; TEN = 10; }
message Sub { int32 x = 1; } message Other { int32 x = 1; }
"""


@cache
def schema(text: str) -> Schema:
    return parse_text(f'edition = "2023"; package t;{_DEFINITIONS}\n{text}', name="t.proto")


def rules(old: str, new: str) -> list[str]:
    return [b.rule for b in conform(schema(old), schema(new))]


def message(body: str) -> str:
    return f"message M {{ {body} }}"


RAW = "[features.utf8_validation = NONE]"
MUST = "[features.field_presence = LEGACY_REQUIRED]"
ZERO = "[features.field_presence = IMPLICIT]"
GROUP = "[features.message_encoding = DELIMITED]"
SHUT = "option features.enum_type = CLOSED;"
LOOSE = "[features.repeated_field_encoding = EXPANDED]"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("int32 a = 1;", "int32 a = 1; string b = 2;"),
        ("int32 a = 1;", "int32 renamed = 1;"),
        ("int32 a = 1; int32 b = 2;", "int32 a = 1; reserved 2;"),
        ("int32 a = 1; int32 b = 7;", "int32 a = 1; reserved 2, 5 to 9;"),
        ("int32 a = 1; int32 b = 2;", "int32 b = 2; int32 a = 1;"),
        ("int32 a = 1;", "int64 a = 1;"),
        ("bool a = 1; uint32 b = 2;", "uint64 a = 1; int32 b = 2;"),
        ("sint32 a = 1;", "sint64 a = 1;"),
        ("fixed32 a = 1; sfixed64 b = 2;", "sfixed32 a = 1; fixed64 b = 2;"),
        ("Open a = 1;", "int32 a = 1;"),
        (f"string a = 1 {RAW};", "bytes a = 1;"),
        ("int32 a = 1;", f"int32 a = 1 {ZERO};"),
        ("repeated int32 a = 1;", f"repeated int32 a = 1 {LOOSE};"),
        ("map<int32, int32> a = 1;", "map<int64, uint32> a = 1;"),
        ("oneof o { int32 a = 1; }", "oneof o { int32 a = 1; string b = 2; }"),
        ("oneof o { int32 a = 1; }", "oneof renamed { int32 a = 1; }"),
        ("int32 a = 1;", "oneof o { int32 a = 1; string b = 2; }"),
        ("oneof o { int32 a = 1; int32 b = 2; }", "oneof o { int32 a = 1; } reserved 2;"),
        ("reserved 2, 4 to 9;", "reserved 2 to 5, 6 to 20;"),
        ("extensions 100 to 200;", "extensions 50 to max;"),
        ("Sub a = 1;", "Sub a = 1 [deprecated = true];"),
    ],
)
def test_a_change_that_peers_bear_is_no_breakage(old: str, new: str):
    assert rules(message(old), message(new)) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("int32 a = 1; int32 b = 2;", "int32 a = 1;", "field-removed"),
        ("int32 a = 1; int32 b = 2;", "int32 a = 1; reserved 3;", "field-removed"),
        ("int32 a = 1;", "string a = 1;", "field-type-changed"),
        ("int32 a = 1;", "sint32 a = 1;", "field-type-changed"),
        ("int32 a = 1;", "fixed32 a = 1;", "field-type-changed"),
        ("fixed32 a = 1;", "fixed64 a = 1;", "field-type-changed"),
        ("float a = 1;", "double a = 1;", "field-type-changed"),
        ("float a = 1;", "fixed32 a = 1;", "field-type-changed"),
        ("Sub a = 1;", "Other a = 1;", "field-type-changed"),
        ("Sub a = 1;", "bytes a = 1;", "field-type-changed"),
        ("Shut a = 1;", "int32 a = 1;", "field-type-changed"),
        ("Open a = 1;", "Shut a = 1;", "field-type-changed"),
        ("bytes a = 1;", "string a = 1;", "field-type-changed"),
        ("string a = 1;", "bytes a = 1;", "field-type-changed"),
        (f"string a = 1 {RAW};", "string a = 1;", "field-utf8-changed"),
        ("string a = 1;", f"string a = 1 {RAW};", "field-utf8-changed"),
        ("int32 a = 1;", "repeated int32 a = 1;", "field-cardinality-changed"),
        ("repeated string a = 1;", "string a = 1;", "field-cardinality-changed"),
        ("map<int32, int32> a = 1;", "map<int32, string> a = 1;", "field-type-changed"),
        ("map<int32, int32> a = 1;", "map<string, int32> a = 1;", "field-type-changed"),
        ("map<int32, int32> a = 1;", "Sub a = 1;", "field-type-changed"),
        ("map<int32, int32> a = 1;", "repeated Sub a = 1;", "field-cardinality-changed"),
        ("Sub a = 1;", f"Sub a = 1 {GROUP};", "field-encoding-changed"),
        ("int32 a = 1;", f"int32 a = 1 {MUST};", "required-changed"),
        (f"int32 a = 1 {MUST};", "int32 a = 1;", "required-changed"),
        ("int32 a = 1;", f"int32 a = 1; int32 b = 2 {MUST};", "required-field-added"),
        (f"int32 a = 1 {MUST};", "reserved 1;", "required-field-removed"),
        ("int32 a = 1; int32 b = 2;", "oneof o { int32 a = 1; int32 b = 2; }", "field-oneof-changed"),
        ("oneof o { int32 a = 1; int32 b = 2; }", "int32 a = 1; int32 b = 2;", "field-oneof-changed"),
        ("oneof o { int32 a = 1; int32 b = 2; }", "oneof o { int32 a = 1; } reserved 3;", "field-removed"),
        ("int32 a = 1 [default = 5];", "int32 a = 1;", "field-default-changed"),
        ("int32 a = 1 [default = 5];", "int32 a = 1 [default = 6];", "field-default-changed"),
        ("oneof o { int32 a = 1 [default = 5]; }", "oneof o { int32 a = 1; }", "field-default-changed"),
        ("reserved 2, 4 to 9;", "reserved 4 to 9;", "reservation-removed"),
        ("reserved 4 to 9;", "reserved 4 to 6, 8 to 9;", "reservation-removed"),
        ("extensions 100 to 200;", "extensions 100 to 150;", "extension-range-removed"),
    ],
)
def test_a_change_that_peers_misread_is_reported(old: str, new: str, rule: str):
    assert set(rules(message(old), message(new))) == {rule}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("enum E { A = 0; }", "enum E { A = 0; B = 1; }", []),
        ("enum E { A = 0; B = 1; }", "enum E { A = 0; C = 1; }", []),
        ("enum E { A = 0; B = 1; }", "enum E { A = 0; reserved 1; }", []),
        ("enum E { A = 0; B = 1; }", "enum E { A = 0; }", ["enum-member-removed"]),
        ("enum E { A = 0; B = -5; }", "enum E { A = 0; reserved 5; }", ["enum-member-removed"]),
        ("enum E { A = 0; B = -5; }", "enum E { A = 0; reserved -6 to -4; }", []),
        ("enum E { A = 0; B = 1; }", "enum E { A = 0; B = 2; }", ["enum-member-changed"]),
        ("enum E { A = 0; reserved 1; }", "enum E { A = 0; B = 1; }", ["reservation-removed"]),
        ("enum E { A = 0; }", f"enum E {{ {SHUT} A = 0; }}", ["enum-closedness-changed"]),
        ("enum E { A = 0; }", "", ["enum-removed"]),
        ("message E {}", "", ["message-removed"]),
        ("message E {}", "enum E { A = 0; }", ["kind-changed"]),
        ("", "message E {}", []),
        ("service S { rpc A(Sub) returns (Sub); }", "service S {}", ["method-removed"]),
        ("service S { rpc A(Sub) returns (Sub); }", "", ["service-removed"]),
        (
            "service S { rpc A(Sub) returns (Sub); }",
            "service S { rpc A(Other) returns (Other); }",
            ["method-request-changed", "method-response-changed"],
        ),
        (
            "service S { rpc A(Sub) returns (Sub); }",
            "service S { rpc A(Sub) returns (Sub); rpc B(Sub) returns (Sub); }",
            [],
        ),
    ],
)  # fmt: skip
def test_enums_messages_and_services(old: str, new: str, expected: list[str]):
    assert rules(old, new) == expected


def test_a_breakage_says_what_it_was_and_is_and_where():
    old = schema(message("int32 a = 1;"))
    found = conform(old, schema("\n" + message("string b = 1;")))
    assert [(b.path, b.message, b.position) for b in found] == [
        ("t.M.a", "were i32 (varint), are string", Position("t.proto", 6, 13))
    ]
    removed = conform(old, schema(message("")))
    assert [b.position for b in removed] == [Position("t.proto", 5, 13)]


def test_a_schema_conforms_to_itself():
    text = message(
        "oneof o { int32 a = 1; Sub b = 2; } map<int32, Sub> c = 3; repeated Open d = 4; reserved 9;"
    )
    assert rules(text, text) == []
