"""The demo: builds two network filters in C, fuzzes both, and shows that every planted fault was found.

    python examples/demo.py [--time 20]

Exit code 0 when the clean filter has no finding and all three planted faults were found and reproduced.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build import build

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "corpus" / "network-filter"
STORE = ROOT / ".hlfuzz" / "demo"
CLEAN_SHARE = 0.5
"""Part of the time that the clean filter gets."""


@dataclass(frozen=True)
class Planted:
    """One fault of filter_buggy.c and how a report shows it."""

    what: str
    kind: str
    invariant: str | None


PLANTED = (
    Planted("an answer carries bytes of an earlier connection", "violation", "tenant-independence"),
    Planted(
        "on_data needs an earlier on_new_connection, which a reset wipes", "violation", "context-dependence"
    ),
    Planted("a length field drives a read out of memory", "trap", None),
)


def hlfuzz(*arguments: str) -> tuple[int, str]:
    """Runs the command line in a process of its own. Returns exit code and standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "hlfuzz", *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    return done.returncode, done.stdout


def fuzz(guest: Path, seconds: float, engine: str) -> dict[str, Any]:
    """One campaign; returns its document (schema "hlfuzz.fuzz/1")."""
    store = STORE / guest.stem
    code, text = hlfuzz(
        "fuzz",
        str(guest),
        "--time",
        f"{seconds:g}s",
        "--engine",
        engine,
        "--corpus",
        str(CORPUS),
        "--store",
        str(store),
        "--json",
    )
    if code not in (0, 1):
        raise SystemExit(f"hlfuzz fuzz failed with exit code {code}: {text}")
    return json.loads(text)


def usable_engine() -> str:
    """kvm where it works; otherwise says why not."""
    code, text = hlfuzz("doctor", "--json")
    if code == 0:
        return "kvm"
    print(
        f"KVM cannot be used here, so the guests run in-process, without a micro-VM.\n"
        f"  {json.loads(text)['problem']}\n"
    )
    return "inprocess"


def find(planted: Planted, findings: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The finding that shows this fault."""
    return next(
        (f for f in findings if (f["kind"], f["invariant"]) == (planted.kind, planted.invariant)), None
    )


def summary(title: str, report: dict[str, Any]) -> None:
    """Two lines about a campaign."""
    print(
        f"{title}: {report['executions']:,} executions in {report['seconds']:.1f} s "
        f"({report['exec_per_s']:,.0f}/s) on {report['engine']}, "
        f"corpus {report['corpus']}, seed {report['seed']}"
    )


def main() -> int:
    """Runs the demo; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fuzz a clean and a faulty network filter.")
    parser.add_argument("--time", type=float, default=20.0, help="seconds for both campaigns together")
    seconds: float = parser.parse_args().time
    start = time.monotonic()
    shutil.rmtree(STORE, ignore_errors=True)  # so that what is shown was found now
    guests = build("network-filter")
    files = ", ".join(str(p.relative_to(ROOT)) for p in guests.values())
    print(f"Two network filters in C, compiled to Wasm: {files}")
    engine = usable_engine()

    clean = fuzz(guests["filter"], seconds * CLEAN_SHARE, engine)
    summary("filter.c        ", clean)
    faulty = fuzz(guests["filter_buggy"], seconds * (1 - CLEAN_SHARE), engine)
    summary("filter_buggy.c  ", faulty)

    failed = False
    print("\nfilter.c, which should be clean:")
    for finding in clean["findings"]:
        failed = True
        print(f"  ACCUSED  {finding['title']}\n           {finding['path']}")
    if not clean["findings"]:
        print("  no findings")
    print("\nfilter_buggy.c, with three planted faults:")
    found: list[dict[str, Any]] = []
    for planted in PLANTED:
        finding = find(planted, faulty["findings"])
        if finding is None:
            failed = True
            print(f"  MISSED   {planted.what}")
            continue
        found.append(finding)
        path = os.path.relpath(finding["path"], ROOT)
        print(f"  found    {planted.what}\n           {finding['title']}\n           hlfuzz repro {path}")
    for finding in found[:1]:
        print(f"\n$ hlfuzz repro {os.path.relpath(finding['path'], ROOT)}")
        code, text = hlfuzz("repro", finding["path"])
        print("  " + text.strip().replace("\n", "\n  "))
        failed |= code != 1
    print(f"\n{'FAILED' if failed else 'done'} in {time.monotonic() - start:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
