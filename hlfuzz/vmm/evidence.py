"""Symbols of a module, and the kept state of a crashed guest, from the native library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from hlfuzz.model import Frame, Registers
from hlfuzz.vmm.library import check, ffi, lib, new_error, raised, sized, text
from hlfuzz.vmm.machine import Machine

MAX_FRAMES: Final = 64
"""Frames of a backtrace at most (crates/evidence/src/unwind.rs; of a Wasm guest, half of that)."""
_KEPT: Final = 1024
"""Backtraces whose frames are remembered: a fuzzer meets few, many times."""
_UNKNOWN: Final = 2**64 - 1
_NULL: Final = ffi.NULL


class Trace(NamedTuple):
    """The active calls of a guest, innermost first, and the text of the first of them."""

    frames: tuple[Frame, ...]
    site: str


NOWHERE: Final = Trace((), "")


class Symbols:
    """Names, source lines and unwind tables of one module; any thread."""

    def __init__(self, module: bytes) -> None:
        """Wasm or ELF. What is malformed in it is left out."""
        error = new_error()
        pointer = check(lib.hl_symbols_new(module, len(module), error), error, "")
        self.pointer = ffi.gc(pointer, lib.hl_symbols_free)
        self._known: dict[bytes, Trace] = {}

    def trap_frames(self, machine: Machine) -> Trace:
        """The calls that were active when the last call of `machine` trapped, innermost first."""
        frames = ffi.new("hl_frame[]", MAX_FRAMES)
        count = lib.hl_trap_frames(machine.pointer, self.pointer, frames, MAX_FRAMES)
        if not count:
            return NOWHERE
        return self._described(frames, count)

    def frames(self, places: Sequence[tuple[int, int]]) -> Trace:
        """What is known of instructions of a Wasm module, each by function index and offset in the
        module, -1 where that is not known."""
        count = min(len(places), MAX_FRAMES)
        frames = ffi.new("hl_frame[]", count)
        for at, (index, offset) in enumerate(places[:count]):
            frames[at].function, frames[at].offset = index, offset & _UNKNOWN
        return self._described(frames, count)

    def variable(self, address: int) -> tuple[str, int] | None:
        """Name and start of the variable of a native guest that covers an address; None: none is known."""
        site = sized("hl_site")
        if lib.hl_symbols_variable(self.pointer, address, site):
            return None
        return text(site.name), site.start

    def _described(self, frames: Any, count: int) -> Trace:
        key = bytes(ffi.buffer(frames, count * ffi.sizeof("hl_frame")))
        known = self._known.get(key)
        if known is None:
            described = tuple(self._frame(frames + at) for at in range(count))
            known = Trace(described, str(described[0]) if described else "")
            if len(self._known) >= _KEPT:
                self._known = {}
            self._known[key] = known
        return known

    def _frame(self, frame: Any) -> Frame:
        site = sized("hl_site")
        index = -1 if frame.function == lib.HL_NATIVE else frame.function
        offset = -1 if index >= 0 and frame.offset == _UNKNOWN else frame.offset
        if lib.hl_symbols_find(self.pointer, frame, site):
            return Frame(index, "", offset)
        return Frame(index, text(site.name), offset, text(site.file), site.line, site.start)


class Core:
    """The state of a guest at one moment; any thread."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = ffi.gc(pointer, lib.hl_core_free)

    @property
    def registers(self) -> Registers:
        """At a CPU exception those of the guest; otherwise of the code that waits for the host."""
        out = sized("hl_registers")
        lib.hl_core_registers(self._pointer, out)
        return read_registers(out)

    def write(self, symbols: Symbols, name: str, fd: int) -> None:
        """Write a core file to an empty file. Raises `EnvironmentProblem`."""
        error = new_error()
        if lib.hl_core_write(self._pointer, symbols.pointer, name.encode(), fd, error):
            raise raised(error.code, text(error.message), "")


def keep_cores(machine: Machine, on: bool) -> None:
    """Whether the state is kept when a call traps or runs past its deadline."""
    lib.hl_core_keep(machine.pointer, on)


def kept_core(machine: Machine) -> Core | None:
    """The state kept when the last call trapped or ran past its deadline; given once."""
    pointer = lib.hl_core_kept(machine.pointer)
    return None if pointer == _NULL else Core(pointer)


def take_core(machine: Machine) -> Core:
    """The state right now, between calls or inside a host function. Raises `UsageError`."""
    error = new_error()
    return Core(check(lib.hl_core_take(machine.pointer, error), error, ""))


def trap_registers(machine: Machine) -> Registers | None:
    """Registers at the CPU exception that ended the last call."""
    out = sized("hl_registers")
    return None if lib.hl_trap_registers(machine.pointer, out) else read_registers(out)


def read_registers(out: Any) -> Registers:
    """The registers in an `hl_registers`."""
    return Registers(*out.values)
