"""Builds native guests: every compiler and language, with all warnings as errors."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from needs import missing, program

from hlfuzz.guest import native_include

FREESTANDING = ("-ffreestanding", "-fno-stack-protector", "-nostdlib", "-static")
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-pedantic")
LANGUAGES = {"c": ("-std=c11",), "c++": ("-std=c++17", "-fno-exceptions", "-fno-rtti")}
GCC = ("-fcf-protection=none", "-fno-pie", "-no-pie", "-Wl,--build-id=none")
ZIG = ("--target=x86_64-freestanding-none", "-mcpu=x86_64_v2", "-fno-sanitize=undefined")


@dataclass(frozen=True)
class Toolchain:
    """gcc or zig, for C or C++, at an optimisation level."""

    name: str
    language: str
    level: str

    def __str__(self) -> str:
        return f"{self.name} {self.language} {self.level}"

    @property
    def command(self) -> list[str]:
        """The compiler with every flag; skips when it is not there (in CI: fails)."""
        if self.name == "zig":
            if importlib.util.find_spec("ziglang") is None:
                missing("native guests need ziglang: pip install ziglang")
            found = [sys.executable, "-m", "ziglang", "cc" if self.language == "c" else "c++", *ZIG]
        else:
            found = [program("gcc" if self.language == "c" else "g++"), *GCC]
        flags = (*FREESTANDING, *WARNINGS, *LANGUAGES[self.language], self.level)
        return [*found, *flags, "-g", "-I", str(native_include())]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The compiler's end, whatever it is."""
        return subprocess.run([*self.command, *arguments], capture_output=True, text=True)

    def build(self, text: str, folder: Path, *more: str, name: str = "guest") -> Path:
        """The guest of one source; fails with the compiler's message, also when that is only a warning."""
        source = folder / f"{name}.{'c' if self.language == 'c' else 'cpp'}"
        source.write_text(text)
        made = folder / f"{name}.elf"
        done = self.run("-o", str(made), str(source), *more)
        assert done.returncode == 0, done.stderr[:4000]
        assert done.stderr == ""
        return made


TOOLCHAINS = [
    Toolchain(name, language, level)
    for name in ("gcc", "zig")
    for language in ("c", "c++")
    for level in ("-O0", "-O2")
]
