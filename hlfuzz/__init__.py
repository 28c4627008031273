"""Test the interface between a host program and the untrusted guest code that it embeds.

guest = hlfuzz.Guest.from_wasm("filter.wasm")
with hlfuzz.Sandbox(guest, host={"env.log": log}) as box:
    box.call("on_data", b"...")
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from hlfuzz.fuzz import assert_holds
    from hlfuzz.guest import CallLimits, Guest, Limits
    from hlfuzz.invariants.decorator import invariants
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
    from hlfuzz.testing.given import given_calls

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
    "given_calls",
    "invariants",
]

# A pytest run imports this package for its plugin, used or not: what is heavy is imported when asked for.
_PLACES = {
    "hlfuzz.errors": (
        "AbiViolation",
        "CallCancelled",
        "CallFailed",
        "ContextBusy",
        "ContextFinished",
        "EnvironmentProblem",
        "Finding",
        "ForkedProcess",
        "GuestError",
        "GuestExited",
        "GuestLimitExceeded",
        "GuestTimeout",
        "GuestTrap",
        "HlfuzzError",
        "HlfuzzWarning",
        "HostFunctionError",
        "LinkError",
        "ModuleError",
        "PoolTimeout",
        "SandboxClosed",
        "SnapshotError",
        "StartError",
        "UsageError",
        "WrongThread",
    ),
    "hlfuzz.fuzz": ("assert_holds",),
    "hlfuzz.guest": (
        "CallLimits",
        "Guest",
        "Limits",
    ),
    "hlfuzz.model": (
        "Call",
        "CallRecord",
        "Difference",
        "Exited",
        "Float32",
        "Float64",
        "Frame",
        "FuncType",
        "HostCallRecord",
        "HostError",
        "LimitExceeded",
        "ModuleInfo",
        "Ok",
        "Outcome",
        "Stats",
        "Timeout",
        "Trap",
        "ValType",
        "Value",
        "Violation",
    ),
    "hlfuzz.sandbox": (
        "AsyncCallContext",
        "CallContext",
        "Caller",
        "Dispatcher",
        "Global",
        "GuestMemory",
        "HostFunction",
        "Memory",
        "PendingCall",
        "Pool",
        "PoolMetrics",
        "Sandbox",
        "Snapshot",
        "Table",
        "Wasi",
        "WasiActivity",
        "WasiCall",
    ),
    "hlfuzz.testing.given": ("given_calls",),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}
_SUBMODULES = ("errors", "guest", "invariants", "model", "sandbox")


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_import_module(_MODULE_OF[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
