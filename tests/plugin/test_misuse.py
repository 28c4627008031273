"""What a wrong use of the plugin says: one message with the user's own line, and none of hlfuzz's frames."""

from __future__ import annotations

import pytest
from projects import ASKS, CLEAN, REMEMBERS, Project

from hlfuzz.invariants import INVARIANTS


def _no_frames_of_ours(text: str) -> None:
    assert "hlfuzz/sandbox/" not in text
    assert "hlfuzz/testing/" not in text
    assert "hlfuzz/invariants/" not in text


def test_an_error_of_use_shows_the_line_of_the_test_and_no_frame_of_hlfuzz(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("def test_it(hlfuzz_sandbox):\n    hlfuzz_sandbox.call('on_dat', b'x')\n")
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [">*hlfuzz_sandbox.call('on_dat', b'x')", "E *did you mean 'on_data'?", "test_it.py:2: UsageError"]
    )
    _no_frames_of_ours(done.stdout.str())
    assert "hlfuzz/sandbox/" in project.run("--full-trace").stdout.str()


def test_the_line_of_a_host_function_that_raised_stays(project: Project) -> None:
    project.settings(asks=ASKS)
    project.test(
        "import pytest\n"
        "def now(): return {}['key']\n"
        "@pytest.fixture\n"
        "def hlfuzz_host(): return {'env.now': now}\n"
        "def test_it(hlfuzz_sandbox):\n    hlfuzz_sandbox.call('time')\n"
    )
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["test_it.py:2: KeyError", "E *host function 'env.now' failed*"])
    _no_frames_of_ours(done.stdout.str())


def test_a_typo_in_a_decorator_shows_the_line_of_the_test_only(project: Project) -> None:
    project.test("import hlfuzz\n@hlfuzz.invariants('state-rest')\ndef test_it(): pass\n", "test_a.py")
    project.test("import hlfuzz\n@hlfuzz.given_calls(int)\ndef test_it(calls): pass\n", "test_b.py")
    project.test("import hlfuzz\n@hlfuzz.given_calls(max_calls=0)\ndef test_it(calls): pass\n", "test_c.py")
    project.test("import hlfuzz\n@hlfuzz.given_calls(min_calls=0, max_calls=0)\ndef test_it(calls): 0\n")
    done = project.run()
    done.assert_outcomes(errors=4)
    done.stdout.fnmatch_lines(["test_a.py:2: in <module>", "E *did you mean 'state-reset'?"])
    done.stdout.fnmatch_lines(["test_b.py:2: in <module>", "E *give a generated client class"])
    done.stdout.fnmatch_lines(["test_c.py:2: in <module>", "E *no sequence has 1 to 0 calls*"])
    done.stdout.fnmatch_lines(["test_it.py:2: in <module>", "E *no sequence has 0 to 0 calls*"])
    _no_frames_of_ours(done.stdout.str())


def test_an_overridden_fixture_that_returns_something_else_is_named(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test(
        "import pytest\n"
        "class TestGuest:\n"
        "    @pytest.fixture\n"
        "    def hlfuzz_guest(self): return 'clean.wasm'\n"
        "    def test_it(self, hlfuzz_sandbox): pass\n"
        "class TestHost:\n"
        "    @pytest.fixture\n"
        "    def hlfuzz_host(self): return [1]\n"
        "    def test_it(self, hlfuzz_sandbox): pass\n"
    )
    done = project.run()
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["UsageError: the fixture hlfuzz_guest returned 'clean.wasm': return a Guest*"])
    done.stdout.fnmatch_lines(["UsageError: the fixture hlfuzz_host returned [[]1]: return host functions*"])


def test_a_module_that_cannot_be_used_is_told_once_for_all_invariants(project: Project) -> None:
    project.settings(clean=CLEAN)
    (project.path / "clean.wasm").write_text("int main")
    done = project.run("--hlfuzz=clean")
    done.assert_outcomes(errors=len(INVARIANTS))
    text = done.stdout.str().partition("short test summary")[0]
    assert text.count("ModuleError: not a Wasm module") == 1
    assert text.count("the same error as hlfuzz::clean::state-reset") == len(INVARIANTS) - 1


def test_a_store_that_cannot_be_written_says_what_was_found(project: Project) -> None:
    project.settings("store = '/dev/null/store'", remembers=REMEMBERS)
    done = project.run("hlfuzz::remembers::context-dependence", "--hlfuzz-time=60s")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(
        ["EnvironmentProblem: total depends on*cannot be kept*/dev/null/store*choose another folder*"]
    )
    _no_frames_of_ours(done.stdout.str())


