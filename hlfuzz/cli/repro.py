"""`hlfuzz repro`: runs a finding again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.cli.options import Engine, JsonOption
from hlfuzz.cli.output import CLEAN, FINDINGS, console, errors_reported, print_json
from hlfuzz.fuzz import load, replay
from hlfuzz.invariants import find_project, load_checkers
from hlfuzz.report import documents, terminal


def repro(
    finding: Annotated[
        Path, typer.Argument(help="A finding's file (.hlfuzz/…/findings/….json).", show_default=False)
    ],
    module: Annotated[
        Path | None,
        typer.Option("--module", help="Another build of the guest, to see whether it still fails."),
    ] = None,
    engine: Annotated[
        Engine | None, typer.Option("--engine", help="Another engine than the one that it was found on.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a finding again under strict reset. Exit code 1 when it still shows, 0 when it does not."""
    with errors_reported(as_json):
        load_checkers(find_project(Path.cwd()))
        loaded = load(finding, module=module, engine=engine.value if engine else None)
        with loaded.target:
            replayed = replay(loaded)
        if as_json:
            print_json(documents.repro(loaded, replayed))
        else:
            terminal.repro(console(), loaded, replayed)
        raise typer.Exit(FINDINGS if replayed.fault else CLEAN)
