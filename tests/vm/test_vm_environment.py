"""Machines that cannot do what was asked say what is wrong and what to do; nothing is broken after."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = f"""
import resource, sys, warnings
sys.path.insert(0, {str(ROOT / "tests")!r})
import wasmtime
from hlfuzz import EnvironmentProblem, Guest, HlfuzzWarning, Sandbox
from hlfuzz.sandbox import why_no_kvm
TEXT = '(module (memory (export "memory") 1) (func (export "seven") (result i32) i32.const 7))'
WASM = bytes(wasmtime.wat2wasm(TEXT))
guest = Guest.from_wasm(WASM)
def seven(**options):
    with Sandbox(guest, **options) as box:
        assert box.call("seven") == 7
        return box
def problem(**options):
    try:
        Sandbox(guest, **options)
    except EnvironmentProblem as e:
        print(e.reason, "|", e)
        return e.reason
    raise SystemExit("it worked")
"""
NOBODY = 65534


def run(code: str, *prefix: str, **options: object) -> str:
    """What a program prints that must end well."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", PRELUDE + code],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr[-2000:] or done.stdout
    return done.stdout


def test_out_of_file_descriptors():
    out = run("""
seven(engine="kvm", transport="exit")
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 4096))
boxes = []
try:
    for _ in range(40):
        boxes.append(Sandbox(guest, engine="kvm", transport="exit"))
    raise SystemExit("it worked")
except EnvironmentProblem as e:
    print(e.reason, "|", e)
assert len(boxes) > 3
assert all(box.call("seven") == 7 for box in boxes)
boxes.pop().close()
boxes.append(Sandbox(guest, engine="kvm", transport="exit"))
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
seven(engine="kvm", transport="exit")
""")
    assert out.startswith("out-of-fds | ")
    assert "ulimit -n" in out


def test_out_of_memory():
    out = run("""
seven(engine="kvm", transport="exit")
size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + (24 << 20), resource.RLIM_INFINITY))
boxes = []
try:
    for _ in range(200):
        boxes.append(Sandbox(guest, engine="kvm", transport="exit"))
    raise SystemExit("it worked")
except EnvironmentProblem as e:
    print(e.reason, "|", e)
assert all(box.call("seven") == 7 for box in boxes)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
seven(engine="kvm", transport="exit")
""")
    assert out.startswith("out-of-memory | ")


def test_one_cpu_is_enough_and_spin_says_that_it_is_not():
    cpu = min(os.sched_getaffinity(0))
    out = run(f"""
import os
os.sched_setaffinity(0, {{{cpu}}})
box = seven(engine="kvm", reset="memory")
with Sandbox(guest, engine="kvm", reset="memory") as box:
    print(box.stats().transport)
problem(engine="kvm", transport="spin")
seven(engine="kvm")
""")
    transport, problem = out.splitlines()
    assert transport == "exit"
    assert problem.startswith("cpu | ")
    assert "transport exit" in problem


def test_a_cpu_that_does_not_exist_is_refused():
    out = run("""
problem(engine="kvm", transport="spin", cpu=4000)
seven(engine="kvm")
""")
    assert out.startswith("cpu | ")
    assert "4000" in out


def private_dev(*commands: str) -> list[str]:
    """A command prefix: the program sees a /dev with nothing but null, urandom and what `commands` make."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare")
    hide = [
        "mount -t tmpfs none /dev",
        "mknod -m 666 /dev/null c 1 3",
        "mknod -m 444 /dev/urandom c 1 9",
        *commands,
        'exec "$@"',
    ]
    prefix = ["unshare", "--mount", "sh", "-c", " && ".join(hide), "sh"]
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a private /dev is not allowed here")
    return prefix


def test_no_permission():
    kvm = Path("/dev/kvm").stat().st_rdev
    private = private_dev(f"mknod -m 660 /dev/kvm c {os.major(kvm)} {os.minor(kvm)}")
    out = run(
        f"""
import os
seven(engine="kvm", transport="exit")
seven(engine="inprocess")
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
guest = Guest.from_wasm(WASM)
problem(engine="kvm")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert seven().engine == "inprocess"
assert [w.category for w in caught] == [HlfuzzWarning]
print(why_no_kvm())
""",
        *private,
    )
    refused, why = out.splitlines()
    assert refused.startswith("permission | ")
    for text in (refused, why):
        assert "/dev/kvm" in text
        assert "group" in text


def test_no_kvm_device():
    out = run(
        """
problem(engine="kvm")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert seven().engine == "inprocess"
    assert seven().engine == "inprocess"
assert [w.category for w in caught] == [HlfuzzWarning]
print(caught[0].message)
""",
        *private_dev(),
    )
    refused, warning = out.splitlines()
    assert refused.startswith("no-kvm | ")
    assert "/dev/kvm" in refused
    assert "hlfuzz doctor" in warning


def test_a_kvm_device_that_is_something_else():
    out = run(
        """
problem(engine="kvm")
print(why_no_kvm())
seven(engine="inprocess")
""",
        *private_dev("mknod -m 666 /dev/kvm c 1 3"),  # the null device
    )
    assert out.splitlines()[0].partition(" | ")[0] in ("kvm", "no-kvm")
    assert "/dev/kvm" in out


@pytest.mark.parametrize("cache", ["/proc/no/such/folder", "/dev/null"])
def test_a_cache_folder_that_cannot_be_used_costs_time_only(cache):
    run(
        f"""
import os
os.environ["XDG_CACHE_HOME"] = os.environ["HOME"] = {cache!r}
seven(engine="kvm", transport="exit")
"""
    )
