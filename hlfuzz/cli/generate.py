"""`hlfuzz generate`: writes typed code from schemas, or says whether what is there is stale."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.cli.options import IncludeOption, JsonOption
from hlfuzz.cli.output import CLEAN, FINDINGS, console, errors_reported, print_json
from hlfuzz.errors import UsageError
from hlfuzz.generate import DEFAULT_LANGUAGE, FileState, State, compare, parse_languages, plan, write
from hlfuzz.report import schemas as report
from hlfuzz.schema.conform import Breakage, conform
from hlfuzz.schema.diagnostics import Diagnostic, SchemaError
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.load import load


def generate(
    schemas: Annotated[
        list[Path],
        typer.Argument(metavar="SCHEMA", help="Schemas: .fbs, .proto, .toml.", show_default=False),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for the code.", show_default=False)],
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit code 1 and a diff when the code is stale.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", help="With --check: an older version of the schema, with which it must conform."
        ),
    ] = None,
    lang: Annotated[
        list[str] | None,
        typer.Option(
            "--lang", help=f"python, c, cpp, rust; several with commas. Default {DEFAULT_LANGUAGE}."
        ),
    ] = None,
    include: IncludeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write typed code for the interface of each schema."""
    with errors_reported(as_json):
        languages = parse_languages(lang or [DEFAULT_LANGUAGE])
        if against is not None and (not check or len(schemas) != 1):
            raise UsageError("--against compares one schema with its older version: use it with --check")
        loaded = _loaded(schemas, include)
        files = plan(loaded, languages)
        if check:
            found = _broken(against, loaded[0], include)
            _report(compare(out, files, languages), found, as_json=as_json)
        else:
            written = write(out, files)
            left_over = [s.name for s in compare(out, files, languages) if s.state is State.LEFT_OVER]
            if as_json:
                print_json(report.generate_document(sorted(files), written, left_over))
            else:
                report.generated(console(), out, sorted(files), written, left_over)


def _loaded(paths: list[Path], include: list[Path] | None) -> list[Schema]:
    """All schemas. Raises `SchemaError` with the errors of each that has some."""
    loaded: list[Schema] = []
    wrong: list[Diagnostic] = []
    for path in paths:
        try:
            loaded.append(load(path, include=include or ()))
        except SchemaError as error:
            wrong += error.diagnostics
    if wrong:
        raise SchemaError(wrong)
    return loaded


def _broken(against: Path | None, new: Schema, include: list[Path] | None) -> tuple[Breakage, ...]:
    return conform(load(against, include=include or ()), new) if against is not None else ()


def _report(states: list[FileState], found: tuple[Breakage, ...], *, as_json: bool) -> None:
    stale = [s for s in states if s.state is not State.CURRENT]
    if as_json:
        print_json(report.check_document(states, found))
    else:
        report.checked(console(), stale, found)
    raise typer.Exit(FINDINGS if stale or found else CLEAN)
