"""A finding's test fails with the finding while the fault is there, and passes on the corrected guest."""

from __future__ import annotations

import ast
import itertools
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import guests
import pytest
import wasmtime
from needs import require_kvm
from planted import planted

import hlfuzz
from hlfuzz.fuzz import judge_of
from hlfuzz.invariants import (
    INVARIANTS,
    Budget,
    Case,
    Config,
    Fault,
    Injection,
    Kind,
    Secret,
    Status,
    Subject,
    Target,
    describe_interface,
)
from hlfuzz.model import Call, Float64, Value
from hlfuzz.report import as_test
from hlfuzz.report.source import value_source

ROOT = Path(__file__).resolve().parents[2]

CORRECTED = {
    # Ready from the start.
    "context-dependence": (
        guests.NEEDS_INIT,
        guests.NEEDS_INIT.replace("(mut i32) (i32.const 0)", "(mut i32) (i32.const 1)"),
    ),
    # Sends what it was given.
    "tenant-independence": (guests.LEAKS_EARLIER, guests.CLEAN_ECHO.replace("(result i32)", "", 0)),
}
CRASHES = {
    "trap": (guests.TRUSTS_LENGTH, b"\xff"),
    "timeout": (guests.NEVER_ENDS, b"long"),
    "buffer": (guests.BAD_BUFFER, b"any"),
}


def violated(invariant: str, target: Target) -> Fault:
    verdict = INVARIANTS[invariant].check(target, Random(7), Budget(60.0, 600))
    assert verdict.status is Status.VIOLATED, verdict
    assert verdict.fault is not None
    return verdict.fault


def compile_to(path: Path, wat: str) -> None:
    path.write_bytes(bytes(wasmtime.wat2wasm(wat)))


