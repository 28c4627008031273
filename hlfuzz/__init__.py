"""Test the interface between a host program and the untrusted guest code that it embeds.

guest = hlfuzz.Guest.from_wasm("filter.wasm")
with hlfuzz.Sandbox(guest, host={"env.log": log}) as box:
    box.call("on_data", b"...")
"""

from __future__ import annotations

from hlfuzz.errors import (
    AbiViolation,
    CallFailed,
    ContextBusy,
    ContextFinished,
    EnvironmentProblem,
    Finding,
    ForkedProcess,
    GuestError,
    GuestTimeout,
    GuestTrap,
    HlfuzzError,
    HlfuzzWarning,
    HostFunctionError,
    LinkError,
    ModuleError,
    SandboxClosed,
    SnapshotError,
    StartError,
    UsageError,
    WrongThread,
)
from hlfuzz.guest import Guest, Limits
from hlfuzz.model import (
    Call,
    CallRecord,
    Float32,
    Float64,
    FuncType,
    HostCallRecord,
    HostError,
    ModuleInfo,
    Ok,
    Outcome,
    Stats,
    Timeout,
    Trap,
    ValType,
    Value,
    Violation,
)
from hlfuzz.sandbox import CallContext, Caller, Global, GuestMemory, HostFunction, Memory, Sandbox, Snapshot, Table

__version__ = "0.1.0"

__all__ = [
    "AbiViolation",
    "Call",
    "CallContext",
    "CallFailed",
    "CallRecord",
    "Caller",
    "ContextBusy",
    "ContextFinished",
    "EnvironmentProblem",
    "Finding",
    "Float32",
    "Float64",
    "ForkedProcess",
    "FuncType",
    "Global",
    "Guest",
    "GuestError",
    "GuestMemory",
    "GuestTimeout",
    "GuestTrap",
    "HlfuzzError",
    "HlfuzzWarning",
    "HostCallRecord",
    "HostError",
    "HostFunction",
    "HostFunctionError",
    "Limits",
    "LinkError",
    "Memory",
    "ModuleError",
    "ModuleInfo",
    "Ok",
    "Outcome",
    "Sandbox",
    "SandboxClosed",
    "Snapshot",
    "SnapshotError",
    "StartError",
    "Stats",
    "Table",
    "Timeout",
    "Trap",
    "UsageError",
    "ValType",
    "Value",
    "Violation",
    "WrongThread",
]
