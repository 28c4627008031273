"""Faults planted on purpose, in guests and in hlfuzz itself, each with the checker that must catch it.

A module of this folder holds those of one area in `FAULTS`. `test_planted.py` looks for each with one seed,
`make fault-table` with ten, and writes what it cost into docs/planted-faults.md.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hlfuzz.invariants import Subject, Target


@dataclass(frozen=True)
class Planted:
    """One fault. `open` gives a target that has it, and mends what it broke when the target is left.

    `invariant` is the id of the checker that must catch it, `subject` who must be accused, `what` one line
    for people. `kvm`: it needs a micro-VM.
    """

    name: str
    invariant: str
    subject: Subject
    what: str
    open: Callable[[], AbstractContextManager[Target]]
    kvm: bool = True


def planted() -> list[Planted]:
    """All of them, by area and in the order of their modules."""
    found: list[Planted] = []
    for module in sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)])):
        found += getattr(importlib.import_module(f"{__name__}.{module}"), "FAULTS", ())
    return found
