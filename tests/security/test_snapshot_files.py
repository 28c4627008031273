"""Snapshot files may be cut, flipped, foreign or made up: each is refused for its own reason, as a whole."""

from __future__ import annotations

import gc
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from needs import require_kvm
from patient import open_sandbox

from hlfuzz import ForkedProcess, Global, Guest, Limits, Snapshot, SnapshotError, UsageError, Wasi
from tests.wasi_guest import forwarder

COUNTER = """(module
  (import "env" "base" (global $base i32))
  (memory (export "memory") 1 400)
  (global $n (mut i64) (i64.const 0))
  (func (export "count") (result i64)
    (global.set $n (i64.add (global.get $n) (i64.const 1)))
    (i32.store (i32.const 8) (i32.add (i32.load (i32.const 8)) (global.get $base)))
    (i64.add (global.get $n) (i64.extend_i32_u (i32.load (i32.const 8)))))
  (func (export "round") (param f64) (result f64) (f64.nearest (local.get 0))))"""
HOST = {"env.base": Global(1000)}


@pytest.fixture(autouse=True)
def _kvm() -> None:
    require_kvm()


@pytest.fixture
def counter(guest) -> Guest:
    return guest(COUNTER, name="counter")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.hls"


def state(counter: Guest, calls: int = 3, data: bytes = b"") -> Snapshot:
    """The counter after so many calls, with `data` in its memory."""
    with open_sandbox(counter, HOST, engine="kvm", transport="exit") as box, box.context() as context:
        for _ in range(calls):
            context.call("count")
        context.write(100, data)
        snapshot = context.snapshot()
        context.finish()
    return snapshot


def count(snapshot: Snapshot) -> object:
    """What the next call returns in a sandbox that begins there, twice the same."""
    with open_sandbox(
        snapshot.guest, HOST, engine="kvm", transport="exit", verify=1, snapshot=snapshot
    ) as box:
        first = box.call("count")
        assert box.call("count") == first
        assert box.verify() == 0
        return first


def refused(path: Path, guest: Guest) -> str:
    with pytest.raises(SnapshotError) as error:
        Snapshot.load(path, guest)
    assert ";" in str(error.value), "says the next step"
    return error.value.reason


