"""`hlfuzz conform`: whether peers built on an old and a new schema can talk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.cli.options import IncludeOption, JsonOption
from hlfuzz.cli.output import CLEAN, FINDINGS, console, errors_reported, print_json
from hlfuzz.report import schemas as report
from hlfuzz.schema.conform import conform as compare
from hlfuzz.schema.load import load


def conform(
    old: Annotated[Path, typer.Argument(help="The schema as it was.", show_default=False)],
    new: Annotated[Path, typer.Argument(help="The schema as it is now.", show_default=False)],
    include: IncludeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a change of a schema breaks. Exit code 1 when it breaks something."""
    with errors_reported(as_json):
        found = compare(load(old, include=include or ()), load(new, include=include or ()))
        if as_json:
            print_json(report.conform_document(found))
        else:
            report.conformed(console(), found)
        raise typer.Exit(FINDINGS if found else CLEAN)
