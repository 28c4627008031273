"""Raw interfaces at run time: does the module fit, calls of the guest, host functions."""

from __future__ import annotations

from hlfuzz.bindings.raw.calls import raw_call
from hlfuzz.bindings.raw.host import raw_host
from hlfuzz.bindings.raw.signature import check, check_raw, lower

__all__ = ["check", "check_raw", "lower", "raw_call", "raw_host"]
