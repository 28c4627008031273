"""Writes typed code from schemas: clients, host protocols, strategies; guests in C, C++ and Rust."""

from __future__ import annotations
