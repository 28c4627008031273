"""`hlfuzz inspect` and `hlfuzz doctor`: facts, and clear errors for what is no module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hlfuzz.cli.machine import CpuFacts, KvmFacts, cpu_facts, kvm_facts, next_steps

Document = Callable[..., dict[str, Any]]


def test_a_modules_interface_is_shown(document: Document, modules: dict[str, Path]) -> None:
    found = document("inspect", modules["echo"])
    assert found["schema"] == "hlfuzz.inspect/1"
    assert found["host_functions"] == ["env.write"]
    assert found["allocator"] == "alloc"
    assert found["methods"] == [{"name": "on_data", "bytes": True, "stateful": False}]
    assert [e["name"] for e in found["exports"]] == ["memory", "alloc", "on_data"]


def test_the_text_form_names_the_same(hlfuzz: Callable[..., Any], modules: dict[str, Path]) -> None:
    text = hlfuzz("inspect", modules["numbers"]).stdout
    assert "add" in text
    assert "(i32, i32) -> (i32)" in text


@pytest.mark.parametrize("content", [b"", b"MZ", b"\0asm\x01\0\0\0\x01", b"\0asm\x0d\0\x01\0"])
def test_what_is_no_module_is_a_usage_error(document: Document, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.wasm"
    path.write_bytes(content)
    found = document("inspect", path)
    assert (found["schema"], found["error"], found["exit"]) == ("hlfuzz.error/1", "ModuleError", 2)
    assert "bad.wasm" in found["message"]


def test_doctor_says_whether_micro_vms_run_here(document: Document) -> None:
    found = document("doctor", "--quick")
    assert found["schema"] == "hlfuzz.doctor/1"
    assert found["exit"] == (0 if found["usable"] else 3)
    assert found["usable"] or found["next_steps"]
    assert found["cpus"]["allowed"]


def test_doctor_measures_calls(document: Document) -> None:
    figures = {(f["engine"], f["reset"]): f for f in document("doctor")["calibration"]}
    assert figures["inprocess", "strict"]["p50_us"] > 0


def test_machine_facts_come_from_the_system(tmp_path: Path) -> None:
    (tmp_path / "kvm_amd" / "parameters").mkdir(parents=True)
    (tmp_path / "kvm_amd" / "parameters" / "nested").write_text("1\n")
    facts = kvm_facts(tmp_path, tmp_path / "kvm")
    assert facts == KvmFacts(device=False, readable=False, implementation="SVM (AMD)", nested=True)
    topology = tmp_path / f"cpu{min(cpu_facts().allowed)}" / "topology"
    topology.mkdir(parents=True)
    (topology / "thread_siblings_list").write_text("0,4-5\n")
    assert cpu_facts(tmp_path).siblings == ((0, 4, 5),)


@pytest.mark.parametrize(
    ("kvm", "cpus", "advice"),
    [
        (KvmFacts(False, False, "", None), CpuFacts("x86_64", 4, (0, 1)), "--device /dev/kvm"),
        (KvmFacts(True, False, "VMX (Intel)", None), CpuFacts("x86_64", 4, (0, 1)), "-aG kvm"),
        (KvmFacts(False, False, "", None), CpuFacts("aarch64", 4, (0, 1)), "x86-64"),
        (KvmFacts(True, True, "VMX (Intel)", None), CpuFacts("x86_64", 4, (0,)), "second CPU"),
    ],
)
def test_every_problem_has_a_next_step(kvm: KvmFacts, cpus: CpuFacts, advice: str) -> None:
    problem = "" if kvm.readable else "cannot open /dev/kvm"
    assert any(advice in step for step in next_steps(kvm, cpus, problem))
