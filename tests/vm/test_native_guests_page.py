"""What docs/native-guests.md shows: the guest compiles by the commands there, and answers as it says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from native_build import Toolchain

import hlfuzz
from hlfuzz.generate import c
from hlfuzz.guest import native_include
from hlfuzz.schema.load import load

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "native-guests.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(SOURCE,) = (text for language, text in BLOCKS if language == "c")
(PYTHON,) = (text for language, text in BLOCKS if language == "python")
BUILD_GCC, BUILD_ZIG, BUILD_TYPED = (text for language, text in BLOCKS if language == "sh")


def run(command: str, folder: Path) -> None:
    """A command of the page, in `folder`; with all warnings, as a reader may have them."""
    words = shlex.split(command.replace("\\\n", " ").replace("$(hlfuzz include)", str(native_include())))
    if words[0] == "python":
        words[0] = sys.executable
    done = subprocess.run([*words, "-Wall", "-Wextra", "-Werror"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("command", [BUILD_GCC, BUILD_ZIG], ids=["gcc", "zig"])
def test_the_guest_of_the_page_runs(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = Toolchain("zig" if "ziglang" in command else "gcc", "c", "-O2").command
    (tmp_path / "sum.c").write_text(SOURCE)
    run(command, tmp_path)
    monkeypatch.chdir(tmp_path)
    exec(PYTHON, {"hlfuzz": hlfuzz})


def test_the_command_for_generated_code_builds_a_guest(tmp_path: Path) -> None:
    _ = Toolchain("gcc", "c", "-O2").command
    for name, text in c.generate(load(ROOT / "schemas" / "filter.fbs")).items():
        (tmp_path / name).write_text(text)
    for name in ("filter.c", "http1.h"):
        (tmp_path / name).write_text((ROOT / "examples" / "typed-filter" / name).read_text())
    run(BUILD_TYPED, tmp_path)
    guest = hlfuzz.Guest.from_elf(tmp_path / "filter.elf")
    assert {i.name for i in guest.info.imports} == {"log", "forward", "lookup"}
    assert guest.handshake is not None


def test_every_macro_and_function_of_the_page_is_in_the_header() -> None:
    header = (native_include() / "hlfuzz_guest.h").read_text()
    named = set(re.findall(r"\b(?:HLG_[A-Z_]+|hlg_\w+|hl_\w+|HLFUZZ_\w+)", PAGE)) - {"hl_alloc"}
    assert {"HLG_EXPORT", "hl_result", "hl_guest_init"} <= named
    assert not {name for name in named if name not in header}
