"""Sandboxes: calls, call contexts, host functions, and the engines that run guests."""

from __future__ import annotations

from hlfuzz.sandbox.box import Sandbox, Trace
from hlfuzz.sandbox.context import CallContext
from hlfuzz.sandbox.dispatch.asynchronous import AsyncCallContext
from hlfuzz.sandbox.dispatch.dispatcher import Dispatcher
from hlfuzz.sandbox.dispatch.lane import settled
from hlfuzz.sandbox.dispatch.pending import PendingCall
from hlfuzz.sandbox.engines.base import EngineName, Returned
from hlfuzz.sandbox.engines.choose import prepare, why_no_kvm
from hlfuzz.sandbox.evidence import Evidence
from hlfuzz.sandbox.hostcalls import Caller
from hlfuzz.sandbox.memory import Globals, GuestMemory
from hlfuzz.sandbox.pool import LeasedSandbox, Pool, PoolMetrics, Quantiles
from hlfuzz.sandbox.providers import Global, HostFunction, Memory, Provider, Table
from hlfuzz.sandbox.snapshots import Snapshot
from hlfuzz.sandbox.vectors import ResultForm
from hlfuzz.sandbox.wasi import MODULE as WASI
from hlfuzz.sandbox.wasi import Wasi, WasiActivity, WasiCall

__all__ = [
    "WASI",
    "AsyncCallContext",
    "CallContext",
    "Caller",
    "Dispatcher",
    "EngineName",
    "Evidence",
    "Global",
    "Globals",
    "GuestMemory",
    "HostFunction",
    "LeasedSandbox",
    "Memory",
    "PendingCall",
    "Pool",
    "PoolMetrics",
    "Provider",
    "Quantiles",
    "ResultForm",
    "Returned",
    "Sandbox",
    "Snapshot",
    "Table",
    "Trace",
    "Wasi",
    "WasiActivity",
    "WasiCall",
    "prepare",
    "settled",
    "why_no_kvm",
]
