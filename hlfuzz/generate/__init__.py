"""Writes typed code from schemas: clients, host protocols, strategies; guests in C, C++ and Rust."""

from __future__ import annotations

from hlfuzz.generate.files import FileState, State, compare, write
from hlfuzz.generate.languages import DEFAULT_LANGUAGE, LANGUAGES, parse_languages
from hlfuzz.generate.plan import plan

__all__ = [
    "DEFAULT_LANGUAGE",
    "LANGUAGES",
    "FileState",
    "State",
    "compare",
    "parse_languages",
    "plan",
    "write",
]
