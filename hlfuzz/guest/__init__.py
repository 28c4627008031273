"""Loading and inspecting guests."""

from __future__ import annotations

from hlfuzz.guest.allocator import CONVENTIONS, Allocator, find_allocator
from hlfuzz.guest.dictionary import Dictionary
from hlfuzz.guest.guest import HANDSHAKE, Guest
from hlfuzz.guest.limits import CallLimits, Limits
from hlfuzz.guest.native_header import native_include
from hlfuzz.guest.toolchain import is_runtime_export

__all__ = [
    "CONVENTIONS",
    "HANDSHAKE",
    "Allocator",
    "CallLimits",
    "Dictionary",
    "Guest",
    "Limits",
    "find_allocator",
    "is_runtime_export",
    "native_include",
]
