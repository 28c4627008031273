"""What tests need of the machine: missing, they fail in CI and are skipped with the reason elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from typing import NoReturn

import pytest

from hlfuzz.sandbox import why_no_kvm

PACKAGES = {
    "g++": "g++",
    "gcc": "gcc",
    "gdb": "gdb",
    "npm": "npm",
    "objcopy": "binutils",
    "pkg-config": "pkgconf",
    "strip": "binutils",
}
"""Programs that tests start, and the Debian package of each."""
UPDATE_SECONDS, INSTALL_SECONDS = 90, 300
_APT = ("apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=60")
_trouble: list[str] = []  # why the one attempt of this session did not install everything


def require_kvm() -> None:
    """Skip where there is no micro-VM; in CI that is a failure."""
    reason = why_no_kvm()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"CI must have KVM: {reason}")
    if reason:
        pytest.skip(f"no micro-VM here: {reason}")


def missing(reason: str) -> NoReturn:
    """Skip because of a tool that is not there; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must have it: {reason}")
    pytest.skip(reason)


def install(programs: Iterable[str]) -> None:
    """Install what is not there, in one bounded attempt, where that can be done: as root, with apt-get.

    A failure is not raised: `program` names it for the test that needs what is missing.
    """
    wanted = sorted({PACKAGES[name] for name in programs if shutil.which(name) is None})
    if not wanted or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    # With old lists the installation may succeed as well.
    for seconds, *arguments in (
        (UPDATE_SECONDS, "update"),
        (INSTALL_SECONDS, "install", "--no-install-recommends", *wanted),
    ):
        try:
            done = subprocess.run(
                [*_APT, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired:
            _trouble.append(f"apt-get {arguments[0]} took more than {seconds} s")
        else:
            if done.returncode:
                last = (done.stderr.strip().splitlines() or ["no message"])[-1]
                _trouble.append(f"apt-get {arguments[0]}: {last}")


def program(name: str) -> str:
    """The path of a program of `PACKAGES`. Tests that call this have the mark `programs` with its name."""
    why = "".join(f"; {text}" for text in _trouble)
    return shutil.which(name) or missing(f"no {name} here: apt-get install {PACKAGES[name]}{why}")
