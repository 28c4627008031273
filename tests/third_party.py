"""Schemas of other projects for tests: pinned packages, fetched by pip, npm or cargo into a cache folder."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import pytest

_SUFFIXES = (".fbs", ".proto")
_MAX_FILE = 16 << 20
_MAX_FILES = 5_000
_MAX_ARCHIVE = 256 << 20
_SECONDS = 500


@dataclass(frozen=True)
class Package:
    """One version of a package; `sha256` is that of the archive (wheel, npm tarball, crate)."""

    registry: Literal["pypi", "npm", "crates"]
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.registry}-{self.name.replace('/', '-').lstrip('@')}-{self.version}"


FLATBUFFERS = Package(
    "crates",
    "flatc-fork",
    "0.6.0+25.12.19-2026-02-06-03fffb2",
    "f995c44278ee64981366ec17e6847f0756184a92ad0d3a1b6f7170f91e1eb129",
)
"""The FlatBuffers repository itself, with the schemas of its own tests."""
WAMP = Package(
    "pypi", "autobahn", "26.10.2", "d9c97ddf1b480a6cad84c8bdffd9a3394a1563692fc7fefe3dfad63c1d4c066d"
)
VORTEX = Package(
    "crates",
    "vortex-flatbuffers",
    "0.86.1",
    "7d9ad94c8aa7cee143a234ce2c04f896ad6a7d01c615752328ca5305dfd897fc",
)


def cache_folder() -> Path:
    """`HLFUZZ_TEST_CACHE`, or the platform's cache folder."""
    if given := os.environ.get("HLFUZZ_TEST_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hlfuzz-tests"


def schemas_of(package: Package) -> Path:
    """A folder with the schema files of a package, by their paths inside its archive; see `files_of`."""
    return files_of(package, _SUFFIXES)


def files_of(package: Package, suffixes: tuple[str, ...]) -> Path:
    """A folder with the files of a package that end so, by their paths inside its archive.

    Fetched once. A failed download skips the test, in CI it fails it; an archive with another hash always
    fails.
    """
    kinds = "" if suffixes == _SUFFIXES else "".join(suffixes)
    folder = cache_folder() / f"{package}-{package.sha256[:16]}{kinds}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        try:
            archive = _download(package, Path(scratch))
        except (OSError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", b"") or b""
            message = f"cannot fetch {package}: {error} {detail.decode(errors='replace')[-500:]}"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != package.sha256:
            pytest.fail(f"{package} has SHA-256 {found}, expected {package.sha256}")
        extracted = Path(scratch) / "extracted"
        extracted.mkdir()
        _extract(archive, extracted, suffixes)
        try:
            extracted.rename(folder)
        except OSError:
            # Another test run was faster.
            if not folder.is_dir():
                raise
    return folder


def _download(package: Package, scratch: Path) -> Path:
    spec = f"{package.name}@{package.version}"
    if package.registry == "pypi":
        # A wheel, of whatever platform: nothing of it is run.
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]
        command += ["--only-binary=:all:", "--python-version=3.11", "--platform=any"]
        command += ["--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64"]
        _run([*command, f"--dest={scratch}", f"{package.name}=={package.version}"], scratch)
    elif package.registry == "npm":
        _run(
            ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", str(scratch), spec], scratch
        )
    else:
        _run(["cargo", "info", "--quiet", spec], scratch)
        home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
        for crate in home.glob(f"registry/cache/*/{package.name}-{package.version}.crate"):
            shutil.copy(crate, scratch)
    archives = [p for p in scratch.iterdir() if p.suffix in (".whl", ".tgz", ".crate")]
    if len(archives) != 1:
        raise FileNotFoundError(f"no archive of {package} after its download")
    return archives[0]


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(
        command, cwd=folder, check=True, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL
    )


def _extract(archive: Path, target: Path, suffixes: tuple[str, ...]) -> None:
    if archive.stat().st_size > _MAX_ARCHIVE:
        pytest.fail(f"{archive.name} is larger than {_MAX_ARCHIVE} bytes")
    for count, (name, data) in enumerate(_files(archive, suffixes)):
        path = PurePosixPath(name)
        if count >= _MAX_FILES or path.is_absolute() or ".." in path.parts:
            pytest.fail(f"{archive.name} holds {name!r}, or too many files")
        file = target / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def _files(archive: Path, suffixes: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Regular files with one of the suffixes; links are left out."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if info.filename.endswith(suffixes) and info.file_size <= _MAX_FILE:
                    yield info.filename, wheel.read(info)
        return
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes()), mode="r:gz") as tar:
        for member in tar:
            if member.isreg() and member.name.endswith(suffixes) and member.size <= _MAX_FILE:
                stream = tar.extractfile(member)
                assert stream is not None
                yield member.name, stream.read()
