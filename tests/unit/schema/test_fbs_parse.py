"""What the FlatBuffers front end makes of a schema, beyond what flatc's binary schema tells."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse, parse_text
from hlfuzz.schema.ir import Direction, Field, Named, Presence, Vector
from hlfuzz.schema.load import load


def field(text: str, name: str = "a") -> Field:
    return next(f for f in parse_text(text).record("T").fields if f.name == name)


def test_fields_are_in_order_of_their_ids() -> None:
    record = parse_text("table T { b:int (id: 1); c:int (id: 2); a:int (id: 0); }").record("T")
    assert [(f.name, f.id) for f in record.fields] == [("a", 0), ("b", 1), ("c", 2)]


def test_the_id_of_a_union_is_that_of_its_value() -> None:
    record = parse_text("table A {} union U { A } table T { x:int; u:U; v:[U]; y:int; }").record("T")
    assert [(f.name, f.id) for f in record.fields] == [("x", 0), ("u", 2), ("v", 4), ("y", 5)]
    assert record.fields[2].type == Vector(Named("U"))


def test_deprecated_fields_stay() -> None:
    assert field("table T { a:int (deprecated); b:int; }").deprecated


@pytest.mark.parametrize(
    ("type_", "presence", "default"),
    [
        ("int", Presence.IMPLICIT, 0),
        ("int = 5", Presence.IMPLICIT, 5),
        ("int = null", Presence.OPTIONAL, None),
        ("bool = true", Presence.IMPLICIT, True),
        ("ulong = 18446744073709551615", Presence.IMPLICIT, 18446744073709551615),
        ("float = 3.14", Presence.IMPLICIT, 3.140000104904175),
        ("double = 3.14", Presence.IMPLICIT, 3.14),
        ("float = 1e39", Presence.IMPLICIT, math.inf),
        ("double = -inf", Presence.IMPLICIT, -math.inf),
        ("string", Presence.OPTIONAL, None),
        ('string = "hé"', Presence.IMPLICIT, "hé"),
        ('string = ""', Presence.IMPLICIT, ""),
        ("string (required)", Presence.REQUIRED, None),
        ("string (key)", Presence.REQUIRED, None),
        ("[int]", Presence.IMPLICIT, None),
        ("[int] = []", Presence.IMPLICIT, None),
        ("[int] (required)", Presence.REQUIRED, None),
        ("T", Presence.OPTIONAL, None),
        ("T (required)", Presence.REQUIRED, None),
    ],
)
def test_presence_and_default_of_a_field(type_: str, presence: Presence, default: object) -> None:
    found = field(f"table T {{ a:{type_}; }}")
    assert (found.presence, found.default) == (presence, default)
    assert type(found.default) is type(default)


def test_fields_of_structs_are_always_there() -> None:
    record = parse_text("struct S { a:int; b:[S2:3]; }".replace("S2", "short")).record("S")
    assert {f.presence for f in record.fields} == {Presence.REQUIRED}


def test_a_nested_buffer_names_its_root_in_full() -> None:
    schema = parse_text('namespace n; table U {} table T { a:[ubyte] (nested_flatbuffer: "U"); }')
    assert schema.record("n.T").fields[0].nested == "n.U"


@pytest.mark.parametrize(
    ("name", "service", "method", "direction"),
    [
        ("Filter", "", "", Direction.GUEST),
        ("FilterGuest", "", "", Direction.GUEST),
        ("FilterHost", "", "", Direction.HOST),
        ("FilterGuest", "(hl_host)", "", Direction.HOST),
        ("FilterHost", "(hl_guest)", "", Direction.GUEST),
        ("Filter", "", "(hl_host)", Direction.HOST),
        ("Filter", "(hl_host)", "(hl_host, hl_stateful)", Direction.HOST),
    ],
)
def test_attributes_and_names_give_the_direction(
    name: str, service: str, method: str, direction: Direction
) -> None:
    schema = parse_text(
        f"""attribute "hl_host"; attribute "hl_guest"; attribute "hl_stateful";
        namespace n; table A {{}} rpc_service {name} {service} {{ f(A):A {method}; }}"""
    )
    (found,) = schema.services
    assert found.direction is direction
    assert found.methods[0].direction is direction
    symbol = f"n.{name}.f" if direction is Direction.HOST else f"n_{name}_f"
    assert found.methods[0].symbol == symbol
    assert found.methods[0].stateful == ("stateful" in method)


def test_a_stateful_service_has_stateful_methods() -> None:
    schema = parse_text('attribute "hl_stateful"; table A {} rpc_service S (hl_stateful) { f(A):A; g(A):A; }')
    assert [m.stateful for m in schema.services[0].methods] == [True, True]


def test_streams_are_left_out_with_a_note_where_nothing_says_guest_or_host() -> None:
    schema = parse_text('table A {} rpc_service S { f(A):A (streaming: "bidi"); g(A):A; }')
    assert [m.name for m in schema.services[0].methods] == ["g"]
    assert schema.notes == ("method S.f is streaming (bidi): left out",)


@pytest.mark.parametrize("service", ["SGuest", "SHost", "S (hl_host)"])
def test_streams_are_refused_in_an_interface_of_guest_and_host(service: str) -> None:
    with pytest.raises(SchemaError, match="is streaming"):
        parse_text(
            f'attribute "hl_host"; table A {{}} rpc_service {service} {{ f(A):A (streaming: "client"); }}'
        )


def test_documentation_and_positions_are_kept() -> None:
    schema = parse_text("/// One.\n///  Two.\ntable T {\n  /// F\n  a:int;\n}\n")
    record = schema.record("T")
    assert record.doc == "One.\n Two."
    assert record.fields[0].doc == "F"
    assert str(record.position) == "schema.fbs:3:7"
    assert str(record.fields[0].position) == "schema.fbs:5:3"


def test_the_main_file_comes_first_among_files(tmp_path: Path) -> None:
    (tmp_path / "main.fbs").write_text('include "a.fbs"; table T {}')
    (tmp_path / "a.fbs").write_text("table A {}")
    schema = load(tmp_path / "main.fbs")
    assert schema.name == "main"
    assert schema.files == (str(tmp_path / "main.fbs"), str(tmp_path / "a.fbs"))
    assert [d.name for d in schema.definitions] == ["A", "T"]


def test_include_folders_are_searched_in_order(tmp_path: Path) -> None:
    for folder, table in (("x", "X"), ("y", "Y")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.fbs").write_text(f"table {table} {{}}")
    (tmp_path / "main.fbs").write_text('include "a.fbs";')
    schema = parse(tmp_path / "main.fbs", include=[tmp_path / "y", tmp_path / "x"])
    assert [d.name for d in schema.definitions] == ["Y"]


def test_texts_may_include_texts() -> None:
    files = {"sub/a.fbs": 'include "b.fbs"; table A { b:B; }', "sub/b.fbs": "table B {}"}
    schema = parse_text('include "sub/a.fbs"; table T { a:A; }', files=files)
    assert [d.name for d in schema.definitions] == ["B", "A", "T"]
