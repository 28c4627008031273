"""`hlfuzz check`: which invariants hold for a module, and who is to blame where one does not."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.status import Status as RichStatus

from hlfuzz.cli.facts import facts
from hlfuzz.cli.options import (
    ConfigOption,
    CorpusOption,
    Engine,
    HostOption,
    JsonOption,
    MethodOption,
    SchemaOption,
    SeedOption,
    StoreOption,
    StubOption,
)
from hlfuzz.cli.output import (
    CLEAN,
    FINDINGS,
    USAGE,
    console,
    error_console,
    errors_reported,
    print_json,
)
from hlfuzz.durations import seconds
from hlfuzz.errors import EnvironmentProblem, UsageError
from hlfuzz.files import near, write_file
from hlfuzz.fuzz import SavedFinding, Store
from hlfuzz.fuzz import check as run_check
from hlfuzz.invariants import (
    INVARIANTS,
    Invariant,
    ProjectTarget,
    Row,
    Status,
    Target,
    choose,
    find_project,
    find_target,
    load_checkers,
    open_project_target,
    parse_host_option,
)
from hlfuzz.invariants.interface import refuse_nothing_to_call
from hlfuzz.report import Checked, documents, gather, html, junit, sarif, terminal, write_test
from hlfuzz.sandbox import why_no_kvm

HtmlOption = Annotated[
    Path | None, typer.Option("--html", help="Write the report as one HTML page.", dir_okay=False)
]
SarifOption = Annotated[
    Path | None, typer.Option("--sarif", help="Write the findings as SARIF 2.1.0.", dir_okay=False)
]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", help="Write the verdicts as JUnit XML.", dir_okay=False)
]


def check(
    target: Annotated[
        str | None,
        typer.Argument(
            help="A Wasm module (.wasm), a native guest (ELF), or a target named in pyproject.toml.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option("--time", help="Time for all checkers together: 10s, 2m.", show_default="20s"),
    ] = None,
    invariant: Annotated[
        list[str] | None, typer.Option("--invariant", help="Check only this one. May be repeated.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show the invariants and what they promise, and check nothing.")
    ] = False,
    html_file: HtmlOption = None,
    sarif_file: SarifOption = None,
    junit_file: JunitOption = None,
    engine: Annotated[
        Engine | None,
        typer.Option(
            "--engine", help="kvm, inprocess, or auto: kvm where it is usable.", show_default="auto"
        ),
    ] = None,
    require_kvm: Annotated[
        bool, typer.Option("--require-kvm", help="Exit code 3 where micro-VMs cannot run.")
    ] = False,
    host: HostOption = None,
    stub_imports: StubOption = False,
    config: ConfigOption = None,
    schema: SchemaOption = None,
    corpus: CorpusOption = None,
    method: MethodOption = None,
    deadline: Annotated[
        float | None,
        typer.Option("--deadline", help="CPU time of one call, in seconds.", show_default="0.5"),
    ] = None,
    seed: SeedOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the invariants of platform and guest over generated calls.

    Exit code 1: an invariant is violated. 2: a checker failed itself. Without KVM, what needs a micro-VM is
    not applicable. Options go before the settings in pyproject.toml.
    """
    with errors_reported(as_json):
        project = find_project(Path.cwd())
        load_checkers(project)
        if listed:
            _list(choose(invariant or INVARIANTS, "--invariant"), as_json)
        if target is None:
            raise UsageError(
                "nothing to check (TARGET): give a module, a native guest, or a configured target"
            )
        if deadline == 0:
            raise UsageError("--deadline 0 is out of range: give seconds, above 0 and up to 3600")
        found = _with_options(find_target(project, target), config, schema, stub_imports, corpus)
        ids = invariant or found.invariants or project.invariants or INVARIANTS
        chosen = choose(ids, "--invariant" if invariant else str(project.path))
        if require_kvm or project.require_kvm:
            _require_kvm(engine or found.engine or project.engine)
        number = project.seed if seed is None else seed
        if number is None:
            number = random.SystemRandom().getrandbits(32)
        with open_project_target(
            project,
            found,
            engine=engine.value if engine else None,
            timeout=deadline,
            methods=tuple(method or ()),
            host=dict(parse_host_option(text) for text in host or []),
        ) as opened:
            refuse_nothing_to_call(opened.guest.info, opened.interface)
            kept = Store(store or near(project.store / found.name))
            budget = project.time if time is None else seconds(time)
            with error_console().status(f"checking {len(chosen)} invariants") as status:
                rows = run_check(
                    opened, chosen, kept, seconds=budget, seed=number, listener=_listener(status, len(chosen))
                )
            module = near(found.module)
            _write_tests(opened, rows, number, module)
            checked = gather(opened, rows, seed=number, module=module, environment=facts(opened))
        _write_reports(checked, html_file, sarif_file, junit_file)
        if as_json:
            print_json(documents.check(checked))
        else:
            terminal.check(console(), checked)
        raise typer.Exit(_exit_code(checked))


def _with_options(
    found: ProjectTarget,
    config: Path | None,
    schema: Path | None,
    stub_imports: bool,
    corpus: list[Path] | None,
) -> ProjectTarget:
    return replace(
        found,
        interface=replace(found.interface, schema=schema or found.interface.schema),
        config=config or found.config,
        stub_imports=stub_imports or found.stub_imports,
        corpus=tuple(corpus or found.corpus),
    )


def _list(chosen: list[Invariant], as_json: bool) -> NoReturn:
    if as_json:
        print_json(documents.invariants(chosen))
    else:
        terminal.invariants(console(), chosen)
    raise typer.Exit(CLEAN)


def _require_kvm(engine: str) -> None:
    if engine == Engine.INPROCESS:
        raise UsageError("KVM is required and the engine is inprocess: leave one of them out")
    if reason := why_no_kvm():
        raise EnvironmentProblem(f"micro-VMs are required and cannot run here: {reason}", reason="no-kvm")


def _listener(status: RichStatus, count: int) -> Callable[[Row], None]:
    """Shows on a terminal how far the check is."""
    done: list[Row] = []

    def listen(row: Row) -> None:
        done.append(row)
        status.update(f"{len(done)} of {count} checked; {row.invariant}: {row.verdict.status}")

    return listen


def _write_tests(target: Target, rows: list[Row], seed: int, module: Path) -> None:
    for row in rows:
        if row.finding is not None and row.verdict.fault is not None:
            write_test(SavedFinding(row.finding, row.verdict.fault), target, seed=seed, module=module)


def _write_reports(checked: Checked, page: Path | None, log: Path | None, junit_file: Path | None) -> None:
    if page is not None:
        write_file(page, html.render(checked).encode())
    if log is not None:
        write_file(log, (json.dumps(sarif.document(checked), indent=1) + "\n").encode())
    if junit_file is not None:
        write_file(junit_file, junit.render(checked))


def _exit_code(checked: Checked) -> int:
    if checked.count(Status.VIOLATED):
        return FINDINGS
    return USAGE if checked.count(Status.BROKEN) else CLEAN
