"""Rust for guests: one `no_std` module with types, both directions of the wire, and the boundary."""

from __future__ import annotations

from hlfuzz.generate.rust.module import generate

__all__ = ["generate"]
