"""`hlfuzz stamp`: adds the handshake section to a guest whose toolchain cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.bindings.handshake import SECTION, section_text
from hlfuzz.cli.options import Module
from hlfuzz.cli.output import console, errors_reported
from hlfuzz.files import write_file
from hlfuzz.guest import Guest
from hlfuzz.guest.sections import with_custom_section
from hlfuzz.schema.canonical import schema_id
from hlfuzz.schema.load import load


def stamp(
    schema: Annotated[
        Path, typer.Argument(help="The schema that the guest was built for.", show_default=False)
    ],
    module: Module,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Where the stamped module goes; the module itself by default."),
    ] = None,
    include: Annotated[
        list[Path] | None, typer.Option("--include", help="A folder with included schemas. May be repeated.")
    ] = None,
) -> None:
    """Write the interface that a guest was built for into it, for the handshake.

    Generated C, C++ and Rust code does this by itself. Run it in the build, right after the compiler: it says
    what you say, and checks nothing of the module's code.
    """
    with errors_reported(False):
        interface = load(schema, include=include or ())
        guest = Guest.from_wasm(module)
        stamped = with_custom_section(guest.wasm, SECTION, section_text(interface).encode())
        write_file(out or module, stamped, otherwise="choose another file with --out")
        console().print(f"{out or module}: schema id {schema_id(interface)}", soft_wrap=True)