def run_pytest(file: Path) -> subprocess.CompletedProcess[str]:
    """Runs a test file as a user would, in its folder, with the timeouts and settings of nobody."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", file.name],
        cwd=file.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_as_a_file_it_fails_with_the_finding_and_passes_on_the_corrected_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty, corrected = CORRECTED["tenant-independence"]
    monkeypatch.chdir(tmp_path)
    with guests.target(faulty, "inprocess") as target:
        fault = violated("tenant-independence", target)
        (tmp_path / "test_it.py").write_text(as_test(target, fault, seed=7, module=Path("guest.wasm")))
    compile_to(tmp_path / "guest.wasm", faulty)
    failed = run_pytest(tmp_path / "test_it.py")
    assert failed.returncode == 1, failed.stdout
    assert f"tenant-independence (accused: the guest): {fault.title}" in failed.stdout
    assert "assertion.py" not in failed.stdout  # the reader's own line is what is shown
    compile_to(tmp_path / "guest.wasm", corrected)
    passed = run_pytest(tmp_path / "test_it.py")
    assert passed.returncode == 0, passed.stdout


def run_here(text: str) -> None:
    """Runs the one test of a file in this process."""
    names: dict[str, object] = {}
    exec(compile(text, "test_it.py", "exec"), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test()  # type: ignore[operator]


@pytest.mark.parametrize("invariant", CORRECTED)
def test_the_test_of_a_guest_fault_fails_until_the_guest_is_corrected(
    invariant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty, corrected = CORRECTED[invariant]
    monkeypatch.chdir(tmp_path)
    with guests.target(faulty, "inprocess") as target:
        text = as_test(target, violated(invariant, target), seed=7, module=Path("guest.wasm"))
    compile_to(tmp_path / "guest.wasm", faulty)
    with pytest.raises(hlfuzz.Finding):
        run_here(text)
    compile_to(tmp_path / "guest.wasm", corrected)
    run_here(text)


@pytest.mark.parametrize(("wat", "data"), CRASHES.values(), ids=CRASHES)
def test_the_test_of_a_crash_fails_until_the_guest_is_corrected(
    wat: str, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with guests.target(wat, "inprocess") as target:
        fault = judge_of("").probe(target, Case((Call("on_data", (data,)),), context=False), strict=True)
        assert fault is not None
        text = as_test(target, fault, module=Path("guest.wasm"))
    compile_to(tmp_path / "guest.wasm", wat)
    with pytest.raises(hlfuzz.Finding) as raised:
        run_here(text)
    assert raised.value.signature == fault.signature
    compile_to(tmp_path / "guest.wasm", guests.CLEAN_ECHO)
    run_here(text)


VALUES: tuple[Value, ...] = (
    0,
    -1,
    1 << 63,
    -0.0,
    float("inf"),
    float("-inf"),
    float("nan"),
    Float64(0x7FF8000000000001),
    b"",
    b"'\"\\",
    bytes(range(256)),
    bytes(4096),
    b"x" * 4096,
)


@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:20])
def test_every_value_is_written_so_that_python_reads_the_same(value: Value) -> None:
    text = value_source(value)
    assert text.isascii()
    assert repr(eval(text, {"hlfuzz": hlfuzz})) == repr(value)


def test_everything_that_a_case_says_is_in_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    case = Case(
        (Call("on_data", (bytes(range(100)),)), Call("on_data", (b"x",))),
        context=False,
        secret=Secret(0, 3, 32, b"a" * 32, b"b" * 32),
        boxes=(0, 1),
        injection=Injection("host-call", "raise", 2),
    )
    seen: list[Case] = []
    monkeypatch.setattr(
        type(INVARIANTS["determinism"]), "probe", lambda self, t, c, strict=False: seen.append(c)
    )
    fault = Fault(Kind.VIOLATION, "determinism", Subject.PLATFORM, "on_data", "", "t", (), case)
    compile_to(tmp_path / "guest.wasm", guests.CLEAN_ECHO)
    with guests.target(guests.CLEAN_ECHO, "inprocess", stateful=["on_data"]) as target:
        text = as_test(target, fault, module=tmp_path / "guest.wasm")
    run_here(text)
    assert seen == [case, case]  # under strict reset, and under memory reset
    assert '"guest.wasm"' in text
    assert "stateful=" in text


def test_a_guests_names_cannot_leave_their_place_in_the_file() -> None:
    name = "x\"\n    import os  # \u202e\u0430'\\"
    case = Case((Call(name, (1,)),), context=False)
    fault = Fault(Kind.TRAP, "", Subject.GUEST, name, "", f"{name} trapped", (), case)
    with guests.target(guests.CLEAN_ECHO, "inprocess") as target:
        text = as_test(target, fault, module=Path(name))
    tree = ast.parse(text)
    assert text.replace("\n", "").isprintable()
    assert all(line.isascii() for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert [type(node).__name__ for node in tree.body] == ["Import", "FunctionDef"]
    assert [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)].count(name) == 2


CALL = ("on_data", b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"invariant": "state-rest", "calls": [CALL]}, "did you mean 'state-reset'"),
        ({"invariant": "crash", "calls": []}, "nothing to check"),
        ({"invariant": "crash", "calls": ["on_data"]}, "not a call"),
        ({"invariant": "crash", "calls": [("on_date", b""), CALL]}, "did you mean 'on_data'"),
        (
            {"invariant": "crash", "calls": [("on_data", b"")], "host": {"env.write": "byte"}},
            "host['env.write']",
        ),
        ({"invariant": "crash", "calls": [("on_data", b"")], "host": {}}, "env.write"),
        ({"invariant": "memory-isolation", "calls": [("on_data", b"")]}, "cannot be checked here"),
    ],
)
def test_a_wrong_assertion_is_a_usage_error(arguments: dict[str, object], message: str) -> None:
    guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm(guests.CLEAN_ECHO)), name="echo")
    options = {"host": {"env.write": "bytes"}, "engine": "inprocess", **arguments}
    with pytest.raises(hlfuzz.UsageError) as raised:
        hlfuzz.assert_holds(guest=guest, **options)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_an_assertion_that_holds_says_nothing() -> None:
    guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm(guests.CLEAN_ECHO)), name="echo")
    for invariant in ("state-reset", "determinism", "context-dependence", "crash"):
        hlfuzz.assert_holds(
            invariant,
            guest,
            [("on_data", b"a"), ("on_data", b"b")],
            host={"env.write": "bytes"},
            engine="inprocess",
        )


_ticks = itertools.count()


def tick() -> int:
    """A host function that never answers twice alike."""
    return next(_ticks)


def always() -> int:
    """One that does."""
    return 7


def test_host_functions_of_the_users_own_are_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    compile_to(tmp_path / "guest.wasm", guests.ASKS_HOST)
    guest = hlfuzz.Guest.from_wasm("guest.wasm")
    interface = describe_interface(guest.info, Config())
    with Target(guest, interface, engine="inprocess", host={"env.now": hlfuzz.HostFunction(tick)}) as target:
        fault = violated("determinism", target)
        text = as_test(target, fault, module=Path("guest.wasm"))
    assert 'host={"env.now": hlfuzz.HostFunction(tick)}' in text
    with pytest.raises(hlfuzz.Finding):
        run_here(text)
    monkeypatch.setattr(sys.modules[__name__], "tick", always)
    run_here(text)


PLATFORM_FAULTS = ("results-outside-are-empty", "context-used-after-finish", "pool-leases-without-reset")


@pytest.mark.parametrize("name", PLATFORM_FAULTS)
def test_the_test_of_a_platform_fault_fails_until_the_platform_is_mended(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fault,) = (f for f in planted() if f.name == name)
    if fault.kvm:
        require_kvm()
    monkeypatch.chdir(tmp_path)
    with fault.open() as target:
        found = violated(fault.invariant, target)
        (tmp_path / "guest").write_bytes(target.guest.data)
        text = as_test(target, found, module=Path("guest"))
        with pytest.raises(hlfuzz.Finding):
            run_here(text)
    run_here(text)
