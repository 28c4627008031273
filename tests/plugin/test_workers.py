"""With workers, timers and shuffled order: the same tests, the same seed, no more guests than CPUs carry."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from projects import CLEAN, REMEMBERS, Project

from hlfuzz.testing.slots import HELD, slot, slot_count


def test_workers_run_every_test_once_with_the_seed_of_the_run(project: Project) -> None:
    project.settings(one=REMEMBERS, other=REMEMBERS)
    project.test("def test_own(): pass")
    options = ("--hlfuzz-invariant=context-dependence", "--hlfuzz-seed=random", "--hlfuzz-time=60s")
    done = project.run(".", "-n2", "--hlfuzz=one", "--hlfuzz=other", *options, "--junitxml=out.xml")
    done.assert_outcomes(passed=1, failed=2)
    done.stdout.fnmatch_lines_random([f"FAILED hlfuzz::{name}::*dependence*" for name in ("one", "other")])
    text = (project.path / "out.xml").read_text()
    seeds = re.findall(r'name="hlfuzz.seed" value="(\d+)"', text)
    assert len(seeds) == 2
    assert set(seeds) == set(re.findall(r"seed (\d+), ", done.stdout.str()))


def test_a_wrong_name_ends_a_run_with_workers_as_any_other(project: Project) -> None:
    project.settings(clean=CLEAN)
    done = project.run("--hlfuzz=claen", "-n2")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: no target *did you mean 'clean'*"])


def test_a_checker_ends_before_the_timer_of_its_test(project: Project) -> None:
    project.settings(clean=CLEAN)
    options = ("--hlfuzz=clean", "--hlfuzz-invariant=determinism", "--hlfuzz-time=1h")
    done = project.run(*options, "--timeout=4")
    done.assert_outcomes(passed=1)


def test_a_timer_ends_a_test_and_the_others_go_on(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test("""
import pytest, time
@pytest.mark.timeout(0.2)
def test_slow(hlfuzz_sandbox):
    hlfuzz_sandbox.call("on_data", b"abc")
    time.sleep(60)
def test_next(hlfuzz_sandbox): assert hlfuzz_sandbox.call("on_data", b"abc") == 3
""")
    project.run().assert_outcomes(passed=1, failed=1)


def test_ctrl_c_ends_the_run(project: Project) -> None:
    project.settings(clean=CLEAN)
    project.test(
        """
import os, signal
from hlfuzz.invariants import Subject, TraceInvariant, register
class Own(TraceInvariant):
    id, subject, doc = "own", Subject.GUEST, "nothing"
    def judge(self, target, run): os.kill(os.getpid(), signal.SIGINT)
register(Own())
""",
        "conftest.py",
    )
    chosen = ("--hlfuzz-invariant=own", "--hlfuzz-invariant=determinism")
    done = project.run("--hlfuzz=clean", *chosen, no_reraise_ctrlc=True)
    assert done.ret == pytest.ExitCode.INTERRUPTED
    done.stdout.fnmatch_lines(["*KeyboardInterrupt*"])


def test_half_of_the_cpus_are_for_guests_and_at_least_one() -> None:
    assert [slot_count(cpus) for cpus in (1, 2, 3, 4, 64)] == [1, 1, 1, 2, 32]


def test_a_slot_is_waited_for_and_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HELD, raising=False)
    order: list[str] = []
    with slot(count=1, folder=tmp_path) as held:
        assert held
        waiting = _hold_in_another_process(tmp_path, "print('held', flush=True)")
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        order.append("released")
    assert waiting.communicate(timeout=300)[0] == "held\n"
    with slot(count=1, folder=tmp_path) as held:
        assert held


def test_a_worker_that_is_killed_gives_its_slot_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HELD, raising=False)
    holder = _hold_in_another_process(tmp_path, "print('held', flush=True); time.sleep(600)")
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with slot(count=1, folder=tmp_path, patience=0.1) as held:
        assert not held
    holder.kill()
    holder.wait()
    with slot(count=1, folder=tmp_path, patience=300) as held:
        assert held


def test_what_a_worker_with_a_slot_starts_does_not_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HELD, raising=False)
    with slot(count=1, folder=tmp_path), slot(count=1, folder=tmp_path, patience=600) as inner:
        assert not inner
    assert HELD not in os.environ


def test_a_link_in_the_place_of_a_slot_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(HELD, raising=False)
    (tmp_path / "slot-0").symlink_to(tmp_path / "elsewhere")
    with slot(count=1, folder=tmp_path, patience=0.05) as held:
        assert not held
    assert not (tmp_path / "elsewhere").exists()


def _hold_in_another_process(folder: Path, then: str) -> subprocess.Popen[str]:
    program = f"""
import sys, time
from pathlib import Path
from hlfuzz.testing.slots import slot
with slot(count=1, folder=Path(sys.argv[1]), patience=600) as held:
    assert held
    {then}
"""
    environment = {k: v for k, v in os.environ.items() if k != HELD}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
