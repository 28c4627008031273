"""Loading and inspecting guests."""

from __future__ import annotations

from hlfuzz.guest.allocator import CONVENTIONS, Allocator, find_allocator
from hlfuzz.guest.guest import Guest
from hlfuzz.guest.limits import Limits

__all__ = ["CONVENTIONS", "Allocator", "Guest", "Limits", "find_allocator"]
