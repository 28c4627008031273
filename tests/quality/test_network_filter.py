"""The example filters: the three planted faults are found, and the clean filter is not accused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hlfuzz.fuzz import Campaign, Progress, SavedFinding, Store, Summary, load, replay
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Status,
    Target,
    describe_interface,
    find_config,
    load_config,
    read_seeds,
)

SEEDS = read_seeds(Path(__file__).resolve().parents[2] / "corpus" / "network-filter")


class Silent:
    def progress(self, progress: Progress) -> None:
        pass

    def found(self, finding: SavedFinding) -> None:
        pass


def target(wasm: Path, engine: str) -> Target:
    guest = Guest.from_wasm(wasm)
    config = find_config(wasm)
    assert config is not None
    interface = describe_interface(guest.info, load_config(config))
    return Target(guest, interface, engine=engine, deadline=0.2, seeds=SEEDS)  # type: ignore[arg-type]


def fuzz(wasm: Path, engine: str, store: Path, seconds: float, seed: int = 1) -> Summary:
    with target(wasm, engine) as opened:
        return Campaign(opened, Store(store), Silent(), seed=seed).run(seconds)


def test_all_three_planted_faults_are_found_and_reproduce(
    filters: dict[str, Path], engine: str, tmp_path: Path
) -> None:
    planted = {("trap", ""), ("violation", "context-dependence"), ("violation", "tenant-independence")}
    findings: list[SavedFinding] = []
    for seed in range(1, 7):  # one is enough, unless other programs have the CPUs
        findings += fuzz(filters["filter_buggy"], engine, tmp_path / str(seed), 6.0, seed).findings
        found = {(f.fault.kind.value, f.fault.invariant) for f in findings}
        if planted <= found:
            break
    assert planted <= found
    assert {f.fault.subject.value for f in findings} == {"guest"}
    for finding in findings:
        loaded = load(finding.path)
        with loaded.target:
            again = replay(loaded)
        assert again.fault is not None, finding.fault.title
        assert again.fault.signature == finding.fault.signature


def test_the_clean_filter_has_no_finding(filters: dict[str, Path], engine: str, tmp_path: Path) -> None:
    summary = fuzz(filters["filter"], engine, tmp_path, 4.0)
    assert summary.findings == ()
    assert summary.progress.executions > 500


@pytest.mark.parametrize("invariant", ["context-dependence", "tenant-independence"])
def test_checkers_tell_the_two_filters_apart(filters: dict[str, Path], invariant: str) -> None:
    verdicts = {}
    for name, wasm in filters.items():
        with target(wasm, "inprocess") as opened:
            verdicts[name] = INVARIANTS[invariant].check(opened, random.Random(5), Budget(4.0, 400)).status
    assert verdicts == {"filter": Status.HELD, "filter_buggy": Status.VIOLATED}


def test_a_finding_does_not_reproduce_on_the_corrected_build(
    filters: dict[str, Path], tmp_path: Path
) -> None:
    summary = fuzz(filters["filter_buggy"], "inprocess", tmp_path, 3.0)
    trap = next(f for f in summary.findings if f.fault.kind.value == "trap")
    loaded = load(trap.path, module=filters["filter"])
    with loaded.target:
        assert replay(loaded).fault is None
