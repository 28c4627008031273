"""`python -m hlfuzz` is the `hlfuzz` command."""

from __future__ import annotations

from hlfuzz.cli import main

main()
