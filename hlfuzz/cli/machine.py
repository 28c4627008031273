"""Facts about this machine that decide how well guests run (KVM, permissions, CPUs), and next steps."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

DEVICE: Final = Path("/dev/kvm")

_IMPLEMENTATIONS: Final = {
    "kvm_intel": "VMX (Intel)",
    "kvm_amd": "SVM (AMD)",
    "kvm_pvm": "PVM (software, page-table based)",
}
"""Kernel modules that implement KVM on x86-64, by their folder in /sys/module."""


@dataclass(frozen=True, slots=True)
class KvmFacts:
    """What the system shows of KVM.

    `implementation` is "" when no module is loaded; `nested` None when unknown.
    """

    device: bool
    readable: bool
    implementation: str
    nested: bool | None


@dataclass(frozen=True, slots=True)
class CpuFacts:
    """CPUs by number: online ones, those this process may use, and pairs of them that share one core."""

    architecture: str
    online: int
    allowed: tuple[int, ...]
    siblings: tuple[tuple[int, ...], ...] = field(default=())


def kvm_facts(sys_module: Path = Path("/sys/module"), device: Path = DEVICE) -> KvmFacts:
    """Looks at /dev/kvm and /sys/module. Nothing is opened or loaded."""
    loaded = [name for name in _IMPLEMENTATIONS if (sys_module / name).is_dir()]
    # kvm_pvm is loaded in the guest of another hypervisor, beside modules that found no hardware.
    name = loaded[-1] if loaded else ""
    return KvmFacts(
        device=device.exists(),
        readable=os.access(device, os.R_OK | os.W_OK),
        implementation=_IMPLEMENTATIONS.get(name, ""),
        nested=_nested(sys_module / name / "parameters" / "nested") if name else None,
    )


def _nested(parameter: Path) -> bool | None:
    try:
        return parameter.read_text().strip() in ("1", "Y")
    except OSError:
        return None


def cpu_facts(sys_cpu: Path = Path("/sys/devices/system/cpu")) -> CpuFacts:
    """CPUs that this process may run on and how they share cores."""
    allowed = tuple(sorted(os.sched_getaffinity(0)))
    groups = {_siblings(sys_cpu / f"cpu{cpu}" / "topology" / "thread_siblings_list") for cpu in allowed}
    return CpuFacts(
        architecture=platform.machine(),
        online=os.cpu_count() or len(allowed),
        allowed=allowed,
        siblings=tuple(sorted(g for g in groups if len(g) > 1)),
    )


def _siblings(path: Path) -> tuple[int, ...]:
    """A kernel CPU list such as "0,4" or "0-1"."""
    cpus: list[int] = []
    try:
        for part in path.read_text().strip().split(","):
            first, _, last = part.partition("-")
            cpus += range(int(first), int(last or first) + 1)
    except (OSError, ValueError):
        return ()
    return tuple(cpus)


def next_steps(kvm: KvmFacts, cpus: CpuFacts, problem: str) -> tuple[str, ...]:
    """What to do, the most likely cause first. `problem` is why KVM cannot be used, "" when it can."""
    steps: list[str] = []
    if problem:
        if cpus.architecture not in ("x86_64", "AMD64"):
            steps.append(
                f"micro-VMs need an x86-64 machine, this is {cpus.architecture}: use --engine inprocess"
            )
        elif not kvm.device:
            steps += [
                "in a container: start it with --device /dev/kvm",
                "on a host: enable virtualisation in the firmware, then sudo modprobe kvm_intel (or kvm_amd)",
                "in a virtual machine: enable nested virtualisation on its host",
            ]
        elif not kvm.readable:
            steps.append("sudo usermod -aG kvm $USER, then log in again; in a container pass --group-add kvm")
        steps.append("until then everything runs with --engine inprocess, behind one wall instead of two")
    if len(cpus.allowed) < 2:
        steps.append(
            "give the process a second CPU (taskset, container limits): the fast spin transport needs two"
        )
    return tuple(steps)
