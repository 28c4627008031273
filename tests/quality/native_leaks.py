"""Native guests with one planted fault each, and one without, from `native_leaks.c`."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from native_build import Toolchain

from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, HostMode, Target, describe_interface

SOURCE = Path(__file__).with_suffix(".c")
_FOLDER = tempfile.TemporaryDirectory(prefix="hlfuzz-leaks-")


@cache
def guest() -> Guest:
    """All of them, as one program."""
    return Guest.from_elf(Toolchain("gcc", "c", "-O2").build(SOURCE.read_text(), Path(_FOLDER.name)))


def target(export: str) -> Target:
    """The guest that only has this export."""
    made = guest()
    interface = describe_interface(made.info, Config(host={"env.write": HostMode.BYTES}), only=(export,))
    return Target(made, interface, engine="kvm", deadline=0.1)
