"""The core of the checkers: events of a run, invariants of users, the register, shrinking."""

from __future__ import annotations

from random import Random
from threading import get_ident

import pytest
import wasmtime

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Called,
    Case,
    Config,
    ContextEnded,
    ContextOpened,
    Fault,
    Injection,
    Invariant,
    Kind,
    Problem,
    Run,
    SandboxOpened,
    SandboxReset,
    Secret,
    Status,
    Subject,
    Target,
    TraceInvariant,
    case_from_json,
    case_to_json,
    choose,
    describe_interface,
    examine,
    register,
)
from hlfuzz.invariants.shrink import shrink
from hlfuzz.model import Call, Ok, Trap

COUNTER = """(module (import "env" "log" (func $log (param i32))) (global $n (mut i32) (i32.const 0))
  (func (export "next") (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1))) (call $log (global.get $n)) (global.get $n))
  (func (export "fail") unreachable))"""


@pytest.fixture
def target() -> Target:
    guest = Guest.from_wasm(bytes(wasmtime.wat2wasm(COUNTER)), name="counter")
    interface = describe_interface(guest.info, Config(), stub_imports=True)
    return Target(guest, interface, engine="inprocess")


NEXT, FAIL = Call("next"), Call("fail")


def test_a_run_says_what_happened_in_order(target: Target) -> None:
    with target:
        run = target.run(Case((NEXT, NEXT)))
    assert [type(e) for e in run.events] == [
        SandboxOpened,
        ContextOpened,
        Called,
        Called,
        ContextEnded,
        SandboxReset,
    ]
    assert [c.outcome for c in run.calls] == [Ok((1,)), Ok((2,))]
    assert [c.host_calls[0].args for c in run.calls] == [(1,), (2,)]
    assert {h.thread for c in run.calls for h in c.host_calls} == {get_ident()}


def test_without_a_context_each_call_is_followed_by_a_reset(target: Target) -> None:
    with target:
        run = target.run(Case((NEXT, NEXT), context=False))
    assert [type(e) for e in run.events] == [SandboxOpened, Called, SandboxReset, Called, SandboxReset]
    assert [c.outcome for c in run.calls] == [Ok((1,)), Ok((1,))]


def test_sandboxes_of_a_case_have_their_own_state_and_contexts(target: Target) -> None:
    with target:
        run = target.run(Case((NEXT, NEXT, FAIL, NEXT, NEXT), boxes=(0, 1, 1, 1, 0)))
    assert [(c.box, c.at) for c in run.calls] == [(0, 0), (1, 1), (1, 2), (0, 4)]
    assert run.calls[2].outcome == Trap("unreachable")
    assert run.calls[3].outcome == Ok((2,))
    assert [e for e in run.events if isinstance(e, ContextEnded)] == [
        ContextEnded(0, False),
        ContextEnded(1, True),
    ]


def test_a_case_survives_json() -> None:
    case = Case(
        (Call("a", (b"12345678",)), Call("b", (1, 2.5))),
        secret=Secret(0, 1, 4, b"ab", b"cd"),
        boxes=(1, 0),
        injection=Injection("host-call", "raise", 3),
    )
    assert case_from_json(case_to_json(case)) == case


def test_a_case_with_too_few_sandbox_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="one sandbox number"):
        Case((NEXT, NEXT), boxes=(0,))


class SmallAnswers(TraceInvariant):
    """The counter of a user who wants it never to pass two."""

    id = "small-answers"
    subject = Subject.GUEST
    doc = "no answer is above two"

    def judge(self, target: Target, run: Run) -> Problem | None:
        for called in run.calls:
            if isinstance(called.outcome, Ok) and called.outcome.values and called.outcome.values[0] > 2:
                return Problem(called.call.function, f"answered {called.outcome.values[0]}")
        return None


@pytest.fixture
def registered() -> None:
    before = dict(INVARIANTS)
    yield
    INVARIANTS.clear()
    INVARIANTS.update(before)


def test_an_invariant_of_a_user_is_checked_and_its_finding_made_small(target: Target) -> None:
    with target:
        verdict = SmallAnswers().check(target, Random(1), Budget(20.0, 400))
    assert verdict.status is Status.VIOLATED
    assert verdict.fault is not None
    assert verdict.fault.title == "answered 3"
    assert verdict.fault.case.calls == (NEXT, NEXT, NEXT)


def test_a_checker_that_raises_is_its_own_bug(target: Target) -> None:
    class Sloppy(SmallAnswers):
        def judge(self, target: Target, run: Run) -> Problem | None:
            raise ValueError("no such thing")

    with target:
        verdict = examine(Sloppy(), target, Random(1), Budget(5.0, 10))
    assert verdict.status is Status.BROKEN
    assert verdict.fault is None
    assert "Sloppy raised ValueError: no such thing (test_invariants_core.py:" in verdict.detail


@pytest.mark.usefixtures("registered")
def test_a_registered_invariant_runs_with_the_others() -> None:
    mine = register(SmallAnswers())
    assert choose(["small-answers", "bounds"], "here") == [mine, INVARIANTS["bounds"]]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"id": "Bad Id"}, "id 'Bad Id' is not usable"),
        ({"id": "state-reset"}, "is taken by StateReset"),
        ({"doc": ""}, "says too little"),
        ({"subject": "guest!"}, "says too little"),
    ],
)
def test_an_invariant_that_says_too_little_is_refused(attributes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        register(type("Mine", (SmallAnswers,), attributes)())


def test_what_is_no_invariant_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a class .* write register\(SmallAnswers\(\)\)"):
        register(SmallAnswers)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not an invariant \(int\)"):
        register(1)  # type: ignore[arg-type]


def test_an_unknown_invariant_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(UsageError, match=r"'state-rest' \(--invariant\): did you mean 'state-reset'"):
        choose(["state-rest"], "--invariant")


class Judge(Invariant):
    """Fails when the named calls are there, in order, with a number of at least 37."""

    id = "judge"
    subject = Subject.GUEST
    doc = "for the shrinker"

    def __init__(self) -> None:
        self.probes = 0

    def probe(self, target: object, case: Case, *, strict: bool = False) -> Fault | None:
        self.probes += 1
        wanted = iter(("open", "write", "close"))
        needed = next(wanted)
        for call in case.calls:
            if call.function != needed:
                continue
            if needed == "write" and not (call.args[1] >= 37 and b"!" in call.args[0]):
                continue
            following = next(wanted, None)
            if following is None:
                return self.violated(function="close", detail="", title="found", evidence=(), case=case)
            needed = following
        return None


def test_fifty_calls_shrink_to_the_three_that_matter() -> None:
    rng = Random(3)
    noise = [Call("noise", (rng.randbytes(64), rng.randrange(1000))) for _ in range(47)]
    calls = [*noise[:20], Call("open"), *noise[20:40], Call("write", (b"abc!defgh", 9000)), *noise[40:]]
    case = Case((*calls, Call("close")), boxes=tuple(i % 3 for i in range(50)))
    judge = Judge()
    first = judge.probe(None, case)
    assert first is not None
    assert first.kind is Kind.VIOLATION
    small = shrink(first, lambda c: judge.probe(None, c), 20.0)
    assert small.case.calls == (Call("open"), Call("write", (b"!", 37)), Call("close"))
    assert len(small.case.boxes) == 3
    assert judge.probes < 400
