"""Targets with a schema: typed calls, stand-ins that answer valid records, results compared as values."""

from __future__ import annotations

from hlfuzz.invariants.typed.method import TypedMethod
from hlfuzz.invariants.typed.schema import Refusal, Typed, describe_typed
from hlfuzz.invariants.typed.text import shown_value

__all__ = ["Refusal", "Typed", "TypedMethod", "describe_typed", "shown_value"]
