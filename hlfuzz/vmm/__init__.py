"""The micro-VM manager's Python face; only this package touches the native library."""

from __future__ import annotations

from hlfuzz.vmm.native import Probe, inspect, probe

__all__ = ["Probe", "inspect", "probe"]
