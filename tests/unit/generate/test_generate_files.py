"""`hlfuzz generate`: all files or none, --check says what is stale, bad input leaves nothing behind."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hlfuzz.cli import app
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.generate import files

SCHEMA = "namespace net;\n/// What is asked.\ntable Request { n: int = 3; }\n"
GENERATED = ["net_hl.py", "net_strategies.py"]


@pytest.fixture
def schema(tmp_path: Path) -> Path:
    path = tmp_path / "net.fbs"
    path.write_text(SCHEMA)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "out"


def generate(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["generate", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.stdout + result.stderr


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_files_are_written_once_and_then_current(schema: Path, out: Path):
    assert generate(schema, "--out", out)[0] == 0
    assert names(out) == GENERATED
    before = {n: (out / n).stat().st_mtime_ns for n in GENERATED}
    assert generate(schema, "--out", out, "--check")[0] == 0
    assert generate(schema, "--out", out)[0] == 0
    assert {n: (out / n).stat().st_mtime_ns for n in GENERATED} == before


def test_others_may_read_what_the_umask_allows(schema: Path, out: Path):
    old = os.umask(0o027)
    try:
        generate(schema, "--out", out)
    finally:
        os.umask(old)
    assert (out / "net_hl.py").stat().st_mode & 0o777 == 0o640


def test_check_shows_the_difference_and_writes_nothing(schema: Path, out: Path):
    generate(schema, "--out", out)
    schema.write_text(SCHEMA.replace("= 3", "= 4"))
    before = (out / "net_hl.py").read_text()
    code, said = generate(schema, "--out", out, "--check")
    assert code == 1
    assert "-    n: int = 3" in said
    assert "+    n: int = 4" in said
    assert "stale: net_hl.py" in said
    assert (out / "net_hl.py").read_text() == before


def test_check_names_missing_files_and_makes_no_folder(schema: Path, out: Path):
    code, said = generate(schema, "--out", out, "--check")
    assert code == 1
    assert "missing: net_hl.py" in said
    assert not out.exists()


def test_check_names_files_of_schemas_that_are_gone(schema: Path, out: Path):
    generate(schema, "--out", out)
    renamed = schema.rename(schema.with_name("web.fbs"))
    code, said = generate(renamed, "--out", out)
    assert (code, names(out)) == (0, [*GENERATED, "web_hl.py", "web_strategies.py"])
    assert "left over: net_hl.py" in said
    code, said = generate(renamed, "--out", out, "--check")
    assert code == 1
    assert "left-over: net_hl.py" in said


def test_files_that_somebody_wrote_are_no_left_overs(schema: Path, out: Path):
    generate(schema, "--out", out)
    (out / "mine.py").write_text("# mine\n")
    (out / "folder.py").mkdir()
    assert generate(schema, "--out", out, "--check")[0] == 0


def test_check_as_json_has_every_file(schema: Path, out: Path):
    generate(schema, "--out", out)
    (out / "net_hl.py").unlink()
    code, said = generate(schema, "--out", out, "--check", "--json")
    document = json.loads(said)
    assert code == 1
    assert document["schema"] == "hlfuzz.generate/1"
    assert [(f["name"], f["state"]) for f in document["files"]] == [
        ("net_hl.py", "missing"),
        ("net_strategies.py", "current"),
    ]


def test_check_against_an_older_schema_names_what_breaks(schema: Path, out: Path, tmp_path: Path):
    generate(schema, "--out", out)
    old = tmp_path / "old" / "net.fbs"
    old.parent.mkdir()
    old.write_text(SCHEMA.replace("n: int = 3", "n: long = 3"))
    code, said = generate(schema, "--out", out, "--check", "--against", old)
    assert code == 1
    assert "net.Request.n" in said
    assert generate(schema, "--out", out, "--check", "--against", schema)[0] == 0
    assert generate(schema, "--out", out, "--against", old)[0] == 2


def test_one_bad_schema_of_two_leaves_nothing_behind(schema: Path, out: Path):
    bad = schema.with_name("bad.fbs")
    bad.write_text("table A {\n  x: strin;\n  y: in;\n}\n")
    worse = schema.with_name("worse.toml")
    worse.write_text("version = 1\n[gust]\n")
    code, said = generate(bad, schema, worse, "--out", out)
    assert code == 2
    assert "bad.fbs:2:" in said
    assert "bad.fbs:3:" in said
    assert "worse.toml:2:1:" in said
    assert "^" in said
    assert not out.exists()


def test_a_file_that_somebody_wrote_is_never_overwritten(schema: Path, out: Path):
    out.mkdir(parents=True)
    (out / "net_strategies.py").write_text("mine = 1\n")
    code, said = generate(schema, "--out", out)
    assert code == 2
    assert "net_strategies.py" in said
    assert names(out) == ["net_strategies.py"]
    assert (out / "net_strategies.py").read_text() == "mine = 1\n"


def test_a_folder_in_the_place_of_a_file_is_refused(schema: Path, out: Path):
    (out / "net_strategies.py").mkdir(parents=True)
    assert generate(schema, "--out", out)[0] == 2
    assert names(out) == ["net_strategies.py"]


@pytest.mark.parametrize("others", [["NET.fbs"], ["Net.fbs"], ["sub/net.fbs"], ["net.proto"]])
def test_schemas_that_would_write_one_file_are_refused(schema: Path, out: Path, others: list[str]):
    paths = [schema.parent / other for other in others]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_text('syntax = "proto3";\nmessage A {}\n' if path.suffix == ".proto" else SCHEMA)
    code, said = generate(schema, *paths, "--out", out)
    assert code == 2
    assert "same files" in said
    assert not out.exists()


def test_a_place_that_cannot_be_written_is_an_error_of_the_environment(schema: Path, tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    code, said = generate(schema, "--out", blocked / "out")
    assert code == 3
    assert "--out" in said


def test_a_full_disk_leaves_the_old_files(schema: Path, out: Path, monkeypatch: pytest.MonkeyPatch):
    generate(schema, "--out", out)
    before = {n: (out / n).read_text() for n in GENERATED}
    schema.write_text(SCHEMA + "table Other {}\n")
    real = os.fsync
    synced: list[int] = []

    def full(handle: int) -> None:
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    code, said = generate(schema, "--out", out)
    assert code == 3
    assert os.strerror(errno.ENOSPC) in said
    assert {n: (out / n).read_text() for n in names(out)} == before


def test_nothing_is_renamed_before_everything_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[list[str]] = []
    real = os.fsync

    def record(handle: int) -> None:
        seen.append([n for n in names(tmp_path) if not n.startswith(".tmp-")])
        real(handle)

    monkeypatch.setattr(files.os, "fsync", record)
    files.write(tmp_path, {"a.py": "1\n", "b.py": "2\n"})
    assert seen == [[], [], ["a.py", "b.py"]]


def test_a_file_that_cannot_be_read_is_an_error_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    (tmp_path / "a.py").write_text("")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(EnvironmentProblem, match="cannot read"):
        files.compare(tmp_path, {"a.py": "1\n"}, ["python"])


@pytest.mark.parametrize("value", ["cobol", "", "python,cobol", "pyton"])
def test_unknown_languages_are_refused(schema: Path, out: Path, value: str):
    code, said = generate(schema, "--out", out, "--lang", value)
    assert code == 2
    assert "python" in said


def test_a_schema_without_a_python_name_gives_files_with_one(tmp_path: Path, out: Path):
    path = tmp_path / "1 my-schéma.fbs"
    path.write_text(SCHEMA)
    assert generate(path, "--out", out)[0] == 0
    assert names(out) == ["s1_my_sch_ma_hl.py", "s1_my_sch_ma_strategies.py"]


def test_a_hostile_file_name_stays_in_its_comment(tmp_path: Path, out: Path):
    path = tmp_path / 'a\nimport os; os.abort()\n"""*\\.fbs'
    path.write_text(SCHEMA)
    assert generate(path, "--out", out)[0] == 0
    text = next(out.glob("*_hl.py")).read_text()
    assert text.splitlines()[0].startswith("# Generated by `hlfuzz generate` (python) from a_import os")
    assert "\nimport os" not in text


