"""`hlfuzz check` writes its reports, lists its invariants, and says who failed: guest, checker or machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import hlfuzz.cli.check
from hlfuzz.invariants import INVARIANTS, Case, Fault, Invariant, Subject, Target, register

Document = Callable[..., dict[str, Any]]
INPROCESS = ("--engine", "inprocess")
FAULTY = ("--time", "60s", "--seed", "1", "--invariant", "context-dependence", *INPROCESS)


def test_all_reports_are_written_from_one_run(
    hlfuzz: Callable[..., Any], modules: dict[str, Path], tmp_path: Path
) -> None:
    wanted = ("--html", "out/page.html", "--sarif", "log.sarif", "--junit", "junit.xml")
    result = hlfuzz("check", modules["faulty"], *FAULTY, *wanted)
    assert result.exit_code == 1, result.output
    title = "on_data depends on an earlier init"
    assert title in result.stdout
    assert title in (tmp_path / "out/page.html").read_text()
    assert title in (tmp_path / "junit.xml").read_text()
    (run,) = json.loads((tmp_path / "log.sarif").read_text())["runs"]
    (found,) = run["results"]
    assert title in found["message"]["text"]
    for attached in found["attachments"]:
        assert (tmp_path / attached["artifactLocation"]["uri"]).is_file()


def test_a_violation_is_told_with_its_calls_evidence_and_next_steps(
    hlfuzz: Callable[..., Any], modules: dict[str, Path]
) -> None:
    text = hlfuzz("check", modules["faulty"], *FAULTY).stdout
    for line in ("accused: the guest", "seed 1", "1. init()", "2. on_data(b'')", "on its own: returned 0"):
        assert line in text
    assert "hlfuzz repro .hlfuzz/faulty/findings/context-dependence-on_data-" in text
    assert "pytest .hlfuzz/faulty/findings/context-dependence-on_data-" in text


def test_a_report_that_cannot_be_written_is_an_error_of_the_environment(
    document: Document, modules: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    found = document("check", modules["faulty"], *FAULTY, "--html", "file/page.html")
    assert found["exit"] == 3
    assert "file/page.html" in found["message"]


def test_the_invariants_are_listed_with_their_promises(
    hlfuzz: Callable[..., Any], document: Document
) -> None:
    listed = document("check", "--list")
    assert (listed["schema"], listed["exit"]) == ("hlfuzz.invariants/1", 0)
    assert [i["id"] for i in listed["invariants"]] == list(INVARIANTS)
    assert all(i["promise"] for i in listed["invariants"])
    text = hlfuzz("check", "--list").stdout
    assert all(id_ in text for id_ in INVARIANTS)


def test_nothing_to_check_is_a_usage_error(document: Document) -> None:
    assert document("check")["exit"] == 2


@pytest.fixture
def without_kvm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hlfuzz.cli.check, "why_no_kvm", lambda: "there is no /dev/kvm")


def test_required_kvm_that_is_not_there_gives_exit_code_3(
    without_kvm: None, document: Document, modules: dict[str, Path]
) -> None:
    found = document("check", modules["faulty"], "--require-kvm")
    assert found["exit"] == 3
    assert "there is no /dev/kvm" in found["message"]


def test_required_kvm_and_the_other_engine_exclude_each_other(
    document: Document, modules: dict[str, Path]
) -> None:
    assert document("check", modules["faulty"], "--require-kvm", *INPROCESS)["exit"] == 2


class Raises(Invariant):
    """A checker with a bug."""

    id: ClassVar[str] = "raises"
    subject: ClassVar[Subject] = Subject.GUEST
    doc: ClassVar[str] = "nothing"

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        raise ZeroDivisionError("my own bug")


@pytest.fixture
def raises() -> Iterator[None]:
    register(Raises())
    yield
    del INVARIANTS[Raises.id]


def test_a_checker_that_raises_is_its_own_bug_and_no_finding(
    raises: None, document: Document, modules: dict[str, Path], tmp_path: Path
) -> None:
    found = document("check", modules["faulty"], "--invariant", "raises", "--sarif", "log.sarif", *INPROCESS)
    (row,) = found["rows"]
    assert (row["verdict"], row["finding"], found["exit"]) == ("broken", None, 2)
    assert "my own bug" in row["detail"]
    assert Path(__file__).name in row["detail"]
    (run,) = json.loads((tmp_path / "log.sarif").read_text())["runs"]
    assert run["results"] == []
    assert run["invocations"][0]["executionSuccessful"] is False


SETTINGS = """
[tool.hlfuzz]
seed = 5
engine = "inprocess"
time = "3s"

[tool.hlfuzz.targets.filter]
module = "build/faulty.wasm"
invariants = ["context-dependence", "determinism"]
"""


@pytest.fixture
def project(tmp_path: Path, modules: dict[str, Path]) -> Path:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/faulty.wasm").write_bytes(modules["faulty"].read_bytes())
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    return tmp_path


def test_a_configured_target_is_checked_as_its_settings_say(document: Document, project: Path) -> None:
    found = document("check", "filter")
    assert (found["seed"], found["engine"], found["exit"]) == (5, "inprocess", 1)
    assert [row["invariant"] for row in found["rows"]] == ["context-dependence", "determinism"]
    finding = Path(found["rows"][0]["finding"])
    assert not finding.is_absolute()
    assert finding.is_relative_to(".hlfuzz/filter/findings")
    assert '"build/faulty.wasm"' in (project / finding.with_suffix(".py")).read_text()


def test_options_go_before_settings(document: Document, project: Path) -> None:
    options = ("--seed", "9", "--invariant", "determinism", "--store", "kept")
    found = document("check", "filter", *options)
    assert (found["seed"], found["exit"]) == (9, 0)
    assert [row["invariant"] for row in found["rows"]] == ["determinism"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "filtre"), "'filter'"),
        (("check", "filter", "--deadline", "0"), "--deadline"),
        (("check", "filter", "--invariant", "determinsm"), "did you mean 'determinism'"),
        (("check", "filter", "--time", "soon"), "--time"),
    ],
)
def test_a_wrong_word_is_answered_with_what_was_meant(
    document: Document, project: Path, arguments: tuple[str, ...], message: str
) -> None:
    found = document(*arguments)
    assert found["exit"] == 2
    assert message in found["message"]
