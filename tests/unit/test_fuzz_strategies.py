"""Hypothesis's share of a campaign: its cases depend on the seed only, and it keeps nothing on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BATCH = """
import hlfuzz.fuzz.strategies as own
from hlfuzz.invariants import Interface, Method
from hlfuzz.model import FuncType, ValType
types = (ValType.I64, ValType.F64)
wide = Interface((Method("on_wide", FuncType(types, ()), False, types, False, False),), {}, None, None)
for case in own.batch(wide, (), 7, 200):
    print(case)
"""
MODULE = f"NUMBERS = {[0x1234_5678_9ABC + n for n in range(500)]}"


def cases(folder: Path, code: str) -> list[str]:
    path = os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(folder)))}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_cases_do_not_depend_on_the_modules_that_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "constants_of_somebody.py").write_text(MODULE)
    alone = cases(tmp_path, BATCH)
    assert len(set(alone)) > 100
    assert cases(tmp_path, f"import constants_of_somebody\n{BATCH}") == alone
    assert not (tmp_path / ".hypothesis").exists()
