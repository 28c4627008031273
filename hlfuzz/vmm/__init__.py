"""The micro-VM manager's Python face; only this package touches the native library."""

from __future__ import annotations

from hlfuzz.vmm.dispatch import Bell, DispatchedMachine
from hlfuzz.vmm.machine import DEFAULT_MEMORY, BytesForm, FastCall, Machine, Region, Results, Room
from hlfuzz.vmm.module import Module, cache_folder, inspect, inspect_elf, wasmtime_version
from hlfuzz.vmm.probe import Probe, probe
from hlfuzz.vmm.snapshot import TemplateInfo, describe, global_values, take
from hlfuzz.vmm.template import Boot, Template
from hlfuzz.vmm.values import Slots
from hlfuzz.vmm.verifier import NativeVerifier

__all__ = [
    "DEFAULT_MEMORY",
    "Bell",
    "Boot",
    "BytesForm",
    "DispatchedMachine",
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
    "TemplateInfo",
    "cache_folder",
    "describe",
    "global_values",
    "inspect",
    "inspect_elf",
    "probe",
    "take",
    "wasmtime_version",
]
