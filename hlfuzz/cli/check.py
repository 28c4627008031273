"""`hlfuzz check`: which invariants hold for a module, and who is to blame where one does not."""

from __future__ import annotations

import random
from typing import Annotated

import typer

from hlfuzz.cli.options import (
    ConfigOption,
    CorpusOption,
    DeadlineOption,
    Engine,
    EngineOption,
    HostOption,
    JsonOption,
    MethodOption,
    Module,
    SeedOption,
    StoreOption,
    StubOption,
    open_target,
    store_folder,
)
from hlfuzz.cli.output import CLEAN, FINDINGS, console, errors_reported, print_json
from hlfuzz.durations import seconds
from hlfuzz.fuzz import Store
from hlfuzz.fuzz import check as run_check
from hlfuzz.invariants import INVARIANTS, Status, choose
from hlfuzz.report import documents, terminal


def check(
    module: Module,
    time: Annotated[str, typer.Option("--time", help="Time for all checkers together: 10s, 2m.")] = "10s",
    invariant: Annotated[
        list[str] | None, typer.Option("--invariant", help="Check only this one. May be repeated.")
    ] = None,
    engine: EngineOption = Engine.AUTO,
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
    """Check the invariants of platform and guest over generated calls."""
    with errors_reported(as_json):
        chosen = choose(invariant or INVARIANTS, "--invariant")
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
            used = "kvm" if target.session().is_kvm else "inprocess"
            rows = run_check(
                target, chosen, Store(store_folder(store, module)), seconds=seconds(time), seed=number
            )
        if as_json:
            print_json(documents.check(target.guest, used, number, rows))
        else:
            terminal.check(console(), rows)
        raise typer.Exit(FINDINGS if any(r.verdict.status is Status.VIOLATED for r in rows) else CLEAN)
