"""The C library as a program finds it: installed by `make install-c`, asked for by pkg-config."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from needs import program
from packages import ROOT

STRICT = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")
_WASM = (
    *("--target=wasm32-freestanding", "-std=c11", "-nostdlib", "-O2", "-g0"),
    *("-Wl,--no-entry", "-Wl,-z,stack-size=16384"),
)


@dataclass(frozen=True)
class CLibrary:
    """An installed library."""

    prefix: Path

    def flags(self, *options: str) -> list[str]:
        """What pkg-config says."""
        path = {"PKG_CONFIG_PATH": str(self.prefix / "lib/pkgconfig")}
        return _run(program("pkg-config"), *options, "hlfuzz", environment=path).split()

    def link_flags(self, linking: str) -> list[str]:
        """What a program needs that links the "static" or the "shared" library."""
        if linking == "static":
            return self.flags("--variable=static_libs")
        return [*self.flags("--libs"), f"-Wl,-rpath,{self.prefix / 'lib'}"]

    def build(self, source: Path, output: Path, linking: str, *options: str) -> Path:
        """Compile a C or C++ program with every warning as an error."""
        name, standard = ("gcc", "-std=c11") if source.suffix == ".c" else ("g++", "-std=c++17")
        include, link = self.flags("--cflags"), self.link_flags(linking)
        _run(program(name), standard, *STRICT, *options, *include, str(source), *link, "-o", str(output))
        return output


def install(prefix: Path, *variables: str) -> CLibrary:
    """Run `make install-c`."""
    _run("make", "-C", str(ROOT), "install-c", f"PREFIX={prefix}", *variables)
    return CLibrary(prefix)


def compile_wasm(source: Path, output: Path) -> Path:
    """Compile a freestanding C guest with PyPI's ziglang."""
    _run(sys.executable, "-m", "ziglang", "cc", *_WASM, *STRICT, str(source), "-o", str(output))
    return output


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, env=os.environ | (environment or {}), capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout
