"""The interface between host and guest: its one form (IR), front ends, wire codecs and verifiers."""

from __future__ import annotations
