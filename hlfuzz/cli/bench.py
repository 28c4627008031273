"""`hlfuzz bench`: measures what the README promises."""

from __future__ import annotations

from typing import Annotated

import typer

from hlfuzz.cli.options import JsonOption
from hlfuzz.cli.output import errors_reported


def bench(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer samples: seconds instead of minutes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Measure calls, resets and start-up on this machine, beside their floors and peers."""
    with errors_reported(as_json):
        # Imported here so that no other command pays for it.
        from hlfuzz.bench import run as run_bench

        raise typer.Exit(run_bench(json=as_json, quick=quick))
