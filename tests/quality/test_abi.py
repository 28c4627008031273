"""The checks of what crosses between host and guest see what they say, each by its own logic."""

from __future__ import annotations

from pathlib import Path
from random import Random

import guests
import pytest
from needs import require_kvm
from planted import abi

from hlfuzz import UsageError
from hlfuzz.fuzz import Store, load, replay
from hlfuzz.fuzz.finding import save
from hlfuzz.invariants import INVARIANTS, Budget, Case, Status, Subject
from hlfuzz.invariants.lying.claims import lie_batch
from hlfuzz.invariants.lying.fetches import Stage, judge_moments, judge_race
from hlfuzz.invariants.lying.pointers import open_pointer_liar
from hlfuzz.invariants.lying.records import true_record
from hlfuzz.invariants.lying.scenes import scenes
from hlfuzz.invariants.lying.verdicts import judge_lie
from hlfuzz.model import Call
from hlfuzz.vmm import Change, Shared


@pytest.fixture
def kvm() -> None:
    require_kvm()


def test_every_lie_ends_as_it_deserves_on_each_engine(engine: str) -> None:
    liar = open_pointer_liar(engine, "strict")  # type: ignore[arg-type]
    with liar.box:
        problems = [(lie, judge_lie(liar, lie)) for seed in (0, 7) for lie in lie_batch(seed)]
    assert [p for p in problems if p[1]] == []
    assert len(problems) > 100


@pytest.mark.usefixtures("kvm")
def test_a_second_read_of_nanoseconds_is_seen_at_its_moment() -> None:
    pair = next(s for s in scenes() if s.name == "pair")
    length = next(c for c in pair.changes if c.what is Shared.VALUES and c.value == 70_000)
    with Stage() as sound:
        assert judge_moments(sound, pair, length) == ""
    with abi.native(abi.READ_TWICE), Stage() as careless:
        assert "before read" in judge_moments(careless, pair, length)


@pytest.mark.usefixtures("kvm")
def test_a_second_read_in_python_is_seen_by_a_race_alone() -> None:
    request = next(s for s in scenes() if s.name == "request")

    with abi.request_read_again(), Stage() as careless:
        change = next(c for c in request.raced if judge_moments(careless, request, c))
        assert any(judge_race(careless, request, change) for _ in range(40))
    with Stage() as sound:
        assert judge_race(sound, request, change) == ""


@pytest.mark.usefixtures("kvm")
def test_a_change_is_made_before_the_read_that_was_asked_for() -> None:
    liar = open_pointer_liar("kvm", "strict")
    with liar.box as box:
        box.meddle(Change(Shared.VALUES, 0, 8, 7, at_read=1 << 40))
        assert box.call("pair", 0, 0, 1, 2) == (1, 2)
        reads = box.meddle(Change(Shared.VALUES, 0, 8, 7, at_read=0))
        assert reads > 1
        assert box.call("pair", 0, 0, 1, 2) == (7, 2)
        box.meddle(Change(Shared.VALUES, 0, 8, 7, at_read=reads))
        assert box.call("pair", 0, 0, 1, 2) == (1, 2)
        box.meddle(Change(Shared.VALUES, 0, 8, 7, 8))
        while box.call("pair", 0, 0, 1, 2) == (1, 2):
            pass  # the thread has not run yet
        assert box.meddle(None) > 0


@pytest.mark.usefixtures("kvm")
@pytest.mark.parametrize(
    "change",
    [
        Change(Shared.AUX, 4, 4, 0),
        Change(Shared.AUX, 0, 8, 0),
        Change(Shared.VALUES, 2, 4, 0),
        Change(Shared.GUEST, 65_536, 1, 0),
        Change(Shared.GUEST, 1 << 63, 8, 0),
        Change(Shared.QUEUE, 0, 3, 0),
    ],
)
def test_nothing_but_what_is_shared_can_be_changed(change: Change) -> None:
    with open_pointer_liar("kvm", "strict").box as box:
        with pytest.raises(UsageError, match="cannot change"):
            box.meddle(change)
        assert box.call("marked") == 0


def test_there_is_nothing_to_change_in_process() -> None:
    with open_pointer_liar("inprocess", "strict").box as box, pytest.raises(UsageError, match="micro-VM"):
        box.meddle(None)


@pytest.mark.usefixtures("kvm")
def test_what_a_thread_wrote_to_guest_memory_is_reset(engine: str) -> None:
    liar = open_pointer_liar("kvm", "memory")
    with liar.box as box:
        box.meddle(Change(Shared.GUEST, 2048, 4, 5, 6))
        for _ in range(20):
            box.call("mark")
        box.meddle(None)
        box.reset()
        assert box.verify() == 0
        assert box.call("marked") == 0


@pytest.mark.parametrize("name", ["verifier-misses-a-bound", "results-outside-are-empty"])
def test_a_lie_that_the_platform_believes_is_saved_and_replayed(name: str, tmp_path: Path) -> None:
    fault = next(f for f in abi.FAULTS if f.name == name)
    if fault.kvm:
        require_kvm()
    with fault.open() as target:
        verdict = INVARIANTS[fault.invariant].check(target, Random(1), Budget(60.0, 100))
        assert verdict.status is Status.VIOLATED, verdict
        assert verdict.fault is not None
        saved = save(Store(tmp_path), target, verdict.fault)
        loaded = load(saved.path)
        with loaded.target:
            again = replay(loaded)
    assert again.fault is not None
    assert again.fault.signature == verdict.fault.signature
    with guests.target(guests.CLEAN_ECHO, "inprocess") as sound:
        assert INVARIANTS[fault.invariant].probe(sound, verdict.fault.case) is None


@pytest.mark.parametrize(
    "call",
    [
        Call("hlfuzz.lies"),
        Call("hlfuzz.lie.nothing", (1, 2)),
        Call("hlfuzz.lie.pair", (1.5, 2)),
        Call("hlfuzz.record"),
        Call("hlfuzz.request", (b"", b"")),
        Call("hlfuzz.records", (0.5,)),
        Call("hlfuzz.moments.pair", (1, 2, 3)),
        Call("hlfuzz.race.nothing"),
        Call("hlfuzz.import:no.such-name"),
        Call("env.write", (99,)),
    ],
)
def test_a_finding_that_names_no_experiment_shows_nothing(call: Call) -> None:
    case = Case((call,), context=False)
    invariant = {
        "moments": "double-fetch",
        "race": "double-fetch",
        "import": "capability",
        "write": "capability",
    }
    which = invariant.get(call.function.split(".")[1].partition(":")[0], "abi-conformity")
    with guests.target(guests.CLEAN_ECHO, "inprocess") as target:
        if which != "double-fetch":
            assert INVARIANTS[which].probe(target, case) is None
            return
    require_kvm()
    with guests.target(guests.CLEAN_ECHO, "kvm") as target:
        assert INVARIANTS[which].probe(target, case) is None


def test_the_guest_is_accused_of_its_own_lies_only(engine: str) -> None:
    with guests.target(abi.SOMETIMES_LIES, engine) as target:
        verdict = INVARIANTS["abi-conformity"].check(target, Random(2), Budget(60.0, 400))
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    assert verdict.fault.subject is Subject.GUEST
    assert verdict.fault.detail == "env.write"
    (data,) = verdict.fault.case.calls[-1].args
    assert isinstance(data, bytes)
    assert data[0] > 127
    assert len(data) == 1, "made small"


def test_records_are_changed_from_one_that_is_right() -> None:
    assert true_record()[:8] == bytes(8)
    assert len(true_record()) > 100
