"""The command line: `hlfuzz` and `python -m hlfuzz`."""

from __future__ import annotations

from hlfuzz.cli.app import app, main

__all__ = ["app", "main"]
