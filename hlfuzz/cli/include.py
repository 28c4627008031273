"""`hlfuzz include`: where the header for native guests is."""

from __future__ import annotations

import typer

from hlfuzz.cli.options import JsonOption
from hlfuzz.cli.output import print_json
from hlfuzz.guest import native_include


def include(as_json: JsonOption = False) -> None:
    """Print the folder of hlfuzz_guest.h: gcc -I"$(hlfuzz include)" ... (docs/native-guests.md)."""
    folder = str(native_include())
    if as_json:
        print_json({"schema": "hlfuzz.include/1", "folder": folder})
    else:
        typer.echo(folder)
