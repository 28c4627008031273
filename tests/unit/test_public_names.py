"""The public names of the package: each one is documented, and none appears or disappears by accident."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import types
from pathlib import Path

import pytest

import hlfuzz

PUBLIC = {
    "guests": {"Guest", "Limits", "CallLimits", "ModuleInfo", "FuncType", "ValType"},
    "sandboxes": {"Sandbox", "Pool", "PoolMetrics", "CallContext", "Snapshot", "GuestMemory", "Stats"},
    "event loops": {"Dispatcher", "PendingCall", "AsyncCallContext"},
    "providers": {"HostFunction", "Caller", "Memory", "Table", "Global"},
    "wasi": {"Wasi", "WasiActivity", "WasiCall"},
    "values": {"Value", "Float32", "Float64"},
    "outcomes": {"Outcome", "Ok", "Trap", "Timeout", "Violation", "HostError", "Exited", "LimitExceeded"},
    "evidence": {"Frame", "Difference"},
    "records": {"Call", "CallRecord", "HostCallRecord"},
    "errors": {
        "HlfuzzError", "UsageError", "ModuleError", "LinkError", "StartError", "EnvironmentProblem",
        "SandboxClosed", "WrongThread", "ForkedProcess", "ContextFinished", "ContextBusy", "SnapshotError",
        "CallCancelled", "PoolTimeout", "HlfuzzWarning",
    },
    "failed calls": {
        "CallFailed", "GuestTrap", "GuestTimeout", "AbiViolation", "HostFunctionError", "GuestError",
        "GuestExited", "GuestLimitExceeded",
    },
    "findings": {"Finding", "assert_holds"},
    "pytest": {"invariants", "given_calls"},
}  # fmt: skip


def test_the_public_names_are_these_and_no_others():
    assert set(hlfuzz.__all__) == set().union(*PUBLIC.values())
    assert len(hlfuzz.__all__) == len(set(hlfuzz.__all__))


def test_nothing_else_is_in_the_package_but_its_modules():
    others = {n for n in vars(hlfuzz) if not n.startswith("_")} - set(hlfuzz.__all__)
    others -= {"annotations", "TYPE_CHECKING"}
    assert all(isinstance(getattr(hlfuzz, name), types.ModuleType) for name in others)


def test_every_public_name_is_there_and_listed():
    for name in hlfuzz.__all__:
        getattr(hlfuzz, name)
    assert set(dir(hlfuzz)) >= set(hlfuzz.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Sandbx'"):
        hlfuzz.Sandbx  # noqa: B018


def test_what_the_type_checker_is_told_is_what_is_imported():
    tree = ast.parse(Path(hlfuzz.__file__).read_text())
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    told = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert set(told) == set(hlfuzz.__all__)
    for name, module in told.items():
        assert name == "invariants" or getattr(importlib.import_module(module), name) is getattr(hlfuzz, name)


def test_nothing_heavy_is_imported_before_it_is_used():
    program = "import sys, hlfuzz.pytest_plugin; print(*(m for m in sys.modules if m.startswith('hlfuzz')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {
        "hlfuzz",
        "hlfuzz.pytest_plugin",
        "hlfuzz.testing",
        "hlfuzz.testing.options",
    }


@pytest.mark.parametrize("name", sorted(hlfuzz.__all__))
def test_every_public_class_and_method_is_documented(name):
    thing = getattr(hlfuzz, name)
    if not inspect.isclass(thing):
        return
    assert thing.__doc__
    for member, value in vars(thing).items():
        if not member.startswith("_") and (callable(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{member}"


def test_errors_are_in_two_trees():
    assert not issubclass(hlfuzz.Finding, hlfuzz.HlfuzzError)
    assert issubclass(hlfuzz.Finding, AssertionError)
    for name in PUBLIC["errors"] | PUBLIC["failed calls"]:
        assert name == "HlfuzzWarning" or issubclass(getattr(hlfuzz, name), hlfuzz.HlfuzzError)
    for name in ("SandboxClosed", "WrongThread", "ForkedProcess", "ContextFinished", "ContextBusy"):
        assert issubclass(getattr(hlfuzz, name), hlfuzz.UsageError)


def test_the_package_is_typed():
    from importlib.resources import files

    assert files("hlfuzz").joinpath("py.typed").is_file()
