"""What the FlatBuffers front end says about a wrong schema: where, what, what to do; all of it."""

from __future__ import annotations

import pytest

from hlfuzz.schema.diagnostics import MAX_DIAGNOSTICS, Diagnostic, SchemaError
from hlfuzz.schema.fbs import parse_text


def errors(text: str, **files: str) -> tuple[Diagnostic, ...]:
    named = {name.replace("_", "."): content for name, content in files.items()}
    with pytest.raises(SchemaError) as caught:
        parse_text(text, files=named)
    return caught.value.diagnostics


def test_an_error_shows_file_line_column_the_line_a_caret_and_what_to_do() -> None:
    (error,) = errors("table Person {\n\tname:string;\n\tage:intt;\n}\n")
    assert str(error) == (
        "schema.fbs:3:6: error: type 'intt' is not defined\n   age:intt;\n       ^\n  did you mean 'int'?"
    )


def test_a_missing_semicolon_is_shown_where_it_is_missing() -> None:
    (error,) = errors("table T {\n  a:int\n  b:int;\n}\n")
    assert (error.position.line, error.position.column) == (2, 8)
    assert error.message == "expected ';', found 'b'"


def test_every_wrong_field_is_reported_and_the_rest_is_read() -> None:
    found = errors(
        """
        table T {
          a:int = 1.5;
          b:[[int]];
          c int;
          d:string = 5;
          good:int;
          e:int (depricated);
        }
        enum E : ubyte { A = 300, B, C = -1 }
        struct S { s:string; t:[int:0]; }
        tabel X { y:int; }
        rpc_service R { f(T):Nope; g(E):T; }
        root_type Q;
        """
    )
    messages = [e.message for e in found]
    assert [m.split(" ")[0] for m in messages] == [
        *("'1.5'", "vectors", "expected", "'5'", "unknown", "'300'", "'-1'", "a", "an", "expected"),
        *("a", "there"),
    ]


def test_what_is_missing_is_not_reported_after_an_error_of_syntax() -> None:
    found = errors("table A { x:int\n table B { a:A; }")
    assert not [e for e in found if "is not defined" in e.message]


def test_an_error_in_an_included_file_names_that_file() -> None:
    (error,) = errors('include "a.fbs"; table T {}', a_fbs="\ntable A { x:Nope; }")
    assert str(error.position) == "a.fbs:2:13"


def test_a_table_in_another_namespace_is_suggested() -> None:
    (error,) = errors("namespace a; table A {} namespace b; table B { a:A; }")
    assert error.suggestion == "did you mean 'a.A'?"


def test_an_enum_used_before_its_definition_is_said_to_be() -> None:
    (error,) = errors("table T { e:E; } enum E : int { A }")
    assert "define 'E' before it is used" in error.suggestion


def test_a_second_definition_names_the_first() -> None:
    (error,) = errors("table T {}\nstruct T { x:int; }")
    assert str(error.position) == "schema.fbs:2:8"
    assert error.suggestion == "the first is at schema.fbs:1:7"


def test_columns_count_characters() -> None:
    (error,) = errors('table T { a:string = "é漢😀"; b:Nope; }')
    assert error.position.column == 31


def test_control_characters_of_a_schema_do_not_reach_the_terminal() -> None:
    (error,) = errors("table T { a:int; \x1b[31m }")
    assert "\x1b" not in str(error)


def test_no_more_errors_are_kept_than_anyone_reads() -> None:
    assert len(errors("table T { " + "a:Nope = ; " * 5_000 + "}")) == MAX_DIAGNOSTICS


def test_one_error_in_a_string_is_one_error() -> None:
    (error,) = errors('table T {\n  a:string = "\\q";\n  b:int;\n}')
    assert error.message == "unknown escape in a string"


@pytest.mark.parametrize(
    "text",
    [
        "table T { a:int;\ntable U { b:int; }\n",
        "table T {{{ a:int; }\nstruct U { }}}\n",
        "enum E : int { A, @, B }\n}}\ntable T",
        "rpc_service S { f(T:T; }\nnamespace",
        "union U { : }\nunion { , }",
        "( ) [ ] < > , : ; =",
    ],
)
def test_errors_come_in_order_of_the_file_and_end(text: str) -> None:
    found = errors(text)
    places = [(e.position.line, e.position.column) for e in found if "expected" in e.message]
    assert found
    assert places == sorted(places)


def test_a_misspelt_type_of_the_same_namespace_is_suggested_by_its_short_name() -> None:
    (error,) = errors("namespace net; table Header {} table T { a:[Heder]; }")
    assert error.suggestion == "did you mean 'Header'?"
