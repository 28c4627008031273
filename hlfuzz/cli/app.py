"""Puts the commands together. Exit codes: 0 clean, 1 findings, 2 usage, 3 environment."""

from __future__ import annotations

from typing import Annotated

import typer

import hlfuzz
from hlfuzz.cli.bench import bench
from hlfuzz.cli.check import check
from hlfuzz.cli.conform import conform
from hlfuzz.cli.doctor import doctor
from hlfuzz.cli.fuzz import fuzz
from hlfuzz.cli.generate import generate
from hlfuzz.cli.include import include
from hlfuzz.cli.inspect import inspect
from hlfuzz.cli.repro import repro
from hlfuzz.cli.run import run
from hlfuzz.cli.stamp import stamp

app = typer.Typer(
    name="hlfuzz",
    help="Test untrusted Wasm and native guests in micro-VMs: run, check and fuzz them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(doctor)
app.command()(inspect)
# Arguments such as -5 are numbers, not options.
app.command(context_settings={"ignore_unknown_options": True})(run)
app.command()(check)
app.command()(fuzz)
app.command()(repro)
app.command()(generate)
app.command()(conform)
app.command()(stamp)
app.command()(include)
app.command()(bench)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hlfuzz {hlfuzz.__version__}")
        raise typer.Exit


@app.callback()
def hlfuzz_command(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Test untrusted Wasm and native guests in micro-VMs: run, check and fuzz them."""


def main() -> None:
    """Entry point of the `hlfuzz` script."""
    app()
