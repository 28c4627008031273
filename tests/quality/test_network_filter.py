"""The example filters: the three planted faults are found, and the clean filter is not accused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hlfuzz.fuzz import Campaign, Progress, SavedFinding, Store, Summary, load, read_seeds, replay
from hlfuzz.guest import Guest
from hlfuzz.invariants import INVARIANTS, Budget, Status, Target, describe_interface, find_config, load_config

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


def fuzz(wasm: Path, engine: str, store: Path, seconds: float) -> Summary:
    with target(wasm, engine) as opened:
        return Campaign(opened, Store(store), Silent(), seed=1).run(seconds)


def test_all_three_planted_faults_are_found_and_reproduce(
    filters: dict[str, Path], engine: str, tmp_path: Path
) -> None:
    summary = fuzz(filters["filter_buggy"], engine, tmp_path, 6.0)
    found = {(f.fault.kind.value, f.fault.invariant) for f in summary.findings}
    assert {("trap", ""), ("violation", "context-dependence"), ("violation", "tenant-independence")} <= found
    assert {f.fault.subject.value for f in summary.findings} == {"guest"}
    for finding in summary.findings:
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
