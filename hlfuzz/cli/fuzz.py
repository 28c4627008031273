"""`hlfuzz fuzz`: runs a campaign, keeps corpus and findings, and sums it up."""

from __future__ import annotations

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
    SchemaOption,
    SeedOption,
    StoreOption,
    StubOption,
    open_target,
    store_folder,
)
from hlfuzz.cli.output import CLEAN, FINDINGS, console, error_console, errors_reported, print_json
from hlfuzz.durations import seconds
from hlfuzz.fuzz import Campaign, Store
from hlfuzz.report import PlainProgress, RichProgress, documents, terminal, write_test


def fuzz(
    module: Module,
    time: Annotated[str, typer.Option("--time", help="How long: 30s, 10m, 2h.")] = "30s",
    engine: EngineOption = Engine.AUTO,
    host: HostOption = None,
    stub_imports: StubOption = False,
    config: ConfigOption = None,
    schema: SchemaOption = None,
    corpus: CorpusOption = None,
    method: MethodOption = None,
    deadline: DeadlineOption = 0.2,
    seed: SeedOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fuzz a module: single calls, sequences with and without a call context, pairs of tenants."""
    with errors_reported(as_json):
        budget = seconds(time)
        with open_target(
            module,
            engine=engine,
            config=config,
            host=host,
            stub_imports=stub_imports,
            deadline=deadline,
            corpus=corpus,
            methods=method,
            schema=schema,
        ) as target:
            # Beside a JSON document, progress goes to standard error.
            shown = error_console() if as_json else console()
            listener = RichProgress(shown, budget) if shown.is_terminal else PlainProgress(shown, budget)
            campaign = Campaign(target, Store(store_folder(store, module)), listener, seed=seed)
            with listener:
                summary = campaign.run(budget)
            for finding in summary.findings:
                write_test(finding, target, seed=summary.seed, module=module)
        if as_json:
            print_json(documents.fuzz(target.guest, summary))
        else:
            terminal.fuzz(console(), summary, target.call_text)
        raise typer.Exit(FINDINGS if summary.findings else CLEAN)
