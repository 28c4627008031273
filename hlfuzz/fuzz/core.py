"""Keeps the guest's state at a crash beside the finding, for debuggers."""

from __future__ import annotations

from pathlib import Path

from hlfuzz.invariants import Fault, Kind, Target


def write_core(target: Target, fault: Fault, path: Path) -> bool:
    """Run the case of a trap or timeout once more, under strict reset, and write a core file. False when
    there is nothing to write: another kind of fault, another engine, or the guest did not fail this time.
    Raises `EnvironmentProblem`."""
    if fault.kind not in (Kind.TRAP, Kind.TIMEOUT) or not target.session().is_kvm:
        return False
    with target.open(reset="strict", evidence=True) as session:
        session.run(fault.case)
        evidence = session.box.evidence()
    if evidence is None:
        return False
    evidence.write_core(path)
    return True