def test_generating_needs_neither_hypothesis_nor_a_micro_vm(schema: Path, out: Path):
    program = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from pathlib import Path; from hlfuzz.generate import plan, write\n"
        "from hlfuzz.schema.load import load\n"
        "write(Path(sys.argv[2]), plan([load(sys.argv[1])], ['python']))"
    )
    subprocess.run([sys.executable, "-c", program, str(schema), str(out)], check=True, timeout=300)
    assert names(out) == GENERATED


def test_conform_says_what_breaks(schema: Path, tmp_path: Path):
    new = tmp_path / "new.fbs"
    new.write_text(SCHEMA.replace("n: int", "n: string").replace(" = 3", ""))
    result = CliRunner().invoke(app, ["conform", str(schema), str(new)])
    assert result.exit_code == 1
    assert "net.Request.n" in result.stdout
    assert CliRunner().invoke(app, ["conform", str(schema), str(schema)]).exit_code == 0
    document = json.loads(CliRunner().invoke(app, ["conform", str(schema), str(new), "--json"]).stdout)
    assert document["schema"] == "hlfuzz.conform/1"
    assert document["breakages"][0]["path"] == "net.Request.n"


def test_conform_of_two_languages_is_refused(schema: Path, tmp_path: Path):
    proto = tmp_path / "net.proto"
    proto.write_text('syntax = "proto3";\nmessage A {}\n')
    assert CliRunner().invoke(app, ["conform", str(schema), str(proto)]).exit_code == 2
