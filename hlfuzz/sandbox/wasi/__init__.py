"""WASI preview 1 for guests that are built for it: deterministic, part of the sandbox's state, nothing of
this process."""

from __future__ import annotations

from hlfuzz.sandbox.wasi.abi import MODULE, Errno
from hlfuzz.sandbox.wasi.activity import WasiActivity, WasiCall
from hlfuzz.sandbox.wasi.config import Wasi

__all__ = ["MODULE", "Errno", "Wasi", "WasiActivity", "WasiCall"]
