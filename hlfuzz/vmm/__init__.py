"""The micro-VM manager's Python face; only this package touches the native library."""

from __future__ import annotations

from hlfuzz.vmm.differences import Piece, differing_bytes, vcpu_registers
from hlfuzz.vmm.dispatch import Bell, DispatchedMachine
from hlfuzz.vmm.evidence import Core, Symbols, keep_cores, kept_core, take_core, trap_registers
from hlfuzz.vmm.inject import KICK, Failing, Point, failing
from hlfuzz.vmm.machine import DEFAULT_MEMORY, BytesForm, FastCall, Machine, Region, Results, Room, Searched
from hlfuzz.vmm.meddle import Change, Shared, meddle
from hlfuzz.vmm.module import Module, cache_folder, inspect, inspect_elf, wasmtime_version
from hlfuzz.vmm.probe import Probe, probe
from hlfuzz.vmm.snapshot import TemplateInfo, describe, global_values, load, save, take
from hlfuzz.vmm.status import TrapInfo
from hlfuzz.vmm.template import Boot, Template
from hlfuzz.vmm.values import Slots
from hlfuzz.vmm.verifier import NativeVerifier

__all__ = [
    "DEFAULT_MEMORY",
    "KICK",
    "Bell",
    "Boot",
    "BytesForm",
    "Change",
    "Core",
    "DispatchedMachine",
    "Failing",
    "FastCall",
    "Machine",
    "Module",
    "NativeVerifier",
    "Piece",
    "Point",
    "Probe",
    "Region",
    "Results",
    "Room",
    "Searched",
    "Shared",
    "Slots",
    "Symbols",
    "Template",
    "TemplateInfo",
    "TrapInfo",
    "cache_folder",
    "describe",
    "differing_bytes",
    "failing",
    "global_values",
    "inspect",
    "inspect_elf",
    "keep_cores",
    "kept_core",
    "load",
    "meddle",
    "probe",
    "save",
    "take",
    "take_core",
    "trap_registers",
    "vcpu_registers",
    "wasmtime_version",
]
