"""Schemas of other projects: read as flatc reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from fbs_facts import facts_of_binary, facts_of_schema
from flatc import compile_schemas, read_binary_schema
from third_party import FLATBUFFERS, VORTEX, WAMP, Package, schemas_of

from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse
from hlfuzz.schema.wellformed import check

# Tags wider than a byte: flatc's languages do not agree on them.
REFUSED_BY_US = {"union_underlying_type_test.fbs"}


@pytest.mark.parametrize(
    ("package", "least"),
    [
        pytest.param(FLATBUFFERS, 100, id="flatbuffers"),
        pytest.param(WAMP, 8, id="wamp"),
        pytest.param(VORTEX, 5, id="vortex"),
    ],
)
def test_schemas_of_another_project_have_the_same_structure(
    package: Package, least: int, tmp_path: Path
) -> None:
    root = schemas_of(package)
    files = sorted(root.rglob("*.fbs"))
    assert len(files) >= least
    include = [path for name in ("tests", "include_test", "sub", "flatbuffers") for path in root.rglob(name)]
    accepted = 0
    for number, file in enumerate(files):
        out = tmp_path / str(number)
        content, _ = compile_schemas([file], out, include)
        if not content or file.name in REFUSED_BY_US:
            with pytest.raises(SchemaError):
                parse(file, include=include)
            continue
        schema = parse(file, include=include)
        check(schema)
        theirs = facts_of_binary(read_binary_schema((out / f"{file.stem}.bfbs").read_bytes()))
        assert facts_of_schema(schema) == theirs, file
        accepted += 1
    assert accepted >= least * 9 // 10


def test_a_service_that_says_nothing_of_guests_keeps_its_unary_methods() -> None:
    root = schemas_of(FLATBUFFERS)
    file = next(root.rglob("tests/monster_test.fbs"))
    schema = parse(file, include=[file.parent / "include_test"])
    storage = next(s for s in schema.services if s.name == "MyGame.Example.MonsterStorage")
    assert [m.name for m in storage.methods] == ["Store"]
    assert [note.split(" ")[1] for note in schema.notes] == [
        f"MyGame.Example.MonsterStorage.{name}"
        for name in ("Retrieve", "GetMaxHitPoint", "GetMinMaxHitPoints")
    ]
