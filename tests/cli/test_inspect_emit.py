"""`hlfuzz inspect --emit`: the interface of a module as a file that hlfuzz reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hlfuzz.schema.raw import parse, parse_text

Run = Callable[..., Result]


def test_a_file_is_written_that_reads_back(hlfuzz: Run, modules: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "echo.toml"
    result = hlfuzz("inspect", "--emit", target, modules["echo"])
    assert (result.exit_code, result.stdout) == (0, "")
    schema = parse(target)
    assert (schema.name, schema.allocator) == ("echo", "alloc")
    assert [m.symbol for _, m in schema.methods()] == ["on_data", "env.write"]
    assert [p.name for p in target.parent.iterdir()] == ["echo.toml"]  # no temporary file stays


def test_a_dash_prints_it(hlfuzz: Run, modules: dict[str, Path]) -> None:
    result = hlfuzz("inspect", "--emit", "-", modules["echo"])
    assert result.exit_code == 0
    assert parse_text(result.stdout, name="x.toml").name == "echo"
    assert '# params = ["data: bytes"]' in result.stdout


def test_an_older_file_is_replaced_as_a_whole(hlfuzz: Run, modules: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "echo.toml"
    target.write_text("old" * 10_000)
    assert hlfuzz("inspect", "--emit", target, modules["echo"]).exit_code == 0
    assert parse(target).name == "echo"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--emit", "echo.json"], 2, "end it in .toml"),
        (["--emit", "echo.toml", "--json"], 2, "cannot go together"),
        (["--emit", "file/echo.toml"], 3, "choose another file"),
    ],
)
def test_what_cannot_be_written_is_told(
    hlfuzz: Run, modules: dict[str, Path], tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "file").write_text("")
    result = hlfuzz("inspect", *arguments, modules["echo"])
    assert result.exit_code == code
    assert message in result.output.replace("\n", " ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_a_bad_module_leaves_no_file(hlfuzz: Run, tmp_path: Path) -> None:
    bad = tmp_path / "bad.wasm"
    bad.write_bytes(b"\0asm\x01\0\0\0\x01")
    assert hlfuzz("inspect", "--emit", tmp_path / "bad.toml", bad).exit_code == 2
    assert not (tmp_path / "bad.toml").exists()


def test_without_emit_nothing_changes(
    document: Callable[..., dict[str, Any]], modules: dict[str, Path]
) -> None:
    assert document("inspect", modules["echo"])["schema"] == "hlfuzz.inspect/1"
