"""Test the interface between a host program and the untrusted guest code that it embeds.

guest = hlfuzz.Guest.from_wasm("filter.wasm")
with hlfuzz.Sandbox(guest, host={"env.log": log}) as box:
    box.call("on_data", b"...")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hlfuzz.errors import (
    AbiViolation,
    CallCancelled,
    CallFailed,
    ContextBusy,
    ContextFinished,
    EnvironmentProblem,
    Finding,
    ForkedProcess,
    GuestError,
    GuestExited,
    GuestLimitExceeded,
    GuestTimeout,
    GuestTrap,
    HlfuzzError,
    HlfuzzWarning,
    HostFunctionError,
    LinkError,
    ModuleError,
    PoolTimeout,
    SandboxClosed,
    SnapshotError,
    StartError,
    UsageError,
    WrongThread,
)
from hlfuzz.guest import CallLimits, Guest, Limits
from hlfuzz.model import (
    Call,
    CallRecord,
    Difference,
    Exited,
    Float32,
    Float64,
    Frame,
    FuncType,
    HostCallRecord,
    HostError,
    LimitExceeded,
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
from hlfuzz.sandbox import (
    AsyncCallContext,
    CallContext,
    Caller,
    Dispatcher,
    Global,
    GuestMemory,
    HostFunction,
    Memory,
    PendingCall,
    Pool,
    PoolMetrics,
    Sandbox,
    Snapshot,
    Table,
    Wasi,
    WasiActivity,
    WasiCall,
)

if TYPE_CHECKING:
    from hlfuzz.fuzz import assert_holds

__version__ = "0.1.0"

__all__ = [
    "AbiViolation",
    "AsyncCallContext",
    "Call",
    "CallCancelled",
    "CallContext",
    "CallFailed",
    "CallLimits",
    "CallRecord",
    "Caller",
    "ContextBusy",
    "ContextFinished",
    "Difference",
    "Dispatcher",
    "EnvironmentProblem",
    "Exited",
    "Finding",
    "Float32",
    "Float64",
    "ForkedProcess",
    "Frame",
    "FuncType",
    "Global",
    "Guest",
    "GuestError",
    "GuestExited",
    "GuestLimitExceeded",
    "GuestMemory",
    "GuestTimeout",
    "GuestTrap",
    "HlfuzzError",
    "HlfuzzWarning",
    "HostCallRecord",
    "HostError",
    "HostFunction",
    "HostFunctionError",
    "LimitExceeded",
    "Limits",
    "LinkError",
    "Memory",
    "ModuleError",
    "ModuleInfo",
    "Ok",
    "Outcome",
    "PendingCall",
    "Pool",
    "PoolMetrics",
    "PoolTimeout",
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
    "Wasi",
    "WasiActivity",
    "WasiCall",
    "WrongThread",
    "assert_holds",
]


def __getattr__(name: str) -> Any:
    """Names whose modules are loaded when they are first used."""
    if name == "assert_holds":
        from hlfuzz.fuzz import assert_holds

        return assert_holds
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
