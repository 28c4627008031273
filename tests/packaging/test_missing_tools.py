"""A build without its tools ends with one message that names what to install."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packages import ROOT

COMPILER = sysconfig.get_config_var("CC").split()[0]


@pytest.fixture
def build(tmp_path: Path):
    """Builds the wheel with only the named programs to be found."""

    def run(*programs: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir()
        for program in programs:
            found = shutil.which(program)
            assert found, f"this machine has no {program}"
            (folder / program).symlink_to(found)
        environment = {k: v for k, v in os.environ.items() if k != "CC"} | {"PATH": str(folder)}
        command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
        done = subprocess.run(
            [*command, "--wheel-dir", str(tmp_path), str(ROOT)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert not list(tmp_path.glob("*.whl"))
        return done.stdout + done.stderr

    return run


def the_one_message(output: str) -> str:
    assert output.count("cannot build hlfuzz's native library; please install") == 1, output
    assert "Traceback" not in output
    return output


def test_missing_cargo_is_named(build) -> None:
    output = the_one_message(build(COMPILER))
    assert "cargo, rustc" in output
    assert "https://rustup.rs" in output


def test_a_missing_c_compiler_is_named(build) -> None:
    output = the_one_message(build("cargo", "rustc"))
    assert f"{COMPILER} not found" in output
    assert "apt install gcc" in output


def test_everything_that_is_missing_is_named_at_once(build) -> None:
    output = the_one_message(build())
    assert "rustup.rs" in output
    assert f"{COMPILER} not found" in output
