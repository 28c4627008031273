"""Checking guests with a schema: settings, command line, findings that run again, assertions with values."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from steps import count_cases
from typer.testing import CliRunner

import hlfuzz
from hlfuzz.bindings import Interface
from hlfuzz.cli.app import app
from hlfuzz.fuzz import Campaign, Progress, SavedFinding, Store, load, replay
from hlfuzz.fuzz.finding import save
from hlfuzz.invariants import INVARIANTS, Budget, Config, Target, describe_interface
from hlfuzz.invariants.describe import describe_guest
from hlfuzz.invariants.settings.config import load_config
from hlfuzz.schema.diagnostics import SchemaError
from tests.needs import require_kvm

ROOT = Path(__file__).resolve().parents[2]
FBS = ROOT / "schemas" / "filter.fbs"
BUDGET = Budget(30.0, 2000)


@pytest.fixture(scope="module")
def built() -> dict[str, Path]:
    require_kvm()
    pytest.importorskip("ziglang")
    sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    return build("typed-filter", only={"buggy_fbs", "filter_fbs", "filter_proto"})


def opened(module: Path) -> Target:
    guest = hlfuzz.Guest.load(module)
    return Target(guest, describe_interface(guest.info, Config()), schema=Interface.load(FBS))


def configured(folder: Path, text: str) -> Config:
    path = folder / "hlfuzz.toml"
    path.write_text(f"version = 1\n{text}")
    return load_config(path)


def test_a_finding_shrinks_to_small_values_and_runs_again_from_its_file(
    built: dict[str, Path], tmp_path: Path
) -> None:
    with opened(built["buggy_fbs"]) as target:
        fault = INVARIANTS["context-dependence"].check(target, Random(1), BUDGET).fault
        assert fault is not None
        assert [target.call_text(c) for c in fault.case.calls] == [
            "on_new_connection(Connection(peer=Address(host='')))",
            "on_data(Data())",
        ]
        saved = save(Store(tmp_path), target, fault)
    loaded = load(saved.path)
    with loaded.target as again:
        assert again.call_text(loaded.case.calls[1]) == "on_data(Data())"
        replayed = replay(loaded)
    assert replayed.fault is not None
    assert replayed.fault.signature == fault.signature
    corrected = load(saved.path, module=built["filter_fbs"])
    with corrected.target:
        assert replay(corrected).fault is None


def test_a_campaign_makes_typed_calls_and_accuses_no_clean_guest(
    built: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent:
        def progress(self, progress: Progress) -> None:
            pass

        def found(self, finding: SavedFinding) -> None:
            pass

    count_cases(monkeypatch)
    with opened(built["filter_fbs"]) as target:
        summary = Campaign(target, Store(tmp_path), Silent(), seed=1).run(2.0)
    assert summary.findings == ()
    assert summary.progress.executions > 100


def test_the_command_line_shows_values_of_the_schema(built: dict[str, Path], tmp_path: Path) -> None:
    command = [
        "check",
        str(built["buggy_fbs"]),
        "--schema",
        str(FBS),
        "--store",
        str(tmp_path),
        "--seed",
        "4",
    ]
    done = CliRunner().invoke(app, [*command, "--invariant", "context-dependence", "--time", "60s"])
    assert done.exit_code == 1, done.output
    assert "on_new_connection(Connection(peer=Address(host='')))" in done.output
    assert "returned Judgement(verdict=Verdict.REFUSE)" in done.output.replace("\n", " ")
    (test,) = (tmp_path / "findings").glob("*.py")
    assert "schema=" in test.read_text()
    names: dict[str, Any] = {}
    exec(compile(test.read_text(), str(test), "exec"), names)
    reproducer = next(value for name, value in names.items() if name.startswith("test_"))
    with pytest.raises(hlfuzz.Finding):
        reproducer()


def test_settings_name_a_schema_and_its_methods(built: dict[str, Path], tmp_path: Path) -> None:
    guest = hlfuzz.Guest.load(built["buggy_fbs"])
    config = configured(
        tmp_path,
        f'schema = "{FBS}"\n[methods]\non_data = {{ stateful = true }}\non_close = {{ skip = true }}\n'
        '[tenants]\nopen = "FilterGuest.on_new_connection"\n',
    )
    interface = describe_guest(guest, config)
    assert [(m.name, m.stateful) for m in interface.methods] == [
        ("net_FilterGuest_on_new_connection", False),
        ("net_FilterGuest_on_data", True),
    ]
    assert interface.tenant_open == "net_FilterGuest_on_new_connection"
    with Target(guest, interface) as target:
        fault = INVARIANTS["tenant-independence"].check(target, Random(1), BUDGET).fault
        assert fault is not None
        opening = [c for c in fault.case.calls if c.function == interface.tenant_open]
        assert len(opening) > 1  # with requests of their own
        assert all(target.call_text(c).startswith("on_new_connection(Connection(") for c in opening)


def test_what_is_wrong_with_a_schema_is_said_before_anything_runs(
    built: dict[str, Path], tmp_path: Path
) -> None:
    guest = hlfuzz.Guest.load(built["filter_proto"])
    with pytest.raises(hlfuzz.LinkError, match="built for another interface"):
        describe_guest(guest, configured(tmp_path, f'schema = "{FBS}"'))
    with pytest.raises(hlfuzz.UsageError, match=r"no schema .*missing\.fbs"):
        describe_guest(guest, configured(tmp_path, 'schema = "missing.fbs"'))
    (tmp_path / "bad.fbs").write_text("table {")
    with pytest.raises(SchemaError):
        describe_guest(guest, configured(tmp_path, 'schema = "bad.fbs"'))
    (tmp_path / "empty.fbs").write_text("table A {}")
    with pytest.raises(hlfuzz.UsageError, match="no method that a guest exports"):
        describe_guest(guest, configured(tmp_path, 'schema = "empty.fbs"'))
    fits = hlfuzz.Guest.load(built["filter_fbs"])
    with pytest.raises(hlfuzz.UsageError, match="did you mean 'on_data'"):
        describe_guest(fits, configured(tmp_path, f'schema = "{FBS}"\n[methods]\non_dat = {{ skip = true }}'))


def test_an_assertion_takes_values_of_the_schema(built: dict[str, Path]) -> None:
    interface = Interface.load(FBS)
    make: Any = interface.classes.definitions
    calls = [
        ("on_new_connection", make["net.Connection"](peer=make["net.Address"](host="a"))),
        ("on_data", make["net.Data"]()),
    ]
    hlfuzz.assert_holds("context-dependence", built["filter_fbs"], calls, schema=interface)
    with pytest.raises(hlfuzz.Finding, match=r"on_data\(Data\(\)\)"):
        hlfuzz.assert_holds("context-dependence", built["buggy_fbs"], calls, schema=interface)
    hlfuzz.assert_holds(
        "context-dependence", built["buggy_fbs"], calls, schema=interface, stateful=["on_data"]
    )
