"""`pytest --hlfuzz=TARGET`: every invariant is a test, and each verdict is what a test can say."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from needs import require_kvm
from projects import AFTER_THREE, CLEAN, REMEMBERS, Project

from hlfuzz.invariants import INVARIANTS
from hlfuzz.sandbox.engines.inprocess.engine import InProcessEngine


def test_every_invariant_of_a_target_is_a_test_in_an_empty_folder(project: Project) -> None:
    project.settings(clean=CLEAN, other=CLEAN)
    done = project.run("--hlfuzz=clean", "--collect-only", "-q")
    assert [line for line in done.outlines if line.startswith("hlfuzz::")] == [
        f"hlfuzz::clean::{name}" for name in INVARIANTS
    ]


def test_a_clean_guest_passes_and_what_needs_a_micro_vm_is_skipped_with_the_reason(project: Project) -> None:
    project.settings(clean=CLEAN)
    done = project.run("--hlfuzz=clean", "-rs")
    outcomes = done.parseoutcomes()
    assert outcomes.keys() == {"passed", "skipped"}
    assert outcomes["passed"] >= 6
    done.stdout.fnmatch_lines(["SKIPPED *clean.wasm* needs *kvm*"])


def test_a_violation_fails_with_all_that_is_needed_to_see_it_again(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    done = project.run("--hlfuzz=remembers", "-k", "context-dependence", "--hlfuzz-seed=5")
    done.assert_outcomes(failed=1, deselected=len(INVARIANTS) - 1)
    done.stdout.fnmatch_lines(
        [
            "total depends on an earlier bump*",
            "accused: the guest (remembers.wasm), of breaking context-dependence",
            "calls (in one call context):",
            "  1. bump()",
            "  2. total()",
            "what was seen:",
            "*on its own: returned 0*",
            "seed 5, found in *",
            "again: hlfuzz repro .hlfuzz/remembers/findings/context-dependence-total-*.json",
            "FAILED hlfuzz::remembers::context-dependence - total depends on an earlier*",
        ]
    )
    assert "hlfuzz/testing" not in done.stdout.str()
    assert list((project.path / ".hlfuzz" / "remembers" / "findings").glob("*.json"))


def test_the_reproducer_can_be_pasted_into_a_test_file_and_fails_there(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    done = project.run("hlfuzz::remembers::context-dependence")
    text = done.stdout.str().partition("or as a test:")[2].partition("\n====")[0]
    project.test(text)
    again = project.run()
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*total depends on an earlier bump*"])
    project.guest("remembers", REMEMBERS.replace("i32.const 1", "i32.const 0"))
    project.run().assert_outcomes(passed=1)


def test_a_run_can_be_narrowed_by_id_by_expression_and_by_option(project: Project) -> None:
    project.settings(clean=CLEAN, other=CLEAN)
    for arguments in (
        ["hlfuzz::clean::determinism"],
        ["--hlfuzz=clean", "--hlfuzz=other", "hlfuzz::clean::determinism"],
        ["--hlfuzz=clean", "-k", "determinism"],
        ["--hlfuzz=clean", "--hlfuzz-invariant=determinism"],
        ["--hlfuzz=clean", *(f"--deselect=hlfuzz::clean::{i}" for i in INVARIANTS if i != "determinism")],
    ):
        done = project.run(*arguments, "-v")
        assert done.parseoutcomes()["passed"] == 1, arguments
        done.stdout.fnmatch_lines(["hlfuzz::clean::determinism PASSED*"])


def test_generated_tests_run_beside_written_ones(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("def test_own(): pass")
    done = project.run("--hlfuzz=clean", "--hlfuzz-invariant=determinism", ".", "-v")
    done.assert_outcomes(passed=2)


def test_only_what_failed_last_is_run_again(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    plugin = ("-p", "cacheprovider")
    options = (
        "--hlfuzz=remembers",
        "--hlfuzz-invariant=determinism",
        "--hlfuzz-invariant=context-dependence",
    )
    project.run(*plugin, *options).assert_outcomes(passed=1, failed=1)
    project.run(*plugin, *options, "--lf").assert_outcomes(failed=1, deselected=1)
    project.run(*plugin, *options, "-x").assert_outcomes(passed=1, failed=1)


def test_what_was_found_once_is_found_again_until_it_is_mended(project: Project) -> None:
    project.settings(after=AFTER_THREE)
    chosen = ("hlfuzz::after::context-dependence",)
    project.run(*chosen).assert_outcomes(passed=1)  # nobody guesses 77777
    project.test("""
import hlfuzz
@hlfuzz.invariants("context-dependence")
def test_it(hlfuzz_sandbox):
    with hlfuzz_sandbox.context() as context:
        for _ in range(3): context.call("next", 77777)
        context.finish()
