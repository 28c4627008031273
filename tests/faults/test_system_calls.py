"""Every system call of a sandbox's life fails once: a clear error, nothing is left, and it works again."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import wasmtime
from needs import missing, require_kvm

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests/faults"
RELEASE = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "release"
GUEST = """(module (memory (export "memory") 1)
  (func (export "hello") (result i32) (i32.const 42))
  (func (export "spin") (loop (br 0)))
  (func (export "crash") (unreachable)))"""
PHASES = {
    "compile": 20,
    "load": 10,
    "boot": 150,
    "snapshot": 80,
    "save": 30,
    "restore": 60,
    "clone": 50,
    "use": 40,
    "close": 30,
    "clone-spin": 30,
    "use-spin": 30,
    "close-spin": 15,
}
"""What the driver does, and how many failing calls there must be at least."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    archive = RELEASE / "libhlfuzz.a"
    if not archive.exists():
        missing(f"{archive} is not built: cargo build --release -p hlfuzz-capi")
    strict = ["gcc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]
    shim, program = folder / "libshim.so", folder / "driver"
    subprocess.run([*strict, "-shared", "-fPIC", HERE / "shim.c", "-o", shim, "-ldl"], check=True)
    libraries = [shim, archive, "-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]
    include = ROOT / "crates/capi/include"
    subprocess.run([*strict, f"-I{include}", HERE / "driver.c", *libraries, "-o", program], check=True)
    (folder / "guest.wasm").write_bytes(bytes(wasmtime.wat2wasm(GUEST)))
    return program


@pytest.mark.parametrize("phase", PHASES)
def test_a_failing_call_is_reported_and_leaves_nothing(phase: str, driver: Path, tmp_path: Path) -> None:
    require_kvm()
    if phase.endswith("spin") and len(os.sched_getaffinity(0)) < 2:
        missing("the spin transport needs two CPUs")
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    # killed, not asked to end: a vCPU in guest code lets no other signal through
    done = subprocess.run(
        [driver, phase, driver.parent / "guest.wasm", cache], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    faults, _, _ = done.stdout.partition(" faults, 0 broken")
    assert int(faults) >= PHASES[phase]
