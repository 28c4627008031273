"""Fetches the pinned npm packages with the npm client, once per content of package.json."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
MANIFEST = HERE / "package.json"
PACKAGES = HERE / "node_modules"
STAMP = ".installed-for"


class NpmUnavailable(Exception):
    """There is no npm client, or it could not fetch the packages."""


def installed() -> Path:
    """The folder with the packages of package.json in their exact versions. Raises `NpmUnavailable`."""
    wanted = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()
    with (HERE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs at once
        stamp = PACKAGES / STAMP
        if not stamp.exists() or stamp.read_text() != wanted:
            _install(wanted)
    return PACKAGES


def _install(wanted: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise NpmUnavailable("npm is not installed: install Node.js")
    with tempfile.TemporaryDirectory(dir=HERE, prefix=".npm-") as folder:
        shutil.copy(MANIFEST, folder)
        options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            [npm, "install", *options],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        if done.returncode:
            raise NpmUnavailable(f"npm install failed: {done.stderr.strip()[-500:]}")
        fetched = Path(folder, "node_modules")
        (fetched / STAMP).write_text(wanted)
        shutil.rmtree(PACKAGES, ignore_errors=True)
        fetched.rename(PACKAGES)
