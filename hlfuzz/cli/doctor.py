"""`hlfuzz doctor`: can micro-VMs run here, how fast, and what to do where they cannot."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from hlfuzz.cli.calibrate import Figure, calibrate
from hlfuzz.cli.facts import versions
from hlfuzz.cli.machine import CpuFacts, KvmFacts, cpu_facts, kvm_facts, next_steps
from hlfuzz.cli.options import JsonOption
from hlfuzz.cli.output import CLEAN, ENVIRONMENT, console, errors_reported, print_json
from hlfuzz.report import terminal
from hlfuzz.sandbox import why_no_kvm
from hlfuzz.vmm import probe

SCHEMA: Final = "hlfuzz.doctor/1"


def doctor(
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the measurement.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which KVM is here, what is usable, CPU placement, speed, and how to fix what is missing."""
    with errors_reported(as_json):
        problem = why_no_kvm()
        kvm, cpus = kvm_facts(), cpu_facts()
        figures = [] if quick else [*([] if problem else calibrate("kvm")), *calibrate("inprocess")]
        steps = next_steps(kvm, cpus, problem)
        if as_json:
            print_json(_document(problem, kvm, cpus, figures, steps))
        else:
            _show(problem, kvm, cpus, figures, steps)
        raise typer.Exit(ENVIRONMENT if problem else CLEAN)


def _document(
    problem: str, kvm: KvmFacts, cpus: CpuFacts, figures: list[Figure], steps: tuple[str, ...]
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "usable": not problem,
        "problem": problem or None,
        "next_steps": list(steps),
        "kvm": dataclasses.asdict(kvm),
        "capabilities": dataclasses.asdict(probe()),
        "cpus": dataclasses.asdict(cpus),
        "calibration": [dataclasses.asdict(f) for f in figures],
        "versions": versions(),
    }


def _show(problem: str, kvm: KvmFacts, cpus: CpuFacts, figures: list[Figure], steps: tuple[str, ...]) -> None:
    out = console()
    verdict = f"[bold red]no[/]: {terminal.printable(problem)}" if problem else "[bold green]yes[/]"
    out.print(f"micro-VMs can run here: {verdict}", soft_wrap=True)
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_row("KVM", kvm.implementation or "no module loaded")
    facts.add_row("/dev/kvm", "missing" if not kvm.device else "usable" if kvm.readable else "no permission")
    for name, value in dataclasses.asdict(probe()).items():
        if name not in ("usable", "message"):
            facts.add_row(name.replace("_", " "), terminal.printable(str(value)))
    facts.add_row(
        "CPUs", f"{len(cpus.allowed)} of {cpus.online} allowed: {', '.join(map(str, cpus.allowed))}"
    )
    if cpus.siblings:
        facts.add_row("sharing a core", "; ".join(", ".join(map(str, s)) for s in cpus.siblings))
    for name, version in versions().items():
        facts.add_row(name, version)
    out.print(facts)
    if figures:
        out.print()
        out.print(_figures(figures))
    for figure in figures:
        if figure.problem:
            out.print(f"{figure.engine} {figure.reset}: {terminal.printable(figure.problem)}", soft_wrap=True)
    if steps:
        out.print("\nwhat to do:")
        for step in steps:
            out.print(f"  - {terminal.printable(step)}", soft_wrap=True)


def _figures(figures: list[Figure]) -> Table:
    table = Table(
        "call + reset", "reset", "transport", "p50 µs", "p99 µs", "open ms", box=None, pad_edge=False
    )
    for f in figures:
        if not f.problem:
            row = (f.engine, f.reset, f.transport or "-")
            table.add_row(*row, f"{f.p50_us:.1f}", f"{f.p99_us:.1f}", f"{f.opened_ms:.1f}")
    return table
