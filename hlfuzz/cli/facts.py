"""Facts of this machine and installation that decide what a check could see, for its reports."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

import hlfuzz
from hlfuzz.cli.machine import cpu_facts, kvm_facts
from hlfuzz.invariants import Target
from hlfuzz.sandbox import why_no_kvm


def versions() -> dict[str, str]:
    """What the results of this installation depend on."""
    return {
        "hlfuzz": hlfuzz.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "wasmtime (in-process engine)": metadata.version("wasmtime"),
    }


def facts(target: Target) -> list[tuple[str, str]]:
    """Name and value of each: how the target's sandboxes run, KVM, CPU, versions."""
    session = target.session()
    stats = session.box.stats()
    engine = [("transport", stats.transport), ("dirty pages", stats.tracking)] if session.is_kvm else []
    return [
        ("engine", session.box.engine),
        *engine,
        ("reset level of suspicions", session.reset),
        ("reset level of findings", "strict"),
        ("deadline of a call", f"{target.deadline:g} s of CPU time"),
        ("KVM", kvm_facts().implementation or why_no_kvm() or "usable"),
        ("CPU", _cpu_name()),
        ("CPUs", str(len(cpu_facts().allowed))),
        *versions().items(),
    ]


def _cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
