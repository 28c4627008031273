"""The symbols of guests, read when the first one traps; and traps with the place where they happened."""

from __future__ import annotations

import dataclasses
import threading
from weakref import WeakKeyDictionary

from hlfuzz.guest import Guest
from hlfuzz.model import Fault, Frame, Trap
from hlfuzz.vmm import Machine, Symbols, TrapInfo, trap_registers

_lock = threading.Lock()
_symbols: WeakKeyDictionary[Guest, Symbols] = WeakKeyDictionary()


def symbols_of(guest: Guest) -> Symbols:
    """Names and lines of a guest's code."""
    symbols = _symbols.get(guest)
    if symbols is None:
        symbols = Symbols(guest.data)
        with _lock:
            symbols = _symbols.setdefault(guest, symbols)
    return symbols


def with_site(message: str, site: str) -> str:
    """`message` and where it happened: "... in parse_header (http.c:41)"."""
    return f"{message} in {site}" if site else message


def located(guest: Guest, machine: Machine, trap: TrapInfo) -> Trap:
    """The outcome for what ended the last call of `machine`."""
    frames, site = symbols_of(guest).trap_frames(machine)
    fault = trap.fault
    if fault is not None:
        fault = _located(fault, frames, machine)
    return Trap(trap.name(native=guest.kind == "elf"), with_site(trap.message, site), fault, frames)


def _located(fault: Fault, frames: tuple[Frame, ...], machine: Machine) -> Fault:
    registers = trap_registers(machine)
    if not frames:
        return dataclasses.replace(fault, registers=registers)
    site = frames[0]
    symbol = f"{site.name}+{site.offset - site.start:#x}" if site.name else ""
    return dataclasses.replace(fault, symbol=symbol, file=site.file, line=site.line, registers=registers)
