"""What only the micro-VM has: transports, statistics, templates, measuring loops."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from needs import require_kvm
from patient import CAN_SPIN, open_sandbox

from hlfuzz import Sandbox
from hlfuzz.model import ExternKind
from hlfuzz.sandbox.engines.booting import booted, compiled
from hlfuzz.sandbox.engines.kvm import KvmEngine
from hlfuzz.sandbox.gate import Gate
from hlfuzz.sandbox.hostcalls import HostCalls
from hlfuzz.sandbox.providers import link
from hlfuzz.vmm import Slots, probe, wasmtime_version
from hlfuzz.vmm.measure import Floor, measure_call, measure_floor

ADD = """(module (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "touch") (param i32) (i32.store (i32.const 0) (i32.const 1)) (memory.fill (i32.const 4096)
    (i32.const 1) (local.get 0))))"""


@pytest.fixture(autouse=True)
def _kvm():
    require_kvm()


@pytest.mark.parametrize("reset", ["strict", "memory"])
@pytest.mark.parametrize("transport", ["exit", "spin"])
def test_every_transport_and_reset_level_gives_the_same(guest, transport, reset):
    if transport == "spin" and not CAN_SPIN:
        pytest.skip("the spin transport needs two CPUs")
    with open_sandbox(guest(ADD), engine="kvm", transport=transport, reset=reset, verify=1) as box:
        assert [box.call("add", i, 1) for i in range(100)] == list(range(1, 101))
        stats = box.stats()
        assert (stats.engine, stats.transport, stats.calls, stats.resets) == ("kvm", transport, 100, 100)
        assert (stats.verifies, stats.verify_failures) == (100, 0)
        assert stats.memory_bytes > 0
        assert (stats.vcpu_cpu >= 0) == (transport == "spin")


def test_a_trace_counts_the_pages_written(guest):
    records = []
    with Sandbox(guest(ADD), engine="kvm", trace=records.append) as box:
        box.call("touch", 40_000)
        assert records[0].pages_written >= 10


def test_sandboxes_of_one_guest_share_a_snapshot_and_nothing_else(guest):
    made = guest(ADD)
    with Sandbox(made, engine="kvm") as one, Sandbox(made, engine="kvm") as two:
        one.memory().write(0, b"one")
        assert two.memory().read(0, 3) == b"\0\0\0"
        two.memory().write(0, b"two")
        assert one.memory().read(0, 3) == b"one"
        assert compiled(made) is compiled(made)


def test_a_guest_is_booted_once(guest):
    made = guest(ADD)
    host = HostCalls(made, link(made, {}), Gate())
    assert booted(made, host, KvmEngine) is booted(made, host, KvmEngine)


def test_sandboxes_may_be_opened_in_several_threads_at_once(guest):
    made = guest(ADD)
    results = []

    def work() -> None:
        with Sandbox(made, engine="kvm") as box:
            results.append(box.call("add", 1, 2))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [3] * 4


def test_artifacts_are_cached_in_the_users_cache_folder(guest, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert '"miss"' in compiled(guest(ADD)).json
    assert '"hit"' in compiled(guest(ADD)).json
    assert list((tmp_path / "hlfuzz" / "modules").iterdir())


@pytest.mark.parametrize("kind", ["file", "missing-root"])
def test_a_cache_folder_that_cannot_be_used_does_not_matter(guest, tmp_path: Path, monkeypatch, kind):
    if kind == "file":
        (tmp_path / "hlfuzz").write_text("in the way")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc/self/none")
    with Sandbox(guest(ADD), engine="kvm") as box:
        assert box.call("add", 1, 2) == 3


def test_calls_and_floors_can_be_measured(guest):
    made = guest(ADD)
    host = HostCalls(made, link(made, {}), Gate())
    machine = booted(made, host, KvmEngine).clone(
        transport="exit", reset="memory", cpu=None, cpu_us=1_000_000, wall_us=10_000_000, verify_every=0
    )
    export = made.export("add", ExternKind.FUNC)
    slots = Slots(export.type.params)
    slots.put((1, 2))
    calls = measure_call(machine, export, slots, 50, data=b"input", address=16)
    floors = {what: measure_floor(machine, what, 10) for what in Floor}
    machine.close()
    machine.close()
    assert len(calls) == 50
    assert min(calls) > 0
    assert all(len(samples) == 10 for samples in floors.values())


def test_the_probe_says_what_there_is():
    found = probe()
    assert found.usable
    assert found.api_version == 12  # KVM_GET_API_VERSION, fixed by the kernel's documentation
    assert found.cpus >= 1
    assert wasmtime_version().startswith("48.")
