"""Evolution of FlatBuffers schemas: the verdicts of `flatc --conform`, and what it does not look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from flatc import run

from hlfuzz.errors import UsageError
from hlfuzz.schema.conform import conform
from hlfuzz.schema.fbs import parse_text
from hlfuzz.schema.ir import Format, Schema

TABLE = "table A { x:int; } table B { y:int; } struct P { x:int; } struct Q { x:int; }"
BOTH = "table A {} table B {} table C {}"

PAIRS: dict[str, tuple[str, str, str]] = {
    # name: old, new, the rule that the change breaks ("": none)
    "nothing": ("table T { a:int; }", "table T { a:int; }", ""),
    "table_added": ("table T { a:int; }", "table T { a:int; } table U {}", ""),
    "table_removed": ("table T { a:int; } table U {}", "table T { a:int; }", ""),
    "field_appended": ("table T { a:int; }", "table T { a:int; b:string; }", ""),
    "field_inserted": ("table T { a:int; }", "table T { b:int; a:int; }", "field-moved"),
    "fields_swapped": ("table T { a:int; b:int; }", "table T { b:int; a:int; }", "field-moved"),
    "fields_swapped_by_id": ("table T { a:int; b:int; }", "table T { b:int (id: 1); a:int (id: 0); }", ""),
    "last_field_removed": ("table T { a:int; b:int; }", "table T { a:int; }", "field-removed"),
    "first_field_removed": ("table T { a:int; b:int; }", "table T { b:int; }", "field-moved"),
    "field_deprecated": ("table T { a:int; b:int; }", "table T { a:int (deprecated); b:int; }", ""),
    "field_renamed": ("table T { a:int; }", "table T { b:int; }", ""),
    "field_renamed_and_changed": (
        "table T { a:int; }",
        "table T { b:float; }",
        "field-renamed-to-other-type",
    ),
    "field_renamed_and_moved": ("table T { a:int; b:int; }", "table T { c:int; a:int; }", "field-moved"),
    "type_changed": ("table T { a:int; }", "table T { a:uint; }", "field-type-changed"),
    "type_widened": ("table T { a:int; }", "table T { a:long; }", "field-type-changed"),
    "type_to_string": ("table T { a:[ubyte]; }", "table T { a:string; }", "field-type-changed"),
    "type_synonym": ("table T { a:int; }", "table T { a:int32; }", ""),
    "vector_element_changed": ("table T { a:[int]; }", "table T { a:[uint]; }", "field-type-changed"),
    "vector_of_enum_to_number": (
        "enum E : int { A } table T { a:[E]; }",
        "enum E : int { A } table T { a:[int]; }",
        "field-type-changed",
    ),
    "enum_to_number": (
        "enum E : int { A } table T { a:E; }",
        "enum E : int { A } table T { a:int; }",
        "field-type-changed",
    ),
    "number_to_table_of_that_name": (
        "table int32x {} table T { a:int; }",
        "table i32 {} table T { a:i32; }",
        "field-type-changed",
    ),
    "table_to_other_table": (TABLE + "table T { a:A; }", TABLE + "table T { a:B; }", "field-type-changed"),
    "struct_to_other_struct": (TABLE + "table T { a:P; }", TABLE + "table T { a:Q; }", "field-type-changed"),
    "table_of_other_namespace": (
        "namespace m; table A {} namespace n; table A {} table T { a:m.A; }",
        "namespace m; table A {} namespace n; table A {} table T { a:n.A; }",
        "",
    ),
    "default_changed": ("table T { a:int = 1; }", "table T { a:int = 2; }", "default-changed"),
    "default_added": ("table T { a:int; }", "table T { a:int = 2; }", "default-changed"),
    "default_written_otherwise": ("table T { a:int = 16; }", "table T { a:int = 0x10; }", ""),
    "default_of_float_changed": (
        "table T { a:float = 1.5; }",
        "table T { a:float = 1.25; }",
        "default-changed",
    ),
    "default_nan": ("table T { a:float = nan; }", "table T { a:float = nan; }", ""),
    "default_to_null": ("table T { a:int; }", "table T { a:int = null; }", "default-changed"),
    "default_from_null": ("table T { a:bool = null; }", "table T { a:bool = false; }", "default-changed"),
    "default_of_string": ('table T { a:string = "x"; }', 'table T { a:string = "y"; }', "default-changed"),
    "default_of_string_added": ("table T { a:string; }", 'table T { a:string = "y"; }', "default-changed"),
    "default_of_enum": (
        "enum E : int { A, B } table T { a:E = A; }",
        "enum E : int { A, B } table T { a:E = B; }",
        "default-changed",
    ),
    "required_added": ("table T { a:string; }", "table T { a:string (required); }", ""),
    "key_added": ("table T { a:int; }", "table T { a:int (key); }", ""),
    "offset_widened": (
        "table T { a:[int]; }",
        "table T { a:[int] (offset64); }",
        "field-offset-size-changed",
    ),
    "enum_value_added": ("enum E : int { A, B }", "enum E : int { A, B, C }", ""),
    "enum_value_inserted": ("enum E : int { A, B }", "enum E : int { A, C, B }", "enum-value-changed"),
    "enum_value_removed": ("enum E : int { A, B, C }", "enum E : int { A, C = 2 }", ""),
    "enum_value_renamed": ("enum E : int { A, B }", "enum E : int { A, C }", ""),
    "enum_value_changed": ("enum E : int { A, B }", "enum E : int { A, B = 5 }", "enum-value-changed"),
    "enum_underlying": ("enum E : int { A }", "enum E : uint { A }", "underlying-type-changed"),
    "enum_underlying_used": (
        "enum E : int { A } table T { e:E; }",
        "enum E : short { A } table T { e:E; }",
        "underlying-type-changed",
    ),
    "enum_to_bit_flags": ("enum E : uint { A }", "enum E : uint (bit_flags) { A }", "enum-value-changed"),
    "enum_to_union": (
        "table T {} enum U : int { A, B }",
        "table T {} union U { T }",
        "type-changed",
    ),
    "union_appended": (BOTH + "union U { A, B }", BOTH + "union U { A, B, C }", ""),
    "union_inserted": (BOTH + "union U { A, B }", BOTH + "union U { C, A, B }", "union-tag-changed"),
    "union_removed": (BOTH + "union U { A, B }", BOTH + "union U { B = 2 }", ""),
    "union_variant_of_other_type": (BOTH + "union U { x:A }", BOTH + "union U { x:B }", ""),
    "union_underlying": (BOTH + "union U { A }", BOTH + "union U : ubyte { A }", "underlying-type-changed"),
    "union_field_added": (
        BOTH + "union U { A } table T { a:int; }",
        BOTH + "union U { A } table T { a:int; u:U; }",
        "",
    ),
    "union_field_removed": (
        BOTH + "union U { A } table T { a:int; u:U; }",
        BOTH + "union U { A } table T { a:int; }",
        "field-removed",
    ),
    "union_field_renamed": (
        BOTH + "union U { A } table T { a:U; }",
        BOTH + "union U { A } table T { b:U; }",
        "",
    ),
    "union_to_vector_of_union": (
        BOTH + "union U { A } table T { a:U; }",
        BOTH + "union U { A } table T { a:[U]; }",
        "field-type-changed",
    ),
    "union_to_other_union": (
        BOTH + "union U { A } union V { A } table T { a:U; }",
        BOTH + "union U { A } union V { A } table T { a:V; }",
        "field-type-changed",
    ),
    "struct_field_appended": ("struct S { a:int; }", "struct S { a:int; b:int; }", ""),
    "struct_field_inserted": ("struct S { a:int; }", "struct S { b:int; a:int; }", "field-moved"),
    "struct_field_removed": ("struct S { a:int; b:int; }", "struct S { a:int; }", "field-removed"),
    "struct_field_renamed": ("struct S { a:int; b:int; }", "struct S { a:int; c:int; }", ""),
    "struct_padding_filled": ("struct S { a:byte; b:int; }", "struct S { a:byte; c:byte; b:int; }", ""),
    "struct_array_longer_at_the_end": ("struct S { a:[int:2]; }", "struct S { a:[int:3]; }", ""),
    "struct_array_longer": (
        "struct S { a:[int:2]; b:int; }",
        "struct S { a:[int:3]; b:int; }",
        "field-moved",
    ),
    "struct_aligned_otherwise": (
        "struct S { a:int; } struct R { x:byte; s:S; }",
        "struct S (force_align: 8) { a:int; } struct R { x:byte; s:S; }",
        "field-moved",
    ),
    "struct_to_table": ("struct S { a:int; }", "table S { a:int; }", "field-moved"),
    "table_to_struct_without_fields_in_common": ("table S {}", "struct S { a:int; }", ""),
}


@pytest.fixture
def verdict(tmp_path: Path):
    """Asks flatc whether one text is an evolution of another."""

    def ask(old: str, new: str) -> tuple[bool, str]:
        (tmp_path / "old.fbs").write_text(old)
        (tmp_path / "new.fbs").write_text(new)
        options = ("--schema", "--binary", "--no-warnings", "-o", tmp_path)
        good, said = run(*options, "--conform", tmp_path / "old.fbs", tmp_path / "new.fbs")
        assert good or "conform" in said
        return good, said

    return ask


def test_the_set_is_large_enough_to_mean_something() -> None:
    assert len(PAIRS) >= 60
    assert {rule for _, _, rule in PAIRS.values()} >= {
        *("field-moved", "field-removed", "field-type-changed", "field-renamed-to-other-type"),
        *("default-changed", "enum-value-changed", "union-tag-changed", "underlying-type-changed"),
    }


@pytest.mark.parametrize("name", PAIRS)
def test_the_verdict_is_that_of_flatc(name: str, verdict) -> None:
    old, new, rule = PAIRS[name]
    good, said = verdict(old, new)
    found = conform(parse_text(old), parse_text(new))
    assert bool(found) != good, (said, found)
    assert (rule in {b.rule for b in found}) if rule else not found


def test_all_breakages_are_reported_with_old_and_new() -> None:
    found = conform(
        parse_text("enum E : int { A } table T { a:int; b:int = 1; c:[int]; }"),
        parse_text("enum E : int { A = 1 } table T { a:uint; b:int = 2; }"),
    )
    assert [str(b) for b in found] == [
        "schema.fbs:1:16: enum-value-changed: E.A: value was 0, is 1",
        "schema.fbs:1:34: field-type-changed: T.a: type was i32, is u32",
        "schema.fbs:1:42: default-changed: T.b: default was 1, is 2",
        "schema.fbs:1:48: field-removed: T.c: was removed; mark it as deprecated instead",
    ]


SERVICES = "table A {} table B {} attribute 'hl_host';"


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("rpc_service S { f(A):A; }", "rpc_service S { f(A):A; g(A):A; }", ""),
        ("rpc_service S { f(A):A; g(B):A; }", "rpc_service S { g(B):A; f(A):A; }", ""),
        ("rpc_service S { f(A):A; }", "rpc_service S { g(A):A; }", "method-removed"),
        ("rpc_service S { f(A):A; }", "", "service-removed"),
        ("rpc_service S { f(A):A; }", "rpc_service S { f(B):A; }", "method-request-changed"),
        ("rpc_service S { f(A):A; }", "rpc_service S { f(A):B; }", "method-response-changed"),
        ("rpc_service S { f(A):A; }", "rpc_service S (hl_host) { f(A):A; }", "service-direction-changed"),
        ("", "rpc_service S { f(A):A; }", ""),
    ],
)
def test_services_have_rules_of_their_own_which_flatc_has_not(old: str, new: str, rule: str, verdict) -> None:
    good, _ = verdict(SERVICES + old, SERVICES + new)
    assert good
    found = conform(parse_text(SERVICES + old), parse_text(SERVICES + new))
    assert [b.rule for b in found] == ([rule] if rule else [])


def test_schemas_of_two_languages_are_not_compared() -> None:
    with pytest.raises(UsageError, match="two versions of one schema"):
        conform(Schema("a", Format.FBS), Schema("a", Format.RAW))
