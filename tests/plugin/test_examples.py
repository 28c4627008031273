"""The three files of examples/pytest: they pass on the clean filters and fail, in short, on buggy ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from needs import require_kvm
from projects import PLUGIN

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "pytest"
STYLES = ("raw", "fbs", "proto")
MAX_LINES = 15
PROFILE = """
import hypothesis
hypothesis.settings.register_profile("short", max_examples=12, database=None, derandomize=True)
hypothesis.settings.load_profile("short")
"""


@pytest.fixture(scope="module")
def built() -> dict[str, Path]:
    require_kvm()
    pytest.importorskip("ziglang")
    sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    return build("typed-filter", only={f"{kind}_{s}" for kind in ("filter", "buggy") for s in STYLES})


def run(folder: Path, built: dict[str, Path], kind: str) -> subprocess.CompletedProcess[str]:
    """The example as a user has it, but for the paths and the number of examples that Hypothesis tries."""
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    settings = (folder / "pyproject.toml").read_text()
    for style in STYLES:
        settings = re.sub(rf'"[^"]*filter_{style}\.wasm"', f'"{built[f"{kind}_{style}"]}"', settings)
    (folder / "pyproject.toml").write_text(settings.replace('"../../', f'"{ROOT}/'))
    (folder / "conftest.py").write_text(PROFILE)
    command = [sys.executable, "-m", "pytest", "-q", *PLUGIN, "-p", "no:cacheprovider"]
    path = {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=os.environ | path, capture_output=True, text=True)


@pytest.mark.parametrize("style", STYLES)
def test_an_example_is_short(style: str) -> None:
    assert len((EXAMPLE / f"test_{style}.py").read_text().splitlines()) <= MAX_LINES


def test_the_examples_pass_on_clean_guests(built: dict[str, Path], tmp_path: Path) -> None:
    done = run(tmp_path / "example", built, "filter")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_examples_fail_on_buggy_guests_with_the_calls_and_values_that_matter(
    built: dict[str, Path], tmp_path: Path
) -> None:
    done = run(tmp_path / "example", built, "buggy")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 failed" in done.stdout
    report = done.stdout
    assert report.count("accused: the guest") == len(STYLES)
    assert "on_data depends on an earlier on_new_connection" in report
    assert "\n  1. on_new_connection(Connection(" in report
    assert re.search(r"\n  2\. on_data\(Data\(.*\)\)\n", report)
    leaked = re.search(r"1\. on_new_connection\(Connection\(.*host='(\w{32})'", report)
    assert leaked is not None
    assert f"returned Accepted(verdict=Verdict.FORWARD, reason='{leaked[1]}')" in report
    assert "Traceback" not in report
    assert "Explanation" not in report
