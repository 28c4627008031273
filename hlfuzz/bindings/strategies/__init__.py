"""Hypothesis strategies for the values of an interface, and for bytes that are nearly or maliciously so.

Generated modules call these functions with their interface; they work as well with one that was loaded
without generated code.
"""

from __future__ import annotations

from hypothesis.strategies import SearchStrategy

from hlfuzz.bindings.strategies.bounds import Bounds, BoundsOptions
from hlfuzz.bindings.strategies.hostile import hostile_bytes
from hlfuzz.bindings.strategies.near import NearValid, near_valid
from hlfuzz.bindings.strategies.raw import arguments, results
from hlfuzz.bindings.strategies.values import valid

__all__ = [
    "Bounds",
    "BoundsOptions",
    "NearValid",
    "SearchStrategy",
    "arguments",
    "hostile_bytes",
    "near_valid",
    "results",
    "valid",
]
