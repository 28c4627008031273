"""The micro-VM manager's Python face; only this package touches the native library."""

from __future__ import annotations

from hlfuzz.vmm.machine import DEFAULT_MEMORY, BytesForm, FastCall, Machine, Region, Results, Room
from hlfuzz.vmm.module import Module, cache_folder, inspect, inspect_elf, wasmtime_version
from hlfuzz.vmm.probe import Probe, probe
from hlfuzz.vmm.template import Boot, Template
from hlfuzz.vmm.values import Slots
from hlfuzz.vmm.verifier import NativeVerifier

__all__ = [
    "DEFAULT_MEMORY",
    "Boot",
    "BytesForm",
    "FastCall",
    "Machine",
    "Module",
    "NativeVerifier",
    "Probe",
    "Region",
    "Results",
    "Room",
    "Slots",
    "Template",
    "cache_folder",
    "inspect",
    "inspect_elf",
    "probe",
    "wasmtime_version",
]
