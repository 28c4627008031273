"""The wheel: one for all Pythons, complete, and usable where nothing else is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packages import Installed

from hlfuzz.sandbox import why_no_kvm

pytestmark = pytest.mark.timeout(1200)  # a cold build of the native crates

TINY = """
import sys
import hlfuzz, wasmtime

assert "/hlfuzz/__init__.py" in hlfuzz.__file__ and sys.prefix in hlfuzz.__file__, hlfuzz.__file__
text = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'
guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm(text)))
with hlfuzz.Sandbox(guest, engine=sys.argv[1]) as box:
    print(box.call("add", 40, 2), box.engine)
"""


def test_there_is_one_wheel_for_every_python_from_3_11_on(wheel: Path) -> None:
    name, _version, python, abi, platform = wheel.stem.split("-")
    assert (name, python, abi) == ("hlfuzz", "cp311", "abi3")
    assert platform.startswith("linux") or "manylinux" in platform
    assert platform.endswith("x86_64")


def test_the_wheel_holds_the_library_the_types_and_the_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "hlfuzz/vmm/_native.abi3.so" in names
    assert "hlfuzz/py.typed" in names
    assert {f"hlfuzz/guest/native/hlfuzz_guest.{kind}" for kind in "hc"} <= set(names)
    assert any(name.endswith("/LICENSE") for name in names)
    assert not [n for n in names if n.startswith(("tests", "crates", "examples"))], "more than the package"


def test_the_library_needs_no_shared_library_of_its_own_and_exports_only_its_module(
    wheel: Path, tmp_path: Path
) -> None:
    library = zipfile.ZipFile(wheel).extract("hlfuzz/vmm/_native.abi3.so", tmp_path)
    dynamic = subprocess.run(["objdump", "-p", library], capture_output=True, text=True, check=True).stdout
    needed = {line.split()[1] for line in dynamic.splitlines() if "NEEDED" in line}
    ours = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"}
    assert needed <= ours | {"libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1"}
    symbols = subprocess.run(
        ["nm", "--dynamic", "--defined-only", "--format=posix", library],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert [line.split()[0] for line in symbols.splitlines()] == ["PyInit__native"]


def test_the_source_distribution_holds_what_a_build_needs_and_no_build_results(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    for wanted in (
        "setup.py",
        "Cargo.lock",
        "LICENSE",
        "hlfuzz/vmm/_build_ffi.py",
        "crates/capi/include/hlfuzz.h",
        "crates/guest/.cargo/config.toml",
        "crates/guest/Cargo.lock",
        "crates/guest/guest.ld",
    ):
        assert wanted in names
    assert not [name for name in names if "/target/" in name or name.endswith((".so", ".o", ".pyc"))]


@pytest.mark.parametrize("engine", ["kvm", "inprocess"])
def test_a_guest_runs_where_only_the_wheel_was_installed(
    installed: Installed, tmp_path: Path, engine: str
) -> None:
    if engine == "kvm" and (reason := why_no_kvm()):
        pytest.skip(reason)
    done = installed.run("python", "-c", TINY, engine, cwd=tmp_path)
    assert done.stdout == f"42 {engine}\n", done.stderr


def test_the_command_is_installed(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("hlfuzz", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "doctor" in done.stdout


def test_the_pytest_plugin_is_announced(installed: Installed, tmp_path: Path) -> None:
    program = "from importlib.metadata import entry_points as e; print(e(group='pytest11', name='hlfuzz'))"
    done = installed.run("python", "-c", program, cwd=tmp_path)
    assert "value='hlfuzz.pytest_plugin'" in done.stdout, done.stderr


def test_the_version_is_the_same_everywhere(wheel: Path) -> None:
    import hlfuzz

    assert wheel.name.split("-")[1] == hlfuzz.__version__
    assert sys.version_info >= (3, 11)
