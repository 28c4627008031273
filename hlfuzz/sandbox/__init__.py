"""Sandboxes: calls, call contexts, host functions, and the engines that run guests."""

from __future__ import annotations

from hlfuzz.sandbox.box import Sandbox, Trace
from hlfuzz.sandbox.context import CallContext
from hlfuzz.sandbox.engines.base import EngineName, Returned
from hlfuzz.sandbox.engines.choose import why_no_kvm
from hlfuzz.sandbox.hostcalls import Caller
from hlfuzz.sandbox.memory import Globals, GuestMemory
from hlfuzz.sandbox.providers import Global, HostFunction, Memory, Provider, Table
from hlfuzz.sandbox.snapshots import Snapshot
from hlfuzz.sandbox.vectors import ResultForm
from hlfuzz.sandbox.wasi import MODULE as WASI
from hlfuzz.sandbox.wasi import Wasi, WasiActivity, WasiCall

__all__ = [
    "WASI",
    "CallContext",
    "Caller",
    "EngineName",
    "Global",
    "Globals",
    "GuestMemory",
    "HostFunction",
    "Memory",
    "Provider",
    "ResultForm",
    "Returned",
    "Sandbox",
    "Snapshot",
    "Table",
    "Trace",
    "Wasi",
    "WasiActivity",
    "WasiCall",
    "why_no_kvm",
]