@pytest.mark.parametrize("compress", [False, True])
def test_a_saved_snapshot_is_loaded_by_another_process(counter, path, compress):
    data = random.Random(5).randbytes(60_000)
    state(counter, data=data).save(path, compress=compress)
    loaded = Snapshot.load(path, counter)
    assert count(loaded) == 4004
    with open_sandbox(counter, HOST, engine="kvm", transport="exit", snapshot=loaded) as box:
        assert box.memory().read(100, len(data)) == data
        assert box.call("round", 2.5) == 2.0
    script = f"""
        import hlfuzz, wasmtime
        guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm({COUNTER!r})))
        snapshot = hlfuzz.Snapshot.load({str(path)!r}, guest)
        host = {{"env.base": hlfuzz.Global(1000)}}
        with hlfuzz.Sandbox(guest, host, engine="kvm", transport="exit", snapshot=snapshot) as box:
            print(box.call("count"), box.call("count"))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert result.stdout.split() == ["4004", "4004"], result.stderr


def test_a_loaded_snapshot_is_as_good_as_the_one_that_was_saved(counter, path):
    taken = state(counter)
    taken.save(path)
    again = path.with_suffix(".again")
    Snapshot.load(path, counter).save(again)
    assert again.read_bytes() == path.read_bytes()
    taken.save(again, compress=True)
    assert again.stat().st_size < path.stat().st_size / 2
    Snapshot.load(again, counter).save(again)
    assert again.read_bytes() == path.read_bytes()


def test_a_cut_file_is_truncated_and_a_flipped_bit_is_damage(counter, path):
    state(counter).save(path)
    whole = path.read_bytes()
    rng = random.Random(1)
    for length in (0, 1, 8, 31, 63, 64, 500, *(rng.randrange(len(whole)) for _ in range(20)), len(whole) - 1):
        path.write_bytes(whole[:length])
        assert refused(path, counter) == "truncated", length
    for at in (
        24,
        40,
        70,
        100,
        130,
        200,
        *(rng.randrange(32, len(whole)) for _ in range(20)),
        len(whole) - 1,
    ):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        assert refused(path, counter) == "damaged", at
    path.write_bytes(whole + b"\0")
    assert refused(path, counter) == "damaged"
    path.write_bytes(whole)
    assert count(Snapshot.load(path, counter)) == 4004


def test_what_is_no_snapshot_is_called_so(counter, path, tmp_path):
    for content in (b"\x7fELF" + bytes(100), b"\0asm\x01\0\0\0", b"{}", b"hlfuzz\0a" + bytes(100)):
        path.write_bytes(content)
        assert refused(path, counter) == "not-a-snapshot", content[:8]
    assert refused(tmp_path, counter) == "not-a-snapshot"
    os.mkfifo(tmp_path / "pipe")
    assert refused(tmp_path / "pipe", counter) == "not-a-snapshot"
    assert refused(Path("/dev/null"), counter) == "not-a-snapshot"
    assert refused(tmp_path / "missing", counter) == "io"
    with pytest.raises(UsageError, match="NUL"):
        Snapshot.load("a\0b", counter)


def test_a_file_of_another_version_says_which(counter, path):
    state(counter).save(path)
    content = bytearray(path.read_bytes())
    content[8] = 9
    path.write_bytes(content)
    with pytest.raises(SnapshotError, match="version 9 and this hlfuzz reads version 1") as error:
        Snapshot.load(path, counter)
    assert error.value.reason == "version"


@pytest.mark.parametrize(
    ("limits", "difference"),
    [
        ({"memory_bytes": 32 << 20}, "memory limit in bytes is 67108864 in the file and 33554432 here"),
        ({"table_elements": 99}, "table limit in elements"),
        ({"stack_bytes": 256 << 10}, "stack limit in bytes"),
        ({"grow": "trap"}, "growing traps"),
    ],
)
def test_a_file_of_a_guest_under_other_limits_is_refused_and_the_limit_named(
    counter, guest, path, limits, difference
):
    state(counter).save(path)
    with pytest.raises(SnapshotError, match=difference) as error:
        Snapshot.load(path, guest(COUNTER, **limits))
    assert error.value.reason == "other-guest"


def test_a_file_of_another_guest_is_refused_also_with_other_imported_globals(counter, guest, path):
    state(counter).save(path)
    with pytest.raises(SnapshotError, match=r"module \(SHA-256\)") as error:
        Snapshot.load(path, guest(COUNTER.replace("i32.const 8", "i32.const 16")))
    assert error.value.reason == "other-guest"
    loaded = Snapshot.load(path, counter)
    with pytest.raises(SnapshotError, match=r"'env.base' has another value"):
        open_sandbox(counter, {"env.base": Global(7)}, engine="kvm", snapshot=loaded)


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(counter, path, tmp_path):
    snapshot = state(counter, data=os.urandom(60_000))
    path.write_bytes(b"the old one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(SnapshotError, match="writing the snapshot file") as error:
            snapshot.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert error.value.reason == "io"
    assert path.read_bytes() == b"the old one"
    for wrong in (tmp_path / "no folder" / "x", tmp_path):
        with pytest.raises(SnapshotError) as error:
            snapshot.save(wrong)
        assert error.value.reason == "io"
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    snapshot.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_process_killed_while_it_saves_leaves_only_whole_files(counter, path, tmp_path):
    script = f"""
        import hlfuzz, wasmtime
        guest = hlfuzz.Guest.from_wasm(bytes(wasmtime.wat2wasm({COUNTER!r})))
        host = {{"env.base": hlfuzz.Global(1000)}}
        with hlfuzz.Sandbox(guest, host, engine="kvm", transport="exit") as box:
            snapshot = box.snapshot()
        while True:
            snapshot.save({str(path)!r})
            print(flush=True)
    """
    rng = random.Random(3)
    for _ in range(4):
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline() == b"\n"
        time.sleep(rng.random() * 0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        for entry in tmp_path.iterdir():
            assert count(Snapshot.load(entry, counter)) == 1001


def test_a_state_from_a_file_has_the_strict_reset_only(counter, path):
    state(counter).save(path)
    loaded = Snapshot.load(path, counter)
    with open_sandbox(counter, HOST, engine="kvm", transport="exit", snapshot=loaded) as box:
        later = box.snapshot()
    for snapshot in (loaded, later):
        with pytest.raises(UsageError, match="level strict"):
            open_sandbox(counter, HOST, engine="kvm", transport="exit", reset="memory", snapshot=snapshot)


def test_a_failed_load_leaves_no_descriptor_behind(counter, path):
    state(counter).save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    refused(path, counter)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        refused(path, counter)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_snapshot_is_not_used_in_a_forked_child(counter, path):
    snapshot = state(counter)
    child = os.fork()
    if child == 0:
        try:
            snapshot.save(path)
        except ForkedProcess:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert not path.exists()


def test_what_wasi_remembers_is_not_in_a_file(path):
    wasi = Wasi(random_seed=3, allow="all")

    def random_bytes(snapshot: Snapshot | None) -> bytes:
        with (
            open_sandbox(forwarder(), engine="kvm", transport="exit", wasi=wasi, snapshot=snapshot) as box,
            box.context() as context,
        ):
            assert context.call("random_get", 0x1000, 8) == 0
            if snapshot is None:
                context.snapshot().save(path)
            data = context.read(0x1000, 8)
            context.finish()
        return data

    random_bytes(None)
    loaded = Snapshot.load(path, forwarder())
    assert random_bytes(loaded) == random_bytes(loaded)


def test_limits_may_be_given_as_what_they_are_by_default(counter, guest, path):
    state(counter).save(path)
    assert count(Snapshot.load(path, guest(COUNTER, memory_bytes=64 << 20))) == 4004
    assert Limits().memory_bytes is None
