"""[tool.hlfuzz]: what is wrong is named with its key and what was meant; what is right opens a target."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from hlfuzz.errors import UsageError
from hlfuzz.invariants import HostMode, Project, find_project, find_target, open_project_target

WAT = """(module (import "env" "write" (func (param i32 i32))) (memory (export "memory") 1)
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "on_data") (param i32 i32))
  (func (export "total") (result i32) (i32.const 1)))"""
HEAD = "[tool.hlfuzz]\n"
TARGET = "[tool.hlfuzz.targets.filter]\nmodule = 'filter.wasm'\n"


def project(folder: Path, text: str, name: str = "pyproject.toml") -> Project:
    (folder / name).write_text(text)
    return find_project(folder)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "filter.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(WAT)))
    return path


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEAD + "engin = 'kvm'", "did you mean 'engine'.*tool.hlfuzz.engin"),
        (HEAD + "engine = 'kwm'", "did you mean 'kvm'.*tool.hlfuzz.engine"),
        (HEAD + "engine = 1", "expected text, found an integer.*tool.hlfuzz.engine"),
        (HEAD + "reset = 'none'", "tool.hlfuzz.reset"),
        (HEAD + "timeout = 0", "tool.hlfuzz.timeout"),
        (HEAD + "timeout = true", "tool.hlfuzz.timeout"),
        (HEAD + "seed = -1", "tool.hlfuzz.seed"),
        (HEAD + "time = 'soon'", "tool.hlfuzz.time"),
        (HEAD + "require_kvm = 'yes'", "expected true or false, found text.*tool.hlfuzz.require_kvm"),
        (HEAD + "invariants = [1]", "tool.hlfuzz.invariants"),
        (HEAD + "targets = 1", "tool.hlfuzz.targets"),
        ("[tool]\nhlfuzz = 1", "tool.hlfuzz"),
        ("[tool.hlfuzz.targets.filter]", "tool.hlfuzz.targets.filter.module"),
        (TARGET + "modul = 'x'", "did you mean 'module'.*tool.hlfuzz.targets.filter.modul"),
        (TARGET + "[tool.hlfuzz.targets.filter.host]\n'env.write' = 'x'", 'filter.host."env.write"'),
        (TARGET + "[tool.hlfuzz.targets.filter.methods.a]\nstate = true", "did you mean 'stateful'"),
        ("[tool.hlfuzz.targets.'a b']\nmodule = 'x'", "target name 'a b'"),
        ("[tool", "not valid TOML"),
    ],
)
def test_an_error_names_its_key_and_what_was_meant(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named) as raised:
        project(tmp_path, text)
    assert str(tmp_path / "pyproject.toml") in str(raised.value)


def test_settings_are_read_from_the_nearest_folder_that_has_some(tmp_path: Path) -> None:
    text = HEAD + "engine = 'inprocess'\ntimeout = 2\nseed = 'random'\ntime = '2m'\nstore = 'found'\n"
    project(tmp_path, text + "require_kvm = true\n" + TARGET)
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "pyproject.toml").write_text("[project]\nname = 'other'\n")
    (tmp_path / "a" / "hlfuzz.toml").write_text("version = 1\n[methods]\n")
    found = find_project(inner)
    assert (found.folder, found.path) == (tmp_path, tmp_path / "pyproject.toml")
    assert (found.engine, found.timeout, found.seed, found.time) == ("inprocess", 2, None, 120)
    assert (found.store, found.require_kvm) == (tmp_path / "found", True)
    assert found.targets["filter"].module == tmp_path / "filter.wasm"


def test_a_project_without_settings_has_the_defaults(tmp_path: Path) -> None:
    found = find_project(tmp_path)
    assert found == Project(tmp_path, store=tmp_path / ".hlfuzz")
    assert found.seed == 0


def test_hlfuzz_toml_with_targets_is_the_same(tmp_path: Path, module: Path) -> None:
    text = "version = 1\ntimeout = 2\nhost = {'env.write' = 'bytes'}\ntargets.filter.module = 'filter.wasm'\n"
    found = project(tmp_path, text, "hlfuzz.toml")
    with open_project_target(found, "filter") as target:  # and the file still describes the module beside it
        assert dict(target.interface.host) == {"env.write": HostMode.BYTES}
        assert target.deadline == 2


def test_settings_in_two_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "hlfuzz.toml").write_text("version = 1\n[targets]\n")
    with pytest.raises(UsageError, match="two files"):
        project(tmp_path, TARGET)


def test_the_table_of_a_target_goes_before_the_file_of_its_module(tmp_path: Path, module: Path) -> None:
    (tmp_path / "hlfuzz.toml").write_text(
        "version = 1\n[host]\n'env.write' = 'record'\n[methods]\ntotal = {stateful = true}\n"
    )
    own = TARGET + "[tool.hlfuzz.targets.filter.host]\n'env.write' = 'bytes'\n"
    with open_project_target(project(tmp_path, own), "filter") as target:
        assert dict(target.interface.host) == {"env.write": HostMode.BYTES}
        assert [m.name for m in target.interface.methods if m.stateful] == ["total"]


def test_a_module_file_is_a_target_too(tmp_path: Path, module: Path) -> None:
    found = find_target(Project(tmp_path), str(module))
    assert (found.name, found.module) == ("filter", module)


def test_an_unknown_target_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'filtr'.*did you mean 'filter'"):
        open_project_target(project(tmp_path, TARGET), "filtr")


def test_a_target_whose_module_is_not_built_is_refused_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no module.*filter\.wasm"):
        open_project_target(project(tmp_path, TARGET), "filter")


def test_the_caller_overrules_engine_timeout_and_methods(tmp_path: Path, module: Path) -> None:
    text = TARGET + "engine = 'kvm'\ntimeout = 2\nstub_imports = true\n"
    opened = open_project_target(
        project(tmp_path, text), "filter", engine="inprocess", timeout=0.25, methods=("total",)
    )
    with opened as target:
        assert (target.engine, target.deadline) == ("inprocess", 0.25)
        assert [m.name for m in target.interface.methods] == ["total"]


def test_a_name_that_opens_nothing_says_what_to_do(
    tmp_path: Path, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = project(tmp_path, TARGET)
    with pytest.raises(UsageError, match=r"'fitler' .*did you mean 'filter'"):
        find_target(known, "fitler")
    with pytest.raises(
        UsageError, match=r"'gone.wasm' .*build it, or mend its path; of targets known are filter"
    ):
        find_target(known, "gone.wasm")
    with pytest.raises(UsageError, match=r"a folder in the place of a target .*name a module"):
        find_target(known, ".")
