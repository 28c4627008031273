"""`differential` on a guest with two builds: they agree, and where they do not, the guest is accused."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from needs import require_kvm

from hlfuzz.fuzz import Store, load, replay, save
from hlfuzz.invariants import INVARIANTS, Budget, Status, Subject, load_config

pytest.importorskip("ziglang")

import native_twin

DIFFERENTIAL = INVARIANTS["differential"]


@pytest.fixture(autouse=True)
def _kvm() -> None:
    require_kvm()


def test_two_builds_of_one_source_agree_also_where_both_trap() -> None:
    with native_twin.target() as target:
        verdict = DIFFERENTIAL.check(target, Random(2), Budget(60.0, 150))
        assert verdict.status is Status.HELD, verdict
        assert target.twin is not None
        assert target.twin.session().calls > 100


def test_a_build_that_differs_accuses_the_guest_with_the_smallest_case_and_reproduces(tmp_path: Path) -> None:
    with native_twin.target("-DDIFFERS=1") as target:
        fault = DIFFERENTIAL.check(target, Random(2), Budget(60.0, 400)).fault
        assert fault is not None
        assert (fault.subject, fault.function) == (Subject.GUEST, "sum")
        assert [len(a) for c in fault.case.calls for a in c.args if isinstance(a, bytes)] == [41]
        assert [e.partition(":")[0] for e in fault.evidence] == ["Wasm", "native"]
        path = save(Store(tmp_path), target, fault).path
    loaded = load(path)
    with loaded.target:
        assert replay(loaded).fault is not None


def test_the_configuration_names_the_native_build(tmp_path: Path) -> None:
    config = tmp_path / "hlfuzz.toml"
    config.write_text('version = 1\nnative = "build/filter.elf"\n')
    assert load_config(config).native == tmp_path / "build/filter.elf"
