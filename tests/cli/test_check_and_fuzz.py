"""`check`, `fuzz` and `repro`: documents, exit codes, files, interruption."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from steps import count_cases

from hlfuzz.invariants import INVARIANTS

Document = Callable[..., dict[str, Any]]
INPROCESS = ("--engine", "inprocess")


def test_check_gives_a_row_for_each_invariant(document: Document, modules: dict[str, Path]) -> None:
    found = document("check", modules["echo"], "--stub-imports", "--time", "2s", "--seed", "1", *INPROCESS)
    assert (found["schema"], found["seed"], found["exit"]) == ("hlfuzz.check/1", 1, 0)
    rows = {row["invariant"]: row for row in found["rows"]}
    assert list(rows) == list(INVARIANTS)
    assert set(rows["bounds"]) == {
        *("invariant", "subject", "promise", "observes", "blind", "verdict", "runs", "seconds", "detail"),
        *("finding", "fault"),
    }
    assert {row["verdict"] for row in rows.values()} <= {"held", "not-applicable"}


def test_check_accuses_the_guest_and_saves_what_reproduces(
    document: Document, modules: dict[str, Path]
) -> None:
    found = document(
        "check", modules["faulty"], "--time", "60s", "--invariant", "context-dependence", *INPROCESS
    )
    (row,) = found["rows"]
    assert (row["verdict"], row["subject"], found["exit"]) == ("violated", "guest", 1)
    again = document("repro", row["finding"])
    assert (again["reproduced"], again["exit"]) == (True, 1)


def test_fuzz_finds_saves_and_deduplicates(
    document: Document, modules: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_cases(monkeypatch)
    arguments = ("fuzz", modules["faulty"], "--time", "5s", "--seed", "3", *INPROCESS)
    found = document(*arguments)
    assert (found["schema"], found["exit"], found["interrupted"]) == ("hlfuzz.fuzz/1", 1, False)
    assert {(f["kind"], f["invariant"]) for f in found["findings"]} == {
        ("trap", None),
        ("violation", "context-dependence"),
    }
    assert found["executions"] > 100
    assert found["exec_per_s"] == pytest.approx(found["executions"] / found["seconds"], rel=0.01)
    again = document(*arguments)
    saved = sorted((tmp_path / ".hlfuzz" / "faulty" / "findings").glob("*"))
    assert {f["signature"] for f in again["findings"]} == {f["signature"] for f in found["findings"]}
    signatures = sorted(f["signature"] for f in found["findings"])
    assert [p.name for p in saved] == [f"{s}.{kind}" for s in signatures for kind in ("json", "py")]
    trap = next(f for f in found["findings"] if f["kind"] == "trap")
    case = json.loads(Path(trap["path"]).read_text())["case"]
    (call,) = case["calls"]
    assert len(bytes.fromhex(call["args"][0]["bytes"])) == 1


def test_a_clean_module_gives_exit_code_0_and_text(
    hlfuzz: Callable[..., Any], modules: dict[str, Path]
) -> None:
    result = hlfuzz("fuzz", modules["echo"], "--stub-imports", "--time", "1s", *INPROCESS)
    assert result.exit_code == 0, result.output
    assert "no findings" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--time", "soon"), "--time"),
        (("--time", "0s"), "--time"),
        (("--deadline", "0"), "--deadline"),
        (("--method", "on_date"), "on_data"),
        (("--corpus", "nowhere"), "nowhere"),
        (("--config", "nowhere.toml"), "nowhere.toml"),
        (("--host", "env.write=bytes"), "env.write"),
    ],
)
def test_a_wrong_option_is_a_usage_error(
    document: Document, modules: dict[str, Path], arguments: tuple[str, ...], message: str
) -> None:
    found = document("fuzz", modules["faulty"], *arguments, *INPROCESS)
    assert (found["schema"], found["exit"]) == ("hlfuzz.error/1", 2)
    assert message in found["message"]


def test_an_unknown_invariant_is_refused(document: Document, modules: dict[str, Path]) -> None:
    assert "tenant-independence" in document("check", modules["faulty"], "--invariant", "tenant")["message"]


def test_an_error_in_text_is_one_message_without_traceback(
    process: Callable[..., Any], modules: dict[str, Path], tmp_path: Path
) -> None:
    started = process("fuzz", modules["echo"], "--engine", "inprocess", cwd=tmp_path)
    _, errors = started.communicate(timeout=300)
    assert started.returncode == 2
    assert errors.startswith("error: ")
    assert "Traceback" not in errors
    assert len(errors.strip().splitlines()) == 1


def test_ctrl_c_keeps_everything_and_sums_up(
    process: Callable[..., Any], modules: dict[str, Path], tmp_path: Path
) -> None:
    started = process("fuzz", modules["faulty"], "--time", "100s", "--json", *INPROCESS, cwd=tmp_path)
    findings = tmp_path / ".hlfuzz" / "faulty" / "findings"
    deadline = time.monotonic() + 55
    while len(list(findings.glob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    started.send_signal(signal.SIGINT)
    output, errors = started.communicate(timeout=300)
    assert started.returncode == 1, errors
    summary = json.loads(output)
    assert summary["interrupted"]
    assert len(summary["findings"]) == 2
    assert all(Path(tmp_path, f["path"]).is_file() for f in summary["findings"])


def test_repro_refuses_what_is_no_finding(document: Document, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    assert document("repro", tmp_path / "x.json")["exit"] == 2


def test_the_version_is_printed(hlfuzz: Callable[..., Any]) -> None:
    result = hlfuzz("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("hlfuzz ")
