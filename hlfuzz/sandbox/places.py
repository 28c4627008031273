"""Says what lies at an address of a micro-VM: memory and data segment of a module, variable of a program."""

from __future__ import annotations

import threading
from typing import Final
from weakref import WeakKeyDictionary

from hlfuzz.guest import Guest
from hlfuzz.guest.data_map import DataMap
from hlfuzz.model import Difference
from hlfuzz.sandbox.symbols import symbols_of
from hlfuzz.vmm import Piece

_RUNTIME: Final = ("the runtime's data", "the runtime's heap")
_lock = threading.Lock()
_maps: WeakKeyDictionary[Guest, DataMap] = WeakKeyDictionary()


def explained(guest: Guest, piece: Piece) -> Difference:
    """What differs, with the guest's own name for the place."""
    return Difference(piece.address, piece.length, piece.before, piece.after, place_of(guest, piece))


def place_of(guest: Guest, piece: Piece) -> str:
    """The place in words. Names are the guest author's."""
    if guest.kind == "elf":
        found = symbols_of(guest).variable(piece.address)
        return piece.part if found is None else f"{found[0]} +{piece.address - found[1]:#x} ({piece.part})"
    if piece.memory is not None:
        imported = sum(1 for m in guest.info.memories if m.imported)
        return _data_map(guest).describe(imported + piece.memory, piece.offset)
    # The runtime keeps the instance there; which global or table is where, it does not say.
    return (
        f"{piece.part} (its own, or the instance's globals and tables)"
        if piece.part in _RUNTIME
        else piece.part
    )


def _data_map(guest: Guest) -> DataMap:
    found = _maps.get(guest)
    if found is None:
        found = DataMap(guest.wasm)
        with _lock:
            found = _maps.setdefault(guest, found)
    return found
