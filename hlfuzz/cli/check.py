"""`hlfuzz check`: which invariants hold for a module, and who is to blame where one does not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hlfuzz.cli.facts import facts
from hlfuzz.cli.options import (
    ConfigOption,
    CorpusOption,
    DeadlineOption,
    Engine,
    EngineOption,
    HostOption,
    JsonOption,
    MethodOption,
    SeedOption,
    StoreOption,
    StubOption,
    open_target,
    store_folder,
)
from hlfuzz.cli.output import CLEAN, FINDINGS, USAGE, console, errors_reported, print_json
from hlfuzz.durations import seconds
from hlfuzz.errors import EnvironmentProblem, UsageError
from hlfuzz.files import write_file
from hlfuzz.fuzz import SavedFinding, Store
from hlfuzz.fuzz import check as run_check
from hlfuzz.invariants import INVARIANTS, Invariant, Row, Status, Target, choose
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
    module: Annotated[
        Path | None,
        typer.Argument(help="A Wasm module (.wasm) or a native guest (ELF).", show_default=False),
    ] = None,
    time: Annotated[str, typer.Option("--time", help="Time for all checkers together: 10s, 2m.")] = "10s",
    invariant: Annotated[
        list[str] | None, typer.Option("--invariant", help="Check only this one. May be repeated.")
    ] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Show the invariants and what they promise, and check nothing.")
    ] = False,
    html_file: HtmlOption = None,
    sarif_file: SarifOption = None,
    junit_file: JunitOption = None,
    engine: EngineOption = Engine.AUTO,
    require_kvm: Annotated[
        bool, typer.Option("--require-kvm", help="Exit code 3 where micro-VMs cannot run.")
    ] = False,
    host: HostOption = None,
    stub_imports: StubOption = False,
    config: ConfigOption = None,
    corpus: CorpusOption = None,
    method: MethodOption = None,
    deadline: DeadlineOption = 0.5,
    seed: SeedOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the invariants of platform and guest over generated calls.

    Exit code 1: an invariant is violated. 2: a checker failed itself. Without KVM, what needs a micro-VM is
    not applicable.
    """
    with errors_reported(as_json):
        chosen = choose(invariant or INVARIANTS, "--invariant")
        if listed:
            _list(chosen, as_json)
        if module is None:
            raise UsageError("nothing to check (MODULE): give a Wasm module or a native guest")
        if require_kvm:
            _require_kvm(engine)
        number = random.SystemRandom().getrandbits(32) if seed is None else seed
        with open_target(
            module,
            engine=engine,
            config=config,
            host=host,
            stub_imports=stub_imports,
            deadline=deadline,
            corpus=corpus,
            methods=method,
        ) as target:
            kept = Store(store_folder(store, module))
            rows = run_check(target, chosen, kept, seconds=seconds(time), seed=number)
            _write_tests(target, rows, number, module)
            checked = gather(target, rows, seed=number, module=module, environment=facts(target))
        _write_reports(checked, html_file, sarif_file, junit_file)
        if as_json:
            print_json(documents.check(checked))
        else:
            terminal.check(console(), checked)
        raise typer.Exit(_exit_code(checked))


def _list(chosen: list[Invariant], as_json: bool) -> NoReturn:
    if as_json:
        print_json(documents.invariants(chosen))
    else:
        terminal.invariants(console(), chosen)
    raise typer.Exit(CLEAN)


def _require_kvm(engine: Engine) -> None:
    if engine is Engine.INPROCESS:
        raise UsageError("--require-kvm and --engine inprocess exclude each other: leave one out")
    if reason := why_no_kvm():
        raise EnvironmentProblem(f"micro-VMs cannot run here (--require-kvm): {reason}", reason="no-kvm")


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
