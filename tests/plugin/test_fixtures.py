"""Fixtures and marks: a test gets the guest, the host functions and the sandbox that it says."""

from __future__ import annotations

import pytest
from projects import ASKS, CLEAN, REMEMBERS, Project


def test_the_only_target_is_the_guest_of_a_test(project: Project) -> None:
    project.settings(remembers=REMEMBERS)
    project.test("""
def test_reset(hlfuzz_guest, hlfuzz_sandbox, hlfuzz_pool):
    assert hlfuzz_sandbox.guest is hlfuzz_guest
    hlfuzz_sandbox.call("bump")
    assert hlfuzz_sandbox.call("total") == 0
    with hlfuzz_sandbox.context() as context:
        context.call("bump")
        assert context.call("total") == 1
        context.finish()
    with hlfuzz_pool.lease() as one, hlfuzz_pool.lease() as other:
        one.call("bump"), other.call("total")
    assert [r.call.function for r in hlfuzz_sandbox.records] == ["bump", "total", "bump", "total"]
    alone, together = hlfuzz_sandbox.cases()
    assert ([c.function for c in alone.calls], alone.context) == (["bump", "total"], False)
    assert ([c.function for c in together.calls], together.context) == (["bump", "total"], True)

def test_again(hlfuzz_guest): test_again.guest = hlfuzz_guest
def test_it_is_loaded_once(hlfuzz_guest): assert hlfuzz_guest is test_again.guest
""")
    project.run().assert_outcomes(passed=3)


def test_marks_say_guest_target_engine_reset_and_timeout(project: Project) -> None:
    project.settings(clean=CLEAN, remembers=REMEMBERS)
    project.test("""
import pytest
pytestmark = pytest.mark.hlfuzz(engine="inprocess", target="clean")

def test_module(hlfuzz_sandbox):
    assert hlfuzz_sandbox.guest.name == "clean.wasm"
    assert hlfuzz_sandbox.call("on_data", b"abc") == 3

@pytest.mark.hlfuzz(guest="remembers.wasm", timeout=0.25, reset="memory")
def test_nearest(hlfuzz_sandbox):
    assert (hlfuzz_sandbox.guest.name, hlfuzz_sandbox.engine) == ("remembers.wasm", "inprocess")
""")
    project.run("--hlfuzz-engine=auto").assert_outcomes(passed=2)


def test_the_timeout_of_a_mark_ends_a_call(project: Project) -> None:
    project.settings(loops='(module (func (export "spin") (loop br 0)))')
    project.test("""
import hlfuzz, pytest
@pytest.mark.hlfuzz(timeout=0.05)
def test_it(hlfuzz_sandbox):
    outcome = hlfuzz_sandbox.try_call("spin")
    assert isinstance(outcome, hlfuzz.Timeout) and outcome.deadline_us == 50_000
""")
    project.run().assert_outcomes(passed=1)


def test_a_project_gives_its_own_guest_and_host_functions(project: Project) -> None:
    project.settings()
    project.guest("asks", ASKS)
    project.test(
        """
import hlfuzz, pytest
@pytest.fixture
def hlfuzz_guest(): return hlfuzz.Guest.from_wasm("asks.wasm")
@pytest.fixture
def hlfuzz_host(): return {"env.now": lambda: 7}
""",
        "conftest.py",
    )
    project.test("""
def test_it(hlfuzz_sandbox, hlfuzz_pool):
    assert hlfuzz_sandbox.call("time") == 7
    assert hlfuzz_sandbox.records[0].host_calls[0].result == (7,)
    with hlfuzz_pool.lease() as box:
        assert box.call("time") == 7
""")
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("engin='kvm'", "unknown key 'engin' (test_it.py::test_it: @pytest.mark.hlfuzz): *mean 'engine'?"),
        ("engine='kwm'", "unknown engine 'kwm' *did you mean 'kvm'?"),
        ("reset='all'", "unknown reset 'all' *known are memory, strict"),
        ("timeout=0", "timeout 0 is no time *"),
        ("guest=1", "a guest is named by its file, found 1 *"),
        ("target=1", "a target is named by text, found 1 *"),
        ("guest='a', target='b'", "both guest and target are named *"),
        ("'kvm'", "the mark takes names only, found 'kvm' *"),
        ("guest='gone.wasm'", "no guest (*gone.wasm): No such file *"),
        ("target='claen'", "no target and no module file 'claen' *did you mean 'clean'?"),
        ("", "which guest? (test_it.py::test_it; configured targets: clean, other): mark the test *"),
    ],
)
def test_a_wrong_mark_is_an_error_of_its_test_in_one_message(project: Project, mark: str, said: str) -> None:
    project.settings(clean=CLEAN, other=CLEAN)
    marked = f"@pytest.mark.hlfuzz({mark})\ndef test_it(hlfuzz_sandbox): pass\n"
    project.test(f"import pytest\n{marked}def test_other(): pass\n")
    done = project.run()
    done.assert_outcomes(errors=1, passed=1)
    done.stdout.fnmatch_lines([f"UsageError: {said}".replace("[", "[[]").replace("?", "[?]")])
    assert "hlfuzz/testing" not in done.stdout.str()


def test_a_host_function_that_nobody_gives_is_named_with_the_way_to_give_it(project: Project) -> None:
    project.guest("asks", ASKS)
    project.test("import pytest\n@pytest.mark.hlfuzz(guest='asks.wasm')\ndef test_it(hlfuzz_sandbox): pass\n")
    done = project.run()
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines(["UsageError: *env.now*"])
    assert "hlfuzz_host" in done.stdout.str()


def test_a_schema_that_the_guest_was_not_built_for_is_told(project: Project) -> None:
    (project.path / "other.toml").write_text("version = 1\n[guest.gone]\nresult = 'i32'\n")
    project.settings(clean=CLEAN)
    with (project.path / "pyproject.toml").open("a") as file:
        file.write("\nschema = 'other.toml'\n")
    project.test("def test_it(hlfuzz_sandbox): pass")
    done = project.run(".", "hlfuzz::clean::determinism")
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["LinkError: *'gone'*", "LinkError: *'gone'*"])


def test_without_a_micro_vm_a_run_that_requires_one_fails(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hlfuzz.testing.state.why_no_kvm", lambda: "no /dev/kvm")
    project.settings("require_kvm = true", clean=CLEAN)
    project.test("def test_it(hlfuzz_sandbox): pass")
    done = project.run(".", "hlfuzz::clean::determinism")
    done.assert_outcomes(errors=2)
    done.stdout.fnmatch_lines(["*require_kvm is set*no /dev/kvm*"] * 2)
