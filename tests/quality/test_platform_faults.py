"""Each planted fault of a platform is caught by the checker for it, and blamed on the platform."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any

import guests
import pytest

import hlfuzz.sandbox.box
from hlfuzz.guest import Guest, Limits
from hlfuzz.invariants import INVARIANTS, Budget, Fault, Session, Status, Subject, Target
from hlfuzz.invariants.host import Recorder
from hlfuzz.model import FuncType
from hlfuzz.sandbox import HostFunction
from hlfuzz.sandbox.providers import link


def violated(invariant: str, target: Target, *, confirmed: bool = True) -> Fault:
    with target:
        verdict = INVARIANTS[invariant].check(target, Random(3), Budget(60.0, 100))
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    assert verdict.fault.subject is Subject.PLATFORM
    return verdict.fault


def test_an_answer_that_changes_from_run_to_run_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()

    def provider(self: Recorder, name: str, type_: FuncType, mode: object) -> Any:
        return lambda caller, *args: next(ticks)

    monkeypatch.setattr(Recorder, "_function", provider)
    fault = violated("determinism", guests.target(guests.ASKS_HOST, "inprocess"))
    assert fault.function == "time"
    assert len(fault.case.calls) == 1


def test_a_loader_that_invents_missing_host_functions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lenient(guest: Guest, host: dict[str, Any]) -> Any:
        known = {i.key for i in guest.info.imports}
        given = {k: v for k, v in host.items() if k in known}
        return link(guest, {**{k: HostFunction(lambda: 0) for k in known - set(given)}, **given})

    monkeypatch.setattr(hlfuzz.sandbox.box, "link", lenient)
    fault = violated("capability", guests.target(guests.ASKS_HOST, "inprocess"))
    assert "env.now" in fault.title


def test_limits_that_nobody_enforces_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hlfuzz.invariants.bounds.LIMITS", Limits(memory_bytes=32 << 20))
    fault = violated("bounds", guests.target(guests.CLEAN_ARITHMETIC, "inprocess"))
    assert fault.function == "endless-growth"


def test_an_engine_that_computes_something_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "is_kvm", True)
    target = guests.target(guests.CLEAN_ARITHMETIC, "inprocess")
    other = guests.target(guests.CLEAN_ARITHMETIC.replace("i32.add", "i32.or"), "inprocess")
    monkeypatch.setattr(Target, "peer", property(lambda self: other))
    with other:
        fault = violated("differential", target)
    assert fault.function == "add"
    assert len(fault.case.calls) == 1


def test_nan_bits_are_not_taken_for_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "is_kvm", True)
    wat = '(module (func (export "nan") (result f64) (f64.const nan:0x{})))'
    target, other = (
        guests.target(wat.format(bits), "inprocess") for bits in ("8000000000000", "8000000000001")
    )
    monkeypatch.setattr(Target, "peer", property(lambda self: other))
    with target, other:
        verdict = INVARIANTS["differential"].check(target, Random(3), Budget(2.0, 20))
    assert verdict.status is Status.HELD
