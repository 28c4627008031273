"""What one tenant learns of another: small cases, and nobody accused for what somebody else does."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from random import Random

import guests
import pytest
from needs import require_kvm
from planted import answers, tenant_guests, tenants

from hlfuzz.errors import UsageError
from hlfuzz.fuzz import Store, load, save
from hlfuzz.fuzz.replay import steps_of
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Case,
    Fault,
    Secret,
    Status,
    Subject,
    Target,
    Verdict,
    case_from_json,
    case_to_json,
)
from hlfuzz.model import Call, Ok
from hlfuzz.sandbox import Caller

BUDGET = Budget(60.0, 400)


def judge(invariant: str, target: Target) -> Verdict:
    return INVARIANTS[invariant].check(target, Random(4), BUDGET)


def violated(invariant: str, target: Target) -> Fault:
    verdict = judge(invariant, target)
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    return verdict.fault


def test_a_trap_that_quotes_another_tenant_is_shown_with_two_calls() -> None:
    with tenants.trap_that_quotes_another_tenant() as target:
        fault = violated("noninterference", target)
        assert "in the message of on_data's outcome" in fault.evidence[0]
        assert sorted(fault.case.boxes) == [0, 1]
        titles = [title for title, _ in steps_of(target, fault.case)]
    assert titles == ["with the first secret", "with the second secret"]


def test_a_secret_in_the_mailbox_is_named_as_lying_there() -> None:
    require_kvm()
    with tenants.mailbox_that_is_not_wiped() as target:
        fault = violated("noninterference", target)
    assert "in the mailbox" in fault.evidence[0]


def test_a_guest_is_accused_of_telling_inside_a_context_and_the_platform_is_not(engine: str) -> None:
    with guests.target(tenant_guests.GLOBAL, engine) as target:
        assert INVARIANTS["noninterference"].check(target, Random(4), Budget(3.0, 12)).status is Status.HELD
        fault = violated("tenant-independence", target)
    assert fault.subject is Subject.GUEST
    assert "8 bytes" in fault.title


@pytest.mark.parametrize(
    ("wat", "form"),
    [(tenant_guests.IN_HEX, "in hex"), (tenant_guests.XORED, "under an xor with 0x5a")],
    ids=["hex", "xor"],
)
def test_a_coded_leak_shows_the_secret_s_own_bytes(wat: str, form: str) -> None:
    with guests.target(wat, "inprocess") as target:
        fault = violated("tenant-independence", target)
    slot = fault.case.secret
    assert slot is not None
    for secret, line in zip((slot.first, slot.second), fault.evidence, strict=True):
        shown = line.rpartition("b'")[2].rstrip("'")
        assert form in line
        assert len(shown) >= 8
        assert shown in (secret * 2).decode()


def test_a_dependence_on_length_says_both_lengths() -> None:
    with guests.target(tenant_guests.LENGTH, "inprocess") as target:
        fault = violated("tenant-independence", target)
    assert "how much" in fault.title
    assert fault.case.secret is not None
    longer, shorter = fault.case.secret.length, fault.case.secret.length - fault.case.secret.cut
    assert [e.partition(":")[0] for e in fault.evidence] == [
        f"with secret of {longer} bytes",
        f"with secret of {shorter} bytes",
    ]


def test_more_input_may_use_up_more_memory() -> None:
    eats = """(module (memory (export "memory") 1) (global $top (mut i32) (i32.const 65200))
      (func (export "alloc") (param i32) (result i32)
        (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 0)))
        (if (i32.gt_u (global.get $top) (i32.const 65536)) (then unreachable)))
      (func (export "on_data") (param i32 i32) (result i32) (i32.const 1)))"""
    secret = Secret(0, 0, 48, b"0123456789abcdef" * 2, b"0123456789abcdef" * 2, cut=16)
    case = Case((Call("on_data", (bytes(170),)), Call("on_data", (bytes(170),))), secret=secret)
    with guests.target(eats, "inprocess") as target:
        first, second = (target.session().sequence(calls) for calls in case.variants())
        assert isinstance(second[1].outcome, Ok)
        assert not isinstance(first[1].outcome, Ok)
        assert INVARIANTS["tenant-independence"].probe(target, case) is None


def test_a_case_with_a_shorter_secret_survives_the_file() -> None:
    case = Case(
        (Call("f", (bytes(64),)), Call("f", (b"",))), True, Secret(0, 4, 48, b"a" * 16, b"a" * 16, 16), (1, 0)
    )
    assert case_from_json(case_to_json(case)) == case
    first, second = case.variants()
    assert first[0].args == (bytes(4) + b"a" * 48 + bytes(12),)
    assert second[0].args == (bytes(4) + b"a" * 32 + bytes(12),)
    broken = case_to_json(replace(case, secret=replace(case.secret, cut=-1)))  # type: ignore[type-var]
    with pytest.raises(UsageError, match="malformed"):
        case_from_json(broken)


@pytest.mark.parametrize("invariant", ["state-reset", "context-dependence", "differential"])
def test_nobody_is_accused_where_a_host_function_answers_in_two_ways(invariant: str, engine: str) -> None:
    ticks = itertools.count()
    target = guests.target(guests.ASKS_HOST, engine)
    target.host["env.now"] = lambda: next(ticks)
    with target:
        if reason := INVARIANTS[invariant].unfit(target):
            pytest.skip(reason)
        verdict = judge(invariant, target)
    assert verdict.status is Status.INCONCLUSIVE
    assert verdict.fault is None
    assert "env.now gave two answers" in verdict.detail


@pytest.mark.parametrize("invariant", ["context-dependence", "tenant-independence", "capability"])
def test_time_that_goes_on_is_no_state_of_the_guest(invariant: str) -> None:
    with tenant_guests.with_clock(tenant_guests.TIME_BY_LENGTH) as target:
        assert INVARIANTS[invariant].check(target, Random(4), Budget(2.0, 30)).status is Status.HELD


@pytest.mark.parametrize("invariant", ["context-dependence", "noninterference"])
def test_chance_in_the_platform_is_laid_to_nobody_else(invariant: str) -> None:
    with answers.rounding_that_changes() as target:
        verdict = INVARIANTS[invariant].check(target, Random(4), Budget(20.0, 60))
    assert verdict.status is not Status.VIOLATED, verdict


def test_a_store_that_the_host_keeps_for_all_tenants_is_laid_to_the_host(engine: str) -> None:
    kept: list[bytes] = []

    def swap(caller: Caller, pointer: int, length: int) -> int:
        kept.append(caller.read(pointer, length))
        caller.write(70_000, max(kept[-40:], key=len))
        return 0

    target = guests.target(tenants.ASKS_FOR_BYTES, engine)
    target.host["env.swap"] = swap
    with target:
        verdict = INVARIANTS["noninterference"].check(target, Random(4), Budget(4.0, 40))
    # What it kept of earlier runs may answer for all differences: then nobody is accused.
    assert verdict.fault is None or verdict.fault.subject is Subject.HOST, verdict.detail


def test_bytes_that_lie_anywhere_are_no_secrets_of_a_finding() -> None:
    good, zeros = b"ABCDefgh0123456789zyxwvutsRQPONM", bytes(32)
    with guests.target(guests.CLEAN_ARITHMETIC, "inprocess") as target:
        for secrets in ((zeros, good), (good, zeros), (good, good), (good,), ()):
            case = Case((Call("hlfuzz.notebook", secrets),))
            assert INVARIANTS["noninterference"].probe(target, case) is None


def test_a_finding_with_host_functions_of_a_test_says_that_it_needs_the_test(tmp_path: Path) -> None:
    ticks = itertools.count()
    target = guests.target(guests.ASKS_HOST, "inprocess")
    target.host["env.now"] = lambda: next(ticks)
    with target:
        fault = violated("determinism", target)
        path = save(Store(tmp_path), target, fault).path
    assert (fault.subject, "env.now" in fault.title) == (Subject.HOST, True)
    with pytest.raises(UsageError, match=r"env\.now.*run the test"):
        load(path)
