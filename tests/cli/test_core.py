"""Core files from the command line and beside findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import wasmtime
from needs import require_kvm
from steps import count_cases
from typer.testing import CliRunner

from hlfuzz.cli.app import app

GUEST = """(module (memory (export "memory") 1)
  (func $inner (param i32) (i32.store (i32.const 64) (i32.const 9)) (if (local.get 0) (then unreachable)))
  (func $other unreachable)
  (func (export "run") (param i32) (call $inner (local.get 0)))
  (func (export "both") (param i32)
    (if (local.get 0) (then (call $inner (i32.const 1))) (else (call $other)))))"""


def module(folder: Path) -> Path:
    path = folder / "guest.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(GUEST)))
    return path


def test_run_writes_a_core_when_the_guest_fails_and_only_then(tmp_path: Path) -> None:
    require_kvm()
    core = tmp_path / "out" / "core"
    arguments = ["run", str(module(tmp_path)), "run", "--core", str(core), "--json", "--engine", "kvm"]
    fine = CliRunner().invoke(app, [*arguments, "0"])
    assert (fine.exit_code, core.exists(), json.loads(fine.stdout)["core"]) == (0, False, None)
    failed = CliRunner().invoke(app, [*arguments, "1"])
    document = json.loads(failed.stdout)
    assert failed.exit_code == 1
    assert document["core"] == str(core)
    assert [frame["name"] for frame in document["outcome"]["frames"]] == ["inner", "run"]
    assert core.read_bytes()[:4] == b"\0asm"


def test_a_core_from_the_other_engine_is_refused_before_the_call(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["run", str(module(tmp_path)), "run", "1", "--core", str(tmp_path / "c"), "--engine", "inprocess"],
    )
    assert done.exit_code == 2
    assert "micro-VM" in done.output
    assert not (tmp_path / "c").exists()


def test_a_campaign_tells_traps_apart_by_their_place_and_keeps_a_core_of_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_kvm()
    count_cases(monkeypatch)
    store = tmp_path / "store"
    arguments = ["--method", "both", "--time", "2s", "--seed", "1", "--store", str(store), "--engine", "kvm"]
    CliRunner().invoke(app, ["fuzz", str(module(tmp_path)), *arguments])
    findings = sorted((store / "findings").glob("*.json"))
    titles = {json.loads(path.read_text())["title"] for path in findings}
    assert titles == {f"both trapped: unreachable in {name}" for name in ("inner", "other")}
    assert all(path.with_suffix(".core").read_bytes()[:4] == b"\0asm" for path in findings)
