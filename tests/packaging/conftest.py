"""Builds what a user installs, once a session: sdist, wheel from it, an empty environment with the wheel."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

import pytest
from packages import ROOT, WORK, Installed, run


@pytest.fixture(scope="session")
def sdist() -> Path:
    """The source distribution."""
    output = WORK / "sdist"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", output, ROOT)
    (archive,) = output.iterdir()
    return archive


@pytest.fixture(scope="session")
def wheel(sdist: Path) -> Path:
    """The wheel, built from the unpacked source distribution."""
    source, output = WORK / "source", WORK / "wheel"
    shutil.rmtree(source, ignore_errors=True)
    shutil.rmtree(output, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="tar")  # keeps times, by which cargo tells what changed
    (unpacked,) = source.iterdir()
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", output, unpacked)
    (built,) = output.iterdir()
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """An empty environment into which the wheel was installed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    return Installed(folder / "bin")
