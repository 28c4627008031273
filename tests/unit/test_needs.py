"""What tests need and this machine lacks: installed once where that can be done, else named."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import needs
import pytest

Machine = Callable[[str], Path]
INSTALLS = 'case "$*" in *" install "*) printf "#!/bin/sh\\n" > "$BIN/gdb"; chmod +x "$BIN/gdb" ;; esac'
FAILS = 'echo "E: Unable to locate package gdb" >&2; exit 100'
HANGS = f"exec {sys.executable} -c 'import time; time.sleep(60)'"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine without gdb, with an apt-get that does what it is told, and logs how it was called."""

    def make(apt: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        for name in ("sh", "chmod"):
            (folder / name).symlink_to(shutil.which(name) or pytest.fail(name))
        (folder / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> "$BIN/log"\n{apt}\n')
        (folder / "apt-get").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setenv("BIN", str(folder))
        return folder

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(needs, "_trouble", [])
    monkeypatch.delenv("CI", raising=False)
    return make


def test_what_is_missing_is_installed(machine: Machine) -> None:
    folder = machine(INSTALLS)
    needs.install(["gdb", "gdb"])
    assert needs.program("gdb") == str(folder / "gdb")
    update, install = (folder / "log").read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install --no-install-recommends gdb")


def test_nothing_is_installed_that_is_there(machine: Machine) -> None:
    folder = machine(FAILS)
    (folder / "gdb").symlink_to(folder / "sh")
    needs.install(["gdb"])
    assert not (folder / "log").exists()
    assert needs.program("gdb") == str(folder / "gdb")


def test_only_root_installs(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = machine(INSTALLS)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    needs.install(["gdb"])
    assert not (folder / "log").exists()
    with pytest.raises(pytest.skip.Exception, match=r"apt-get install gdb$"):
        needs.program("gdb")


def test_a_failed_installation_skips_with_its_message_and_fails_in_ci(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(FAILS)
    needs.install(["gdb"])
    why = r"apt-get install gdb; .*; apt-get install: E: Unable to locate package gdb$"
    with pytest.raises(pytest.skip.Exception, match=why):
        needs.program("gdb")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=why):
        needs.program("gdb")


def test_an_installation_that_hangs_is_given_up(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(HANGS)
    monkeypatch.setattr(needs, "UPDATE_SECONDS", 0.2)
    monkeypatch.setattr(needs, "INSTALL_SECONDS", 0.2)
    needs.install(["gdb"])
    with pytest.raises(pytest.skip.Exception, match="apt-get install took more than"):
        needs.program("gdb")
