"""Every failure that `error-containment` injects is injected somewhere, and a sound platform survives it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import Random

import guests
import pytest
import wasmtime
from native_build import Toolchain
from needs import require_kvm
from planted import containment

from hlfuzz import Guest, Sandbox
from hlfuzz.fuzz import Store, load, replay
from hlfuzz.fuzz.finding import save
from hlfuzz.invariants import Budget, Case, Target
from hlfuzz.invariants.error_containment import ErrorContainment
from hlfuzz.invariants.failures import exits, inject, steps, threads
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.guests import hostile, native_attacks, patient

CHECKER = ErrorContainment()


def cases(target: Target) -> list[Case]:
    found: list[Case] = []
    for case in CHECKER.cases(target, Generator.of(target, Random(1))):
        if not case.calls[0].function.startswith(patient.PREFIX):
            break
        found.append(case)
    return found


@pytest.fixture
def target(engine: str) -> Iterator[Target]:
    with guests.target(guests.CLEAN_ECHO, engine) as target:
        yield target


def test_every_kind_of_failure_is_tried(target: Target) -> None:
    injections = {(c.injection.point, c.injection.kind) for c in cases(target) if c.injection}
    assert {kind for point, kind in injections if point == inject.POINT} == {
        *inject.RAISED, *inject.ANSWERS, *inject.ACTS
    }  # fmt: skip
    kvm = target.session().is_kvm
    wanted = {"interrupted", "kicks", "deadline"} if kvm else {"deadline"}
    assert {kind for point, kind in injections if point == exits.POINT} == wanted
    assert {kind for point, kind in injections if point == steps.POINT} == (
        {"ENOMEM", "EMFILE", "ENOSPC", "EINTR"} if kvm else set()
    )
    assert {(point, kind) for point, kind in injections if point in threads.POINTS} == (
        set(itertools.product(threads.POINTS, ("interrupted", "kick", "ENOMEM"))) if kvm else set()
    )


def test_failures_are_injected_where_the_case_says() -> None:
    require_kvm()
    with guests.target(guests.CLEAN_ECHO, "kvm") as target:
        for step in steps.STEPS:
            at = max(
                c.injection.at for c in steps.cases(target) if c.calls[0].function == patient.PREFIX + step
            )
            assert at > 2, step


def test_the_targets_own_host_calls_fail_too(engine: str) -> None:
    with guests.target(guests.ASKS_HOST, engine) as target:
        found = CHECKER.cases(target, Generator.of(target, Random(1)))
        own = (c for c in found if c.calls[0].function == "time")
        kinds = {next(own).injection.kind for _ in range(60)}
    assert kinds == set(inject.EVERYWHERE)


def test_a_host_function_that_answers_differently_each_time_is_not_held_against_the_platform(
    engine: str,
) -> None:
    ticks = itertools.count()
    sound = guests.target(guests.ASKS_HOST, engine)
    host = {"env.now": lambda: next(ticks)}
    with Target(sound.guest, sound.interface, engine=sound.engine, host=host) as target:
        found = CHECKER.cases(target, Generator.of(target, Random(1)))
        own = (c for c in found if c.calls[0].function == "time")
        assert [CHECKER.probe(target, case) for case in itertools.islice(own, 40)] == [None] * 40


def test_the_bundled_guests_are_what_their_text_says() -> None:
    assert bytes(wasmtime.wat2wasm(patient.WAT)) == patient.WASM
    for name, module in hostile.HOSTILE.items():
        assert bytes(wasmtime.wat2wasm(module.wat)) == module.wasm, name


@pytest.mark.programs("gcc")
def test_the_bundled_native_guest_does_what_its_source_says(tmp_path: Path) -> None:
    require_kvm()
    source = Path(native_attacks.__file__).with_suffix(".c").read_text()
    built = Toolchain("gcc", "c", "-O2").build(source, tmp_path, "-Wno-infinite-recursion")
    guests_ = [Guest.from_elf(elf, limits=hostile.LIMITS) for elf in (built, native_attacks.ELF)]
    names = [{e.name for e in g.info.functions_exported} for g in guests_]
    assert names[0] == names[1] >= {attack.export for attack in native_attacks.NATIVE.values()}
    for guest in guests_:
        for attack in native_attacks.NATIVE.values():
            options = {"deadline": 0.05, "call_limits": attack.call_limits, "engine": "kvm"}
            with Sandbox(guest, {"env.tick": lambda: None}, **options) as box:
                assert attack.contained(box.try_call(attack.export)), attack.export


def test_a_finding_can_be_shrunk_and_shows_the_injection(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hlfuzz.sandbox.hostcalls import HostCalls

    sound = HostCalls.invoke

    def invoke(self: HostCalls, *args: object) -> object:
        try:
            return sound(self, *args)  # type: ignore[arg-type]
        except AssertionError as error:
            raise LookupError from error

    monkeypatch.setattr(HostCalls, "invoke", invoke)
    verdict = CHECKER.check(target, Random(1), Budget(30, 500))
    assert verdict.fault is not None
    assert verdict.fault.case.injection is not None
    assert verdict.fault.case.injection.kind == "assertion"
    assert "assertion at host-call 0" in verdict.fault.evidence[0]
    assert len(verdict.fault.case.calls) == 1


def test_a_saved_finding_shows_again_and_not_on_a_mended_platform(tmp_path: Path) -> None:
    require_kvm()
    (fault,) = (f for f in containment.FAULTS if f.name == "exit-swallowed")
    with fault.open() as target:
        verdict = CHECKER.check(target, Random(1), Budget(30, 500))
        assert verdict.fault is not None
        saved = save(Store(tmp_path), target, verdict.fault)
        loaded = load(saved.path)
        with loaded.target:
            again = replay(loaded)
    assert again.fault is not None
    assert again.fault.signature == verdict.fault.signature
    mended = load(saved.path)
    with mended.target:
        assert replay(mended).fault is None
