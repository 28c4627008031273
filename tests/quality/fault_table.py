"""Looks for every planted fault with ten seeds, accuses clean guests with ten, and writes the table of both.

    python tests/quality/fault_table.py [--seeds 10] [--output docs/planted-faults.md]

Exit code 0 when each fault was caught by its checker with each seed, and no clean guest was accused.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

ROOT = Path(__file__).resolve().parents[2]
for _folder in ("tests", "tests/quality", "examples", "tests/modules"):
    sys.path.insert(0, str(ROOT / _folder))

from clean import CLEAN, Clean  # noqa: E402
from planted import Planted, planted  # noqa: E402

from hlfuzz.errors import HlfuzzWarning  # noqa: E402
from hlfuzz.files import write_file  # noqa: E402
from hlfuzz.invariants import INVARIANTS, Budget, Status, examine  # noqa: E402

INVARIANTS_PAGE = ROOT / "docs" / "invariants.md"
START = "written by `make fault-table` from the checkers' own words -->"
END = "<!-- end -->"
CAUGHT_WITHIN_SECONDS = 60.0
CLEAN_BUDGET = Budget(0.1, 100)


@dataclass(frozen=True)
class Caught:
    """One fault: for each seed the cases and guest calls that it took, or None when it was missed."""

    fault: Planted
    cases: list[int | None]
    calls: list[int]
    slowest: float


def look_for(fault: Planted, seeds: Iterable[int]) -> Caught:
    """Runs the checker once for each seed, each time with the fault planted anew."""
    caught = Caught(fault, [], [], 0.0)
    slowest = 0.0
    for seed in seeds:
        start = time.monotonic()
        with fault.open() as target:
            verdict = INVARIANTS[fault.invariant].check(
                target, Random(seed), Budget(CAUGHT_WITHIN_SECONDS, 1_000_000)
            )
            calls = target.calls
        slowest = max(slowest, time.monotonic() - start)
        found = verdict.status is Status.VIOLATED and verdict.fault is not None
        right = found and verdict.fault is not None and verdict.fault.subject is fault.subject
        caught.cases.append(verdict.runs if right and slowest <= CAUGHT_WITHIN_SECONDS else None)
        caught.calls.append(calls)
        if not right:
            print(f"MISSED {fault.name} (seed {seed}): {verdict}", file=sys.stderr)
    return Caught(fault, caught.cases, caught.calls, slowest)


def accuse(clean: Clean, seeds: Iterable[int]) -> tuple[int, int, int]:
    """Checks of every invariant on a clean guest: how many held, did not apply, accused it."""
    held = unfit = accused = 0
    with clean.open() as target:
        for seed in seeds:
            for invariant in INVARIANTS.values():
                verdict = examine(invariant, target, Random(seed), CLEAN_BUDGET)
                held += verdict.status is Status.HELD
                unfit += verdict.status is Status.NOT_APPLICABLE
                if verdict.status not in (Status.HELD, Status.NOT_APPLICABLE):
                    accused += 1
                    print(f"ACCUSED {clean.name} (seed {seed}, {invariant.id}): {verdict}", file=sys.stderr)
    return held, unfit, accused


def _row(caught: Caught, seeds: int) -> str:
    hits = [n for n in caught.cases if n is not None]
    where = "guest" if caught.fault.subject == "guest" else "framework"
    cases = f"{min(hits)}–{max(hits)}" if hits and min(hits) != max(hits) else str(hits[0]) if hits else "–"
    calls = f"{round(statistics.median(caught.calls)):,}" if any(caught.calls) else "own guests"
    return (
        f"| `{caught.fault.name}` | {where} | {caught.fault.what} | `{caught.fault.invariant}` "
        f"| {len(hits)}/{seeds} | {cases} | {calls} |"
    )


def page(found: list[Caught], clean: list[tuple[Clean, tuple[int, int, int]]], seeds: int) -> str:
    """The documentation page."""
    lines = [
        "# Planted faults",
        "",
        "Each checker has to catch faults that were planted for it, in guests and in hlfuzz itself, and must",
        f"not accuse guests that have none. This page is written by `make fault-table` from {seeds} seeds;",
        "the tests look for each fault with one seed on every run. How checkers work is in",
        "[invariants](invariants.md), what none of them sees in",
        "[what is not checked](what-is-not-checked.md).",
        "",
        "- *caught*: seeds with which the checker named here found the fault, confirmed it, and blamed the",
        "  right side.",
        "- *cases*: call sequences judged until it was found, fewest to most.",
        '- *guest calls*: median over the seeds, with those for confirming and shrinking; "own guests" means',
        "  that the checker brings the guests that it needs.",
        "",
        f"{len(found)} faults, {sum(None not in c.cases for c in found)} of them caught with every seed.",
        "",
        "| fault | planted in | what is wrong | checker | caught | cases | guest calls |",
        "|---|---|---|---|---|---|---|",
        *(_row(caught, seeds) for caught in found),
        "",
        "## Clean guests",
        "",
        f"Every checker on {len(clean)} guests without a fault, with {seeds} seeds each. A checker does not",
        "apply where a guest lacks what it needs: imports, byte vectors, a second engine.",
        "",
        "| guest | held | does not apply | accused |",
        "|---|---|---|---|",
        *(f"| {c.name} | {held} | {unfit} | {accused} |" for c, (held, unfit, accused) in clean),
        "",
    ]
    return "\n".join(lines)


def invariants_section() -> str:
    """What each checker says of itself, for docs/invariants.md."""
    lines: list[str] = ["| id | accuses | promise |", "|---|---|---|"]
    lines += [f"| [`{i.id}`](#{i.id}) | {i.subject} | {i.doc} |" for i in INVARIANTS.values()]
    for invariant in INVARIANTS.values():
        promise = " ".join((inspect.getdoc(type(invariant)) or "").split())
        lines += ["", f"### {invariant.id}", "", promise, ""]
        lines += [f"*Looks at:* {invariant.observes}", "", f"*Cannot see:* {invariant.blind}"]
    return "\n".join(lines)


def with_invariants(text: str) -> str:
    """The page docs/invariants.md with that section as it should be."""
    head, rest = text.split(START, 1)
    return f"{head}{START}\n\n{invariants_section()}\n\n{END}{rest.split(END, 1)[1]}"


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "planted-faults.md")
    parser.add_argument("--invariants", action="store_true", help="write docs/invariants.md only")
    parser.add_argument("--only", help="faults and guests whose name contains this; nothing is written")
    arguments = parser.parse_args()
    if not arguments.only:
        write_file(INVARIANTS_PAGE, with_invariants(INVARIANTS_PAGE.read_text("utf-8")).encode())
    if arguments.invariants:
        return 0
    warnings.simplefilter("ignore", HlfuzzWarning)
    seeds = range(1, arguments.seeds + 1)
    wanted = arguments.only or ""
    found: list[Caught] = []
    for fault in (f for f in planted() if wanted in f.name):
        found.append(look_for(fault, seeds))
        print(f"{fault.name}: {found[-1].cases}, {found[-1].slowest:.1f} s at most", flush=True)
    checked = []
    for clean in (c for c in CLEAN if wanted in c.name):
        checked.append((clean, accuse(clean, seeds)))
        print(f"{clean.name}: {checked[-1][1]}", flush=True)
    if not arguments.only:
        write_file(arguments.output, page(found, checked, arguments.seeds).encode())
    bad = any(None in c.cases for c in found) or any(accused for _, (_, _, accused) in checked)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
