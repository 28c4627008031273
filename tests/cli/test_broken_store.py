"""A store that cannot be written, and findings that are broken: a clear error each, and never a traceback."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from hlfuzz.errors import HlfuzzError, UsageError
from hlfuzz.fuzz import load, replay

Run = Callable[..., Result]
CHECK = ("--invariant", "context-dependence", "--time", "60s", "--seed", "1", "--engine", "inprocess")
USAGE, ENVIRONMENT = 2, 3


@pytest.fixture
def check(hlfuzz: Run, modules: dict[str, Path]) -> Run:
    """Finds the planted fault of a module; what it finds goes to a store."""
    return lambda *options: hlfuzz("check", modules["faulty"], *CHECK, *options)


@pytest.fixture(scope="module")
def kept(modules: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one finding."""
    from hlfuzz.cli import app

    store = tmp_path_factory.mktemp("store")
    found = CliRunner().invoke(app, ["check", str(modules["faulty"]), *CHECK, "--store", str(store)])
    assert found.exit_code == 1, found.output
    return store


@pytest.fixture
def finding(kept: Path, tmp_path: Path) -> Path:
    """The finding in a copy of that store, the folder `kept`."""
    shutil.copytree(kept, tmp_path / "kept")
    (path,) = (tmp_path / "kept" / "findings").glob("*.json")
    return path


def said(result: Result, exit_code: int) -> str:
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    assert result.exit_code == exit_code, result.output
    return " ".join(result.output.split())


def a_file(path: Path) -> None:
    path.write_text("not a folder")


def findings_are_a_file(path: Path) -> None:
    path.mkdir()
    (path / "findings").write_text("not a folder")


def below_a_file(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/null/store")


@pytest.mark.parametrize("breaks", [a_file, findings_are_a_file, below_a_file])
def test_a_store_that_cannot_be_written_is_named_with_the_next_step(
    breaks: Callable[[Path], None], check: Run, tmp_path: Path
) -> None:
    store = tmp_path / "folder" / "store" if breaks is below_a_file else tmp_path / "store"
    breaks(store)
    text = said(check("--store", store), ENVIRONMENT)
    assert "cannot write" in text
    assert "choose another folder: --store, or store in the settings" in text


def test_a_folder_in_the_place_of_a_finding_is_an_error(finding: Path, check: Run) -> None:
    finding.unlink()
    finding.mkdir()
    assert finding.name in said(check("--store", "kept"), ENVIRONMENT).replace(" ", "")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"[]", b'"text"', b"{}", b'{"schema": "other/1"}']
)
def test_a_file_that_is_no_finding_is_refused(content: bytes, hlfuzz: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    assert "broken.json" in said(hlfuzz("repro", path), USAGE)


@pytest.mark.parametrize("path", ["missing.json", "."])
def test_a_path_that_cannot_be_read_is_refused(path: str, hlfuzz: Run) -> None:
    assert "cannot read the finding" in said(hlfuzz("repro", path), USAGE)


def test_a_module_that_is_missing_or_was_changed_is_named(finding: Path, hlfuzz: Run) -> None:
    (module,) = finding.parent.parent.glob("guest-*.wasm")
    module.write_bytes(module.read_bytes() + b"\0\2\1x")  # one more custom section
    assert "the finding's module was changed" in said(hlfuzz("repro", finding), USAGE)
    module.unlink()
    assert "the finding's module is missing" in said(hlfuzz("repro", finding), USAGE)


def test_a_finding_that_was_broken_is_found_again_and_replaced(finding: Path, check: Run) -> None:
    finding.write_text('{"schema": ')
    assert check("--store", "kept").exit_code == 1
    assert json.loads(finding.read_text())["invariant"] == "context-dependence"


WRONG: tuple[Any, ...] = (
    None, True, -1, 1 << 70, 1e999, float("nan"), "", "x", "\ud800", [], ["a"], {}, {"x": {}}, [[1]],
)  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copied = copy.deepcopy(document)
    at = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copied


def test_any_wrong_value_anywhere_in_a_finding_is_an_error_of_ours_or_harmless(finding: Path) -> None:
    document = json.loads(finding.read_text())
    document["case"]["secret"] = {"call": 1, "offset": 0, "length": 1, "first": "00", "second": "01"}
    document["case"]["boxes"] = [0] * len(document["case"]["calls"])
    document["case"]["injection"] = {"point": "host-call", "kind": "raise", "at": 0}
    refused = 0
    for path in places(document):
        for value in WRONG:
            finding.write_text(json.dumps(changed(document, path, value)))
            try:
                load(finding).target.close()
            except HlfuzzError:
                refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("case", "calls"), []),
        (("case", "calls", 0, "function"), "no such export"),
        (("case", "calls", 0, "args"), [1, 2, 3, 4, 5]),
        (("case", "calls", 0, "args"), [{"f64": "7ff8000000000000"}]),
        (("deadline_us",), 0),
        (("invariant",), "no such invariant"),
    ],
)
def test_what_can_be_loaded_is_replayed_or_refused(path: tuple[Any, ...], value: Any, finding: Path) -> None:
    finding.write_text(json.dumps(changed(json.loads(finding.read_text()), path, value)))
    try:
        loaded = load(finding)
        with loaded.target:
            assert replay(loaded).fault is None or path == ("invariant",)
    except UsageError:
        pass
