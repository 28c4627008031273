"""A project's own checkers: loaded once, used by the command line, and clear errors where they cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime
from typer.testing import CliRunner

from hlfuzz.cli.app import app
from hlfuzz.errors import Finding, UsageError
from hlfuzz.invariants import INVARIANTS, find_project, load_checkers

CHECKER = """
from hlfuzz.invariants import Problem, Subject, TraceInvariant, register

class NoZero(TraceInvariant):
    id = "no-zero"
    subject = Subject.GUEST
    doc = "no answer is 0"

    def judge(self, target, run):
        for called in run.calls:
            if getattr(called.outcome, "values", ()) == (0,):
                return Problem(called.call.function, "answered 0")

register(NoZero())
"""
SETTINGS = """
[tool.hlfuzz]
checkers = ["ours.py"]
engine = "inprocess"
[tool.hlfuzz.targets.zero]
module = "zero.wasm"
"""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    before = dict(INVARIANTS)
    yield
    INVARIANTS.clear()
    INVARIANTS.update(before)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    (tmp_path / "ours.py").write_text(CHECKER)
    wat = '(module (func (export "zero") (param i32) (result i32) (i32.const 0)))'
    (tmp_path / "zero.wasm").write_bytes(wasmtime.wat2wasm(wat))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_line_uses_them_and_repro_knows_them(project: Path) -> None:
    run = CliRunner().invoke
    assert "no-zero" in run(app, ["check", "--list"]).stdout
    done = run(app, ["check", "zero", "--invariant", "no-zero", "--time", "2s"])
    assert done.exit_code == 1, done.stdout
    assert "answered 0" in done.stdout
    (finding,) = (project / ".hlfuzz/zero/findings").glob("no-zero-*.json")
    assert run(app, ["repro", str(finding)]).exit_code == 1
    text = finding.with_suffix(".py").read_text()
    with pytest.raises(Finding, match="answered 0"):
        exec(text + "\ntest_no_zero_zero()", {"__name__": "pasted"})
    del INVARIANTS["no-zero"]
    (project / "pyproject.toml").unlink()
    lost = run(app, ["repro", str(finding)])
    assert lost.exit_code == 2
    assert "'no-zero'" in lost.output


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no Python file of checkers \(.*ours.py\): mend checkers in .*pyproject.toml"),
        ("x = 1\nraise ValueError('no')", r"cannot be loaded \(.*ours.py:2\): ValueError: no"),
        ("def (:", r"cannot be loaded \(.*ours.py\): SyntaxError"),
    ],
)
def test_what_cannot_be_loaded_is_named(project: Path, content: str | None, message: str) -> None:
    if content is None:
        (project / "ours.py").unlink()
    else:
        (project / "ours.py").write_text(content)
    with pytest.raises(UsageError, match=message):
        load_checkers(find_project(project))
