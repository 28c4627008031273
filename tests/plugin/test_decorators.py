"""@hlfuzz.invariants and @hlfuzz.given_calls: what a test calls is judged, too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import AFTER_THREE, ASKS, CLEAN, REMEMBERS, Project

import hlfuzz

ROOT = Path(__file__).parents[2]

# Sends what the call before it was given.
LEAKS = """(module (import "env" "write" (func $write (param i32 i32))) (memory (export "memory") 2)
  (func (export "alloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param i32 i32)
    (call $write (i32.const 66000) (i32.const 64))
    (memory.copy (i32.const 66000) (local.get 0)
      (select (local.get 1) (i32.const 64) (i32.lt_u (local.get 1) (i32.const 64))))))"""


def test_the_calls_that_a_test_made_are_judged(project: Project) -> None:
    project.settings(after=AFTER_THREE)
    project.test("""
import hlfuzz

@hlfuzz.invariants("context-dependence", "determinism")
def test_many(hlfuzz_sandbox):
    with hlfuzz_sandbox.context() as context:
        for _ in range(4):
            context.call("next", 77777)
        context.finish()

@hlfuzz.invariants("context-dependence")
def test_few(hlfuzz_sandbox):
    assert hlfuzz_sandbox.call("next", 77777) == 0
""")
    done = project.run("--junitxml=out.xml")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(
        [
            "next depends on an earlier next*",
            "accused: the guest (after.wasm), of breaking context-dependence",
            "  1. next(77777)",
            "  2. next(77777)",
            "  3. next(77777)",
            "FAILED test_it.py::test_many - next depends *",
        ]
    )
    assert 'name="hlfuzz.verdict" value="violated"' in (project.path / "out.xml").read_text()
    assert 'name="hlfuzz.verdict" value="held"' in (project.path / "out.xml").read_text()


def test_a_test_that_called_nothing_gets_generated_calls(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    project.test("""
import hlfuzz
@hlfuzz.invariants("context-dependence")
def test_nothing(): pass
""")
    done = project.run("--hlfuzz-time=60s")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["  1. bump()", "  2. total()"])


def test_a_body_that_fails_is_not_judged(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    project.test("""
import hlfuzz
@hlfuzz.invariants("context-dependence")
def test_it(hlfuzz_sandbox): assert hlfuzz_sandbox.call("total") == 1
""")
    done = project.run()
    done.assert_outcomes(failed=1)
    assert "accused" not in done.stdout.str()


def test_byte_vectors_of_a_test_carry_the_secrets_of_tenants(project: Project) -> None:
    project.settings(leaks=LEAKS)
    project.test("""
import hlfuzz
@hlfuzz.invariants("tenant-independence")
def test_it(hlfuzz_sandbox):
    hlfuzz_sandbox.call("on_data", bytes(48))
""")
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["on_data hands * bytes of an earlier tenant's on_data to the next tenant"])


def test_classes_and_checkers_of_ones_own_and_methods_can_be_decorated(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("""
import hlfuzz
from hlfuzz.invariants import Problem, Subject, TraceInvariant

class Own(TraceInvariant):
    id, subject, doc = "own", Subject.GUEST, "no call has the letter x"
    def judge(self, target, run):
        for called in run.calls:
            if b"x" in called.call.args[0]:
                return Problem(called.call.function, "an x was sent")

@hlfuzz.invariants(Own())
class TestAll:
    def test_good(self, hlfuzz_sandbox): hlfuzz_sandbox.call("on_data", b"abc")
    def test_bad(self, hlfuzz_sandbox): hlfuzz_sandbox.call("on_data", b"axc")
    @hlfuzz.invariants("determinism")
    def test_two(self, hlfuzz_sandbox): hlfuzz_sandbox.call("on_data", b"x")
""")
    done = project.run("-rA")
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines(["  1. on_data(b'x')", "FAILED test_it.py::TestAll::test_bad - an x was sent*"])


def test_what_cannot_be_asked_here_is_skipped_with_the_reason_and_never_passes(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("""
import hlfuzz
@hlfuzz.invariants("determinism", "memory-isolation")
def test_it(hlfuzz_sandbox): hlfuzz_sandbox.call("on_data", b"abc")
""")
    done = project.run("-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED*memory-isolation: *kvm*"])


def test_a_broken_checker_accuses_nobody(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("""
import hlfuzz
from hlfuzz.invariants import Subject, TraceInvariant
class Own(TraceInvariant):
    id, subject, doc = "own", Subject.GUEST, "nothing"
    def judge(self, target, run): return 1 // 0
@hlfuzz.invariants(Own())
def test_it(hlfuzz_sandbox): hlfuzz_sandbox.call("on_data", b"abc")
""")
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["Own raised ZeroDivisionError: * (test_it.py:6): mend the checker*"])
    assert "accused" not in done.stdout.str()


def test_a_host_function_that_answers_otherwise_each_time_is_named(project: Project) -> None:
    project.settings()
    project.guest("asks", ASKS)
    project.test("""
import itertools, hlfuzz, pytest
@pytest.fixture
def hlfuzz_host(): return {"env.now": itertools.count().__next__}
@pytest.mark.hlfuzz(guest="asks.wasm")
@hlfuzz.invariants("determinism")
def test_it(hlfuzz_sandbox): hlfuzz_sandbox.call("time")
""")
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["*env.now*", "accused: the host*"])


@pytest.mark.parametrize(
    ("decorator", "said"),
    [
        ("invariants('state-rest')", "unknown invariant 'state-rest' (@hlfuzz.invariants): *'state-reset'?"),
        ("invariants()", "no invariant is named *"),
        ("invariants", "neither the id of an invariant nor a checker *"),
        ("given_calls", "*parentheses*"),
        ("given_calls()", "no argument 'calls' (test_it): def test_it(hlfuzz_sandbox, calls)"),
        ("given_calls(max_calls=0)", "no sequence has 1 to 0 calls *"),
    ],
)
def test_a_decorator_that_is_misused_is_told_when_the_module_is_collected(
    project: Project, decorator: str, said: str
) -> None:
    project.settings(clean=CLEAN)
    project.test(f"import hlfuzz\n@hlfuzz.{decorator}\ndef test_it(hlfuzz_sandbox): pass\n")
    done = project.run()
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([f"E *UsageError: {said}".replace("?", "[?]")])


def test_without_the_plugin_a_decorated_test_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.settings(clean=CLEAN)
    project.test("import hlfuzz\n@hlfuzz.invariants('determinism')\ndef test_it(): pass\n")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    command = [sys.executable, "-m", "pytest", "-p", "no:hlfuzz", "-p", "no:cacheprovider"]
    done = project.pytester.run(*command)
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["*fixture 'hlfuzz_checked' not found"])


def test_a_test_is_given_calls_of_its_own_guest(project: Project) -> None:
    project.settings(after=AFTER_THREE)
    project.test("""
import hlfuzz, hypothesis
seen = []
@hlfuzz.given_calls(max_calls=4, settings=hypothesis.settings(max_examples=20, database=None))
def test_it(hlfuzz_sandbox, calls):
    assert 1 <= len(calls) <= 4
    assert not hlfuzz_sandbox.records or len(seen) > 0
    hlfuzz_sandbox.context()  # which nobody finishes
    seen.append(calls)
def test_after(): assert len(seen) >= 15
""")
    project.run().assert_outcomes(passed=2)


def test_examples_are_judged_and_made_small(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    project.test("""
import hlfuzz, hypothesis
settings = hypothesis.settings(database=None, derandomize=True)
@hlfuzz.invariants("context-dependence")
@hlfuzz.given_calls(settings=settings)
def test_outer(hlfuzz_sandbox, calls):
    with hlfuzz_sandbox.context() as context:
        calls.run(context)
        context.finish()

@hlfuzz.given_calls(settings=settings)
@hlfuzz.invariants("context-dependence")
def test_inner(calls): pass
""")
    done = project.run()
    done.assert_outcomes(failed=2)
    done.stdout.fnmatch_lines(["  1. bump()", "  2. total()", "*calls=Calls(*"] * 2)
    assert "  3. " not in done.stdout.str()


def test_user_code_passes_the_type_checker(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text("""
from __future__ import annotations
import hlfuzz
from hlfuzz.invariants import Problem, Run, Subject, Target, TraceInvariant, register
from hlfuzz.invariants.sequences import Calls

class Own(TraceInvariant):
    id, subject, doc = "own", Subject.GUEST, "nothing"
    def judge(self, target: Target, run: Run) -> Problem | None:
        return None

register(Own())

@hlfuzz.invariants("state-reset", Own())
@hlfuzz.given_calls(max_calls=3)
def test_it(hlfuzz_sandbox: hlfuzz.Sandbox, calls: Calls) -> None:
    calls.run(hlfuzz_sandbox)
""")
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_package_of_invariants_is_still_a_package() -> None:
    assert hlfuzz.invariants.__name__ == "hlfuzz.invariants"
    assert callable(hlfuzz.invariants)


def test_typed_calls_of_a_client_class_are_drawn_run_and_judged(project: Project, typed_filter: Path) -> None:
    project.settings()
    project.typed_client()
    project.test(f"""
import hlfuzz, hypothesis, pytest
from filter_hl import FilterGuest
from hlfuzz.invariants import Problem, Subject, TraceInvariant

pytestmark = pytest.mark.hlfuzz(guest={str(typed_filter)!r})
settings = hypothesis.settings(max_examples=15, database=None, derandomize=True)

class NoClose(TraceInvariant):
    id, subject, doc = "no-close", Subject.GUEST, "no connection is closed"
    def judge(self, target, run):
        for called in run.calls:
            if called.call.function.endswith("on_close"):
                return Problem(called.call.function, "a connection was closed")

@hlfuzz.invariants("context-dependence")
@hlfuzz.given_calls(FilterGuest, max_calls=2, settings=settings)
def test_holds(hlfuzz_sandbox, calls):
    assert len(calls.run(hlfuzz_sandbox)) == len(calls)

@hlfuzz.invariants(NoClose())
@hlfuzz.given_calls(FilterGuest, max_calls=3, settings=hypothesis.settings(settings, max_examples=40))
def test_fails(hlfuzz_sandbox, calls):
    calls.run(hlfuzz_sandbox)
""")
    done = project.run("--hlfuzz-time=1s")
    done.assert_outcomes(passed=1, failed=1)
    done.stdout.fnmatch_lines(["a connection was closed", "  1. on_close(*)"])
    done.stdout.fnmatch_lines(["*Calls(FilterGuest, ('on_close', *"])


def test_a_checker_that_judges_cases_of_its_own_is_asked_after_the_examples(project: Project) -> None:
    project.settings(leaks=LEAKS)
    project.test("""
import hlfuzz, hypothesis
from hlfuzz.invariants import INVARIANTS, Case, Status, Subject, Verdict
from hlfuzz.model import Call

class Own(type(INVARIANTS["bounds"])):
    id, subject, doc = "own", Subject.PLATFORM, "an experiment"
    def cases(self, target, generator): yield Case((Call("hlfuzz.own"),))
    def probe(self, target, case, *, strict=False):
        if case.calls[0].function == "hlfuzz.own":
            return self.violated(function="", detail="", title="it broke", evidence=(), case=case)

@hlfuzz.invariants(Own())
@hlfuzz.given_calls(settings=hypothesis.settings(max_examples=3, database=None))
def test_it(hlfuzz_sandbox, calls): calls.run(hlfuzz_sandbox)
""")
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["it broke", "accused: the platform*"])


def test_what_shows_once_only_is_an_expected_failure(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("""
import hlfuzz
from hlfuzz.invariants import Problem, Subject, TraceInvariant
class Once(TraceInvariant):
    id, subject, doc, seen = "once", Subject.GUEST, "nothing", 0
    def judge(self, target, run):
        self.seen += 1
        return Problem("on_data", "now and then") if self.seen == 1 else None
@hlfuzz.invariants(Once())
def test_it(hlfuzz_sandbox): hlfuzz_sandbox.call("on_data", b"abc")
""")
    done = project.run("-rx")
    done.assert_outcomes(xfailed=1)
    done.stdout.fnmatch_lines(["XFAIL *inconclusive: once: *now and then*"])
