"""The state of a guest at one moment, for debuggers: core files of native and of Wasm guests."""

from __future__ import annotations

from pathlib import Path

from hlfuzz.files import write_through
from hlfuzz.guest import Guest
from hlfuzz.model import Registers
from hlfuzz.sandbox.symbols import symbols_of
from hlfuzz.vmm import Core


class Evidence:
    """Registers and memory of a guest: when a call failed (`Sandbox.evidence`), or at a quiet point
    (`Sandbox.capture`). It does not change any more, and outlives its sandbox; any thread may use it."""

    def __init__(self, guest: Guest, core: Core) -> None:
        self._guest = guest
        self._core = core

    @property
    def registers(self) -> Registers:
        """At a CPU exception and at a deadline those of the guest; otherwise those of the code in it that
        waits for the host."""
        return self._core.registers

    def write_core(self, path: Path | str) -> None:
        """Write a core file: of a native guest an ELF core file, sparse, for `gdb guest.elf core`; of a Wasm
        guest a module in the coredump format of WebAssembly's tool conventions.

        It holds what the guest had in memory, secrets too: only its owner may read the file. Raises
        `EnvironmentProblem`.
        """
        symbols = symbols_of(self._guest)
        write_through(Path(path), lambda fd: self._core.write(symbols, self._guest.name, fd), mode=0o600)
