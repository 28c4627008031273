"""`hlfuzz inspect`: what a module imports, exports, needs and offers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.cli.options import ConfigOption, JsonOption, Module, interface_of
from hlfuzz.cli.output import console, errors_reported, print_json
from hlfuzz.errors import UsageError
from hlfuzz.files import write_file
from hlfuzz.guest import Guest
from hlfuzz.guest.emit import raw_text
from hlfuzz.guest.parameter_names import ParameterNames, parameter_names
from hlfuzz.report import documents, terminal


def inspect(
    module: Module,
    config: ConfigOption = None,
    emit: Annotated[
        Path | None,
        typer.Option(
            "--emit",
            metavar="FILE.toml",
            help="Write a raw interface (docs/schema-raw.md) from the module itself; - prints it.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a module's imports, exports, types, memory, features, allocator and the host functions it
    needs."""
    with errors_reported(as_json):
        guest = Guest.load(module)
        if emit is not None:
            _emit(guest, module, emit, as_json)
            return
        interface = interface_of(guest, module, config, None, False)
        if as_json:
            print_json(documents.inspect(guest, interface))
        else:
            terminal.inspect(console(), guest, interface)


def _names(guest: Guest) -> ParameterNames:
    return ParameterNames() if guest.kind == "elf" else parameter_names(guest.wasm, guest.info)


def _emit(guest: Guest, module: Path, target: Path, as_json: bool) -> None:
    if as_json:
        raise UsageError("--emit and --json cannot go together: --emit writes TOML")
    text = raw_text(guest.info, name=module.stem, names=_names(guest))
    if str(target) == "-":
        typer.echo(text, nl=False)
        return
    if target.suffix != ".toml":
        raise UsageError(f"{target} is no name for a raw interface: end it in .toml, or write - to print it")
    write_file(target, text.encode(), otherwise="choose another file for --emit")
