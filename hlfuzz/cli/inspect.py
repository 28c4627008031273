"""`hlfuzz inspect`: what a module imports, exports, needs and offers."""

from __future__ import annotations

from hlfuzz.cli.options import ConfigOption, JsonOption, Module, interface_of
from hlfuzz.cli.output import console, errors_reported, print_json
from hlfuzz.guest import Guest
from hlfuzz.report import documents, terminal


def inspect(module: Module, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show a module's imports, exports, types, memory, features, allocator and the host functions it
    needs."""
    with errors_reported(as_json):
        guest = Guest.from_wasm(module)
        interface = interface_of(guest, module, config, None, False)
        if as_json:
            print_json(documents.inspect(guest, interface))
        else:
            terminal.inspect(console(), guest, interface)
