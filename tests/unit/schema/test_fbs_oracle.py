"""Our parser and flatc: the same schemas accepted, the same structure read."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from fbs_facts import facts_of_binary, facts_of_schema
from fbs_invalid import INVALID, STRICTER
from fbs_valid import INCLUDES, VALID
from flatc import compile_schemas, read_binary_schema

from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse
from hlfuzz.schema.wellformed import check

_FILES = {f"{name}.fbs": {f"{name}.fbs": text} for name, text in VALID.items()}


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All valid schemas, with what one run of flatc makes of them."""
    folder = tmp_path_factory.mktemp("valid")
    for files in _FILES.values():
        _write(folder, files)
    accepted, said = compile_schemas([folder / name for name in _FILES], folder)
    assert accepted, said
    return folder


def _assert_same(main: Path, binary: Path, include: tuple[Path, ...] = ()) -> None:
    schema = parse(main, include=include)
    check(schema)
    ours = facts_of_schema(schema)
    theirs = facts_of_binary(read_binary_schema(binary.read_bytes()))
    assert ours.keys() == theirs.keys()
    for name, fact in theirs.items():
        assert ours[name] == fact, name


def test_the_set_is_large_enough_to_mean_something() -> None:
    assert len(VALID) + len(INCLUDES) >= 100
    assert len(INVALID) >= 100


@pytest.mark.parametrize("name", VALID)
def test_a_schema_that_flatc_accepts_has_the_same_structure(compiled: Path, name: str) -> None:
    _assert_same(compiled / f"{name}.fbs", compiled / f"{name}.bfbs")


@pytest.mark.parametrize("name", INCLUDES)
def test_a_schema_of_several_files_has_the_same_structure(tmp_path: Path, name: str) -> None:
    _write(tmp_path, INCLUDES[name])
    accepted, said = compile_schemas([tmp_path / "main.fbs"], tmp_path)
    assert accepted, said
    _assert_same(tmp_path / "main.fbs", tmp_path / "main.bfbs")


@pytest.mark.parametrize("name", INVALID)
def test_a_schema_that_flatc_refuses_is_refused_by_name(tmp_path: Path, name: str) -> None:
    text, message = INVALID[name]
    _write(tmp_path, {"main.fbs": text})
    accepted, _ = compile_schemas([tmp_path / "main.fbs"], tmp_path)
    assert not accepted
    with pytest.raises(SchemaError, match=f"(?s){message.replace('(', '[(]').replace(')', '[)]')}"):
        parse(tmp_path / "main.fbs")


@pytest.mark.parametrize("name", STRICTER)
def test_what_flatc_accepts_and_cannot_work_is_refused_by_name(tmp_path: Path, name: str) -> None:
    text, message = STRICTER[name]
    _write(tmp_path, {"main.fbs": text})
    accepted, said = compile_schemas([tmp_path / "main.fbs"], tmp_path)
    assert accepted, said
    with pytest.raises(SchemaError) as caught:
        parse(tmp_path / "main.fbs")
    assert message in str(caught.value)


def test_the_comparison_sees_a_difference(compiled: Path, tmp_path: Path) -> None:
    changed = VALID["struct_nested"].replace("y:short", "y:int")
    _write(tmp_path, {"changed.fbs": changed})
    with pytest.raises(AssertionError):
        _assert_same(tmp_path / "changed.fbs", compiled / "struct_nested.bfbs")


def test_floats_that_are_no_numbers_are_compared(compiled: Path) -> None:
    theirs = facts_of_binary(read_binary_schema((compiled / "float_words.bfbs").read_bytes()))
    assert theirs["T.a"]["default"] == "nan"
    assert theirs["T.b"]["default"] == repr(math.inf)
