"""Takes all rows in order and prints them, as a table or as JSON."""

from __future__ import annotations

import json as json_module
import os
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from hlfuzz.bench import (
    api,
    checks,
    compare,
    dispatch,
    many,
    native,
    peer,
    pool,
    roundtrip,
    schema,
    snapshots,
    startup,
    vm,
    wasi,
)
from hlfuzz.bench.machines import artifact_cache, booted, compiled, pinned
from hlfuzz.bench.row import Row
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.vmm import probe

SCHEMA: Final = "hlfuzz.bench/1"


def run(*, json: bool, quick: bool) -> int:
    """Measure and print. 0: every promise kept, 1: a row was missed. Raises `EnvironmentProblem`."""
    found = probe()
    if not found.usable:
        raise EnvironmentProblem(f"{found.message} (hlfuzz bench)", reason="no-kvm")
    rows: list[Row] = []
    console = Console(stderr=True)
    with console.status("measuring; leave the machine alone") as status:
        for row in _rows(quick):
            rows.append(row)
            status.update(f"measured: {row.name}")
    if json:
        print(
            json_module.dumps(
                {"schema": SCHEMA, "cpus": os.cpu_count(), "rows": [row.document() for row in rows]}
            )
        )
    else:
        _print(rows)
    return int(any(row.ok is False for row in rows))


def _rows(quick: bool) -> Iterator[Row]:
    rounds, block = (5, 500) if quick else (20, 1000)
    with pinned() as vcpu, artifact_cache() as cache:
        template = booted(compiled(cache))
        yield from vm.floors(template, vcpu, block * rounds)
        count_us = 0.0
        for row in vm.calls(template, vcpu, rounds, block):
            count_us = row.p50 if row.name.startswith("count") else count_us
            yield row
        yield vm.strict(template, rounds, block // 2)
        yield from compare.rows(template, block // 2)
        yield native.echo(rounds, block // 2)
        yield from api.rows(vcpu, rounds, block)
        yield from checks.rows(rounds, block)
        yield pool.row(vcpu, rounds, block)
        yield from roundtrip.rows(vcpu, rounds, block, lambda: vm.exchange(template, vcpu))
        yield from dispatch.rows(rounds, block // 4)
        yield from schema.rows(20 if quick else 100)
        yield startup.fresh(cache, 20 if quick else 100)
        yield startup.clone(template, 20 if quick else 100)
        yield startup.resident(template)
        yield from many.rows(template, many.COUNT // 10 if quick else many.COUNT)
        yield from snapshots.rows(cache, 10 if quick else 50)
        hello = wasi.hello(5 if quick else 30)
        if hello is not None:
            yield hello
        yield vm.endless_loop(template, 10 if quick else 30)
        yield from vm.page_costs(template, vcpu, block * rounds // 4)
        against = peer.row(count_us, block * rounds)
        if against is not None:
            yield against


def _print(rows: list[Row]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("figure", "p50", "p99", "unit", "floor", "peer", "ratio", "target", ""):
        table.add_column(column, justify="left" if column in ("figure", "unit", "target", "") else "right")

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:,.2f}" if value < 100 else f"{value:,.0f}"

    for row in rows:
        verdict = {None: "", True: "[green]ok[/]", False: "[red]missed[/]"}[row.ok]
        table.add_row(
            row.name,
            number(row.p50),
            number(row.p99),
            row.unit,
            number(row.floor),
            number(row.peer),
            number(row.ratio),
            row.target,
            verdict,
        )
    Console(width=None if Console().is_terminal else 160).print(table)
