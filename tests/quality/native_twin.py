"""One guest in two builds, as Wasm and as a native program, from `twin.c`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from native_build import Toolchain

from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, Target, describe_interface

SOURCE = Path(__file__).with_name("twin.c")
_FOLDER = tempfile.TemporaryDirectory(prefix="hlfuzz-twins-")
_WASM = ("--target=wasm32-freestanding", "-nostdlib", "-O2", "-Wl,--no-entry")


@cache
def wasm() -> Guest:
    """The build as Wasm."""
    made = Path(_FOLDER.name) / "twin.wasm"
    command = [sys.executable, "-m", "ziglang", "cc", *_WASM, "-o", str(made), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True)
    return Guest.from_wasm(made)


@cache
def native(*flags: str) -> Guest:
    """The build as a native program."""
    name = f"twin{len(flags)}"
    made = Toolchain("zig", "c", "-O2").build(SOURCE.read_text(), Path(_FOLDER.name), *flags, name=name)
    return Guest.from_elf(made)


def target(*flags: str) -> Target:
    """The Wasm build beside the native one, which was built with these flags."""
    guest = wasm()
    return Target(guest, describe_interface(guest.info, Config()), engine="kvm", native=native(*flags))
