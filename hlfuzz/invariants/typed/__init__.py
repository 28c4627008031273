"""Targets with a schema: typed calls, stand-ins that answer valid records, results compared as values."""

from __future__ import annotations

from hlfuzz.invariants.typed.schema import Refusal, Typed, describe_typed

__all__ = ["Refusal", "Typed", "describe_typed"]
