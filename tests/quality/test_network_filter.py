"""The example filters: the three planted faults are found, and the clean filter is not accused."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from steps import count_cases

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

Fuzz = Callable[[Path, str, Path, float], Summary]
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


@pytest.fixture
def fuzz(monkeypatch: pytest.MonkeyPatch) -> Fuzz:
    """Runs a campaign with as many cases on a busy machine as on an idle one."""
    count_cases(monkeypatch)

    def run(wasm: Path, engine: str, store: Path, seconds: float) -> Summary:
        with target(wasm, engine) as opened:
            return Campaign(opened, Store(store), Silent(), seed=1).run(seconds)

    return run


def test_all_three_planted_faults_are_found_and_reproduce(
    fuzz: Fuzz, filters: dict[str, Path], engine: str, tmp_path: Path
) -> None:
    planted = {("trap", ""), ("violation", "context-dependence"), ("violation", "tenant-independence")}
    findings = fuzz(filters["filter_buggy"], engine, tmp_path, 8.0).findings
    assert planted <= {(f.fault.kind.value, f.fault.invariant) for f in findings}
    assert {f.fault.subject.value for f in findings} == {"guest"}
    for finding in findings:
        loaded = load(finding.path)
        with loaded.target:
            again = replay(loaded)
        assert again.fault is not None, finding.fault.title
        assert again.fault.signature == finding.fault.signature


def test_the_clean_filter_has_no_finding(
    fuzz: Fuzz, filters: dict[str, Path], engine: str, tmp_path: Path
) -> None:
    summary = fuzz(filters["filter"], engine, tmp_path, 4.0)
    assert summary.findings == ()
    assert summary.progress.executions > 500


@pytest.mark.parametrize("invariant", ["context-dependence", "tenant-independence"])
def test_checkers_tell_the_two_filters_apart(filters: dict[str, Path], invariant: str) -> None:
    verdicts = {}
    for name, wasm in filters.items():
        with target(wasm, "inprocess") as opened:
            verdicts[name] = INVARIANTS[invariant].check(opened, random.Random(5), Budget(60.0, 400)).status
    assert verdicts == {"filter": Status.HELD, "filter_buggy": Status.VIOLATED}


def test_a_finding_does_not_reproduce_on_the_corrected_build(
    fuzz: Fuzz, filters: dict[str, Path], tmp_path: Path
) -> None:
    summary = fuzz(filters["filter_buggy"], "inprocess", tmp_path, 8.0)
    trap = next(f for f in summary.findings if f.fault.kind.value == "trap")
    loaded = load(trap.path, module=filters["filter"])
    with loaded.target:
        assert replay(loaded).fault is None