def test_a_checker_that_raises_under_given_calls_is_its_own_bug(project: Project) -> None:
    project.settings("checkers = ['own.py']", remembers=REMEMBERS)
    (project.path / "own.py").write_text(
        "from hlfuzz.invariants import Invariant, Subject, register\n"
        "class Own(Invariant):\n"
        "    id, subject, doc = 'own', Subject.GUEST, 'it holds'\n"
        "    def probe(self, target, case, *, strict=False): return {}['key']\n"
        "register(Own())\n"
    )
    project.test(
        "import hlfuzz, hypothesis\n"
        "@hlfuzz.invariants('own')  # known by the settings\n"
        "@hlfuzz.given_calls(settings=hypothesis.settings(max_examples=3))\n"
        "def test_it(hlfuzz_sandbox, calls): calls.run(hlfuzz_sandbox)\n"
    )
    done = project.run()
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(["Own raised KeyError: 'key' (own.py:4): mend the checker*"])
    _no_frames_of_ours(done.stdout.str())


def test_a_class_among_the_projects_checkers_is_named_with_its_line(project: Project) -> None:
    project.settings("checkers = ['own.py']", clean=CLEAN)
    (project.path / "own.py").write_text("from hlfuzz.invariants import register\nregister(int)\n")
    done = project.run("--hlfuzz=clean")
    done.stderr.fnmatch_lines(["ERROR: checkers cannot be loaded (*own.py:2): a class*register(int())"])


def test_a_test_file_in_the_place_of_a_target_is_told(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("def test_it(): pass")
    for name in ("test_it.py", "test_it.py::test_it"):
        done = project.run("--hlfuzz", name)
        done.stderr.fnmatch_lines([f"ERROR: a test file*write pytest {name} --hlfuzz"])


def test_a_module_without_anything_to_call_is_an_error(project: Project) -> None:
    project.settings(clean='(module (memory (export "memory") 1))')
    done = project.run("hlfuzz::clean::bounds")
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["UsageError: nothing to call (the module exports no function)*"])
    project.settings(clean='(module (func (export "_start")))')
    done = project.run("hlfuzz::clean::bounds")
    done.stdout.fnmatch_lines(["UsageError: nothing to call (of _start): *name one with --method*"])


ALLOCATOR = '(func (export "alloc") (param i32) (result i32) (i32.const 9))'
NO_VECTORS = {
    '(func (export "f") (param i32 i32))': "if f takes pointer and length, export an allocator",
    ALLOCATOR + '(func (export "f") (param i32 i32 i32))': (
        "if f takes pointer and length, say f = { bytes = true }"
    ),
    '(func (export "f") (param i64))': "no method takes a byte vector that could carry a secret",
}


@pytest.mark.parametrize("text", NO_VECTORS)
def test_why_nothing_can_carry_a_secret_says_what_would(project: Project, text: str) -> None:
    project.settings(guest=f'(module (memory (export "memory") 1) {text})')
    done = project.run("hlfuzz::guest::tenant-independence", "-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines([f"SKIPPED*{NO_VECTORS[text]}*"])


def test_a_host_function_under_a_wrong_name_is_named(project: Project) -> None:
    project.guest("asks", ASKS)
    project.test(
        "import pytest\n"
        "@pytest.fixture\n"
        "def hlfuzz_host(): return {'env.nwo': int}\n"
        "@pytest.mark.hlfuzz(guest='asks.wasm', engine='inprocess')\n"
        "def test_it(hlfuzz_sandbox): pass\n"
    )
    done = project.run()
    done.stdout.fnmatch_lines(["UsageError: *(env.now; given is env.nwo, which it does not import)*"])


def test_a_kept_finding_that_is_damaged_is_told(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    project.run("hlfuzz::remembers::context-dependence", "--hlfuzz-time=60s").assert_outcomes(failed=1)
    (kept,) = (project.path / ".hlfuzz/remembers/findings").glob("*.json")
    kept.write_text('{"schema": ')
    project.guest("remembers", REMEMBERS.replace("global.get $n) (i32.const 1", "i32.const 0) (i32.const 0"))
    done = project.run("hlfuzz::remembers::context-dependence")
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines([f"*context-dependence held, but a kept finding could not be*{kept.name}*"])


def test_a_test_of_a_file_is_chosen_by_the_files_stem(project: Project) -> None:
    project.settings()
    project.guest("asks", ASKS.replace("env", "wasi"))
    (project.path / "hlfuzz.toml").write_text("version = 1\nhost = { 'wasi.now' = 'record' }\n")
    project.run("--hlfuzz=asks.wasm", "hlfuzz::asks::determinism").assert_outcomes(passed=1)
