"""The one build step that setuptools lacks: cargo, before the cffi extension is linked with what it made."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
ARCHIVE = "libhlfuzz.a"
OLDEST_RUST = tuple(
    int(n) for n in re.search(r'rust-version = "(\d+)\.(\d+)"', (ROOT / "Cargo.toml").read_text()).groups()
)


class BuildNative(build_ext):
    """Builds `crates/capi` as a static library, then the extension."""

    def run(self) -> None:
        check_tools()
        subprocess.check_call(
            ["cargo", "build", "--release", "--locked", "--package", "hlfuzz-capi"], cwd=ROOT
        )
        archive = str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"), "release", ARCHIVE))
        for extension in self.extensions:
            extension.extra_objects = [archive]
            extension.depends = [archive]  # relink when the archive is newer
        super().run()


class Abi3Wheel(bdist_wheel):
    """One wheel for every CPython from 3.11 on."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.py_limited_api = "cp311"


def check_tools() -> None:
    """Exit with one message that names what to install, unless the build can work."""
    missing = []
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise SystemExit(
            f"error: hlfuzz needs Linux on x86-64 (this is {sys.platform} on {platform.machine()})"
        )
    rust = ".".join(map(str, OLDEST_RUST))
    if shutil.which("cargo") is None or shutil.which("rustc") is None:
        missing.append(f"Rust {rust} or newer (cargo, rustc): https://rustup.rs")
    else:
        found = subprocess.run(
            ["rustc", "--version"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout
        version = re.search(r"(\d+)\.(\d+)", found)
        if version is None or tuple(map(int, version.groups())) < OLDEST_RUST:
            missing.append(f"Rust {rust} or newer (found {found.strip() or 'none'}): rustup update stable")
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        missing.append(f"a C compiler ({compiler} not found): apt install gcc, or set CC")
    if missing:
        raise SystemExit(
            "error: cannot build hlfuzz's native library; please install\n  " + "\n  ".join(missing)
        )


setup(
    cffi_modules=["hlfuzz/vmm/_build_ffi.py:ffi"],
    cmdclass={"build_ext": BuildNative, "bdist_wheel": Abi3Wheel},
)