""")
    project.run().assert_outcomes(failed=1)
    project.run(*chosen).assert_outcomes(failed=1)
    findings = project.path / ".hlfuzz" / "after" / "findings"
    (findings / "context-dependence-other.json").write_text("{")
    project.guest("after", AFTER_THREE.replace("77777", "77778"))
    project.run(*chosen).assert_outcomes(passed=1)


def test_a_pass_that_says_little_says_so(project: Project) -> None:
    project.settings(clean=CLEAN)
    done = project.run("hlfuzz::clean::tenant-independence")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["hlfuzz::clean::tenant-independence held, but only inputs guessed*"])


def test_junit_documents_have_the_facts_of_each_verdict(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    project.run("hlfuzz::remembers::context-dependence", "--junitxml=out.xml", "--hlfuzz-seed=5")
    (case,) = ElementTree.parse(project.path / "out.xml").iter("testcase")
    facts = {p.get("name", ""): p.get("value", "") for p in case.iter("property")}
    assert facts.pop("hlfuzz.runs").isdecimal()
    assert facts.pop("hlfuzz.finding").endswith(f"{facts.pop('hlfuzz.signature')}.json")
    assert facts == {
        "hlfuzz.invariant": "context-dependence",
        "hlfuzz.subject": "guest",
        "hlfuzz.target": "remembers",
        "hlfuzz.seed": "5",
        "hlfuzz.verdict": "violated",
    }
    (failure,) = case.iter("failure")
    assert failure.get("message", "").startswith("total depends on an earlier bump")


OWN = """
from hlfuzz.invariants import Problem, Status, Subject, TraceInvariant, Verdict, register

class Own(TraceInvariant):
    id, subject, doc = "own", Subject.GUEST, "what this project promises"
    def judge(self, target, run):
        {judge}
    {more}
register(Own())
"""


@pytest.mark.parametrize(
    ("judge", "more", "outcome", "said"),
    [
        ("return Problem(run.calls[0].call.function, 'this is wrong')", "", "failed", "this is wrong"),
        ("raise KeyError('oh')", "", "errors", "*Own raised KeyError: 'oh' (conftest.py:*"),
        ("return None", "def unfit(self, target): return 'not here'", "skipped", "SKIPPED*not here"),
        (
            "return None",
            "def check(self, *a): return Verdict(Status.INCONCLUSIVE, 3, 'once')",
            "xfailed",
            "XFAIL*inconclusive: once",
        ),
    ],
    ids=["violated", "broken", "not-applicable", "inconclusive"],
)
def test_each_verdict_of_a_checker_of_ones_own_is_told_apart(
    project: Project, judge: str, more: str, outcome: str, said: str
) -> None:
    project.settings(clean=CLEAN)
    project.test(OWN.format(judge=judge, more=more), "conftest.py")
    done = project.run("--hlfuzz=clean", "--hlfuzz-invariant=own", "-rsx")
    done.assert_outcomes(**{outcome: 1})
    done.stdout.fnmatch_lines([said])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--hlfuzz=claen"], "no target and no module file 'claen'*did you mean 'clean'?"),
        (
            ["--hlfuzz=clean", "--hlfuzz-invariant=determinsm"],
            "unknown invariant*did you mean 'determinism'?",
        ),
        (["hlfuzz::clean::determinsm"], "no test*did you mean 'hlfuzz::clean::determinism'?"),
        (["--hlfuzz=clean", "--hlfuzz-seed=x"], "--hlfuzz-seed 'x' is no seed*"),
        (["--hlfuzz=clean", "--hlfuzz-time=x"], "--hlfuzz-time 'x' is no duration*"),
    ],
)
def test_a_wrong_name_ends_the_run_before_it_begins(
    project: Project, arguments: list[str], said: str
) -> None:
    project.settings(clean=CLEAN)
    done = project.run(*arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines([f"ERROR: {said}"])


def test_wrong_settings_end_the_run_with_file_and_key(project: Project) -> None:
    project.settings("engin = 1", clean=CLEAN)
    done = project.run("--hlfuzz=clean")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(
        ["ERROR: unknown key 'engin'; did you mean 'engine'? (*pyproject.toml: tool.hlfuzz.engin)*"]
    )


def test_a_module_that_is_none_is_an_error_of_each_of_its_tests(project: Project) -> None:
    project.settings(clean=CLEAN)
    (project.path / "clean.wasm").write_bytes(b"nothing")
    done = project.run("hlfuzz::clean::determinism")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["ModuleError: *clean.wasm*"])


def test_a_platform_that_does_not_reset_is_accused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.settings(remembers=REMEMBERS.replace("(global $n", '(global $n (export "n")'))
    monkeypatch.setattr(InProcessEngine, "reset", lambda self: None)
    done = project.run("hlfuzz::remembers::state-reset", "--hlfuzz-time=60s")
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["accused: the platform (remembers.wasm), of breaking state-reset"])


def test_in_micro_vms_every_invariant_of_a_clean_guest_is_asked(project: Project) -> None:
    require_kvm()
    project.settings(clean=CLEAN)
    chosen = [f"hlfuzz::clean::{name}" for name in ("state-reset", "memory-isolation", "differential")]
    done = project.run(*chosen, "--hlfuzz-engine=kvm", "--hlfuzz-time=1s")
    done.assert_outcomes(passed=3)


def test_where_a_micro_vm_is_required_and_missing_every_test_is_an_error(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.settings("require_kvm = true", clean=CLEAN)
    monkeypatch.setattr("hlfuzz.testing.state.why_no_kvm", lambda: "no /dev/kvm")
    done = project.run("--hlfuzz=clean")
    done.assert_outcomes(errors=len(INVARIANTS))
