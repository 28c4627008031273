"""`hlfuzz run`: one call with typed arguments."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.cli.options import (
    ConfigOption,
    DeadlineOption,
    Engine,
    EngineOption,
    HostOption,
    JsonOption,
    Module,
    ResetLevel,
    StubOption,
    open_target,
)
from hlfuzz.cli.output import CLEAN, FINDINGS, console, errors_reported, print_json
from hlfuzz.cli.values import parse_value
from hlfuzz.cli.wasi import AllowOption, ArgOption, EnvOption, FileOption, StdinOption, WasiOption, wasi_of
from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.model import Call, CallRecord, Exited, ExternKind, FuncType, Ok, Outcome, Value
from hlfuzz.report import documents, terminal
from hlfuzz.sandbox.failures import COMMAND


def run(
    module: Module,
    function: Annotated[str, typer.Argument(help="The exported function.", show_default=False)],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGS…", help="Its arguments: -5, 0xff, 1.5, nan:0x400001, 0x0102… (v128)."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--bytes",
            help="File (- for standard input) given as the first two parameters, pointer and length.",
        ),
    ] = None,
    engine: EngineOption = Engine.AUTO,
    reset: Annotated[
        ResetLevel, typer.Option("--reset", help="What the reset after the call restores.")
    ] = ResetLevel.STRICT,
    trace: Annotated[
        bool, typer.Option("--trace", help="Print each call and host call with times and pages written.")
    ] = False,
    host: HostOption = None,
    stub_imports: StubOption = False,
    config: ConfigOption = None,
    wasi: WasiOption = False,
    wasi_arg: ArgOption = None,
    wasi_env: EnvOption = None,
    wasi_stdin: StdinOption = None,
    wasi_file: FileOption = None,
    wasi_allow: AllowOption = None,
    deadline: DeadlineOption = 1.0,
    core: Annotated[
        Path | None,
        typer.Option(
            "--core", help="Write the guest's state to this file when it traps or times out, for a debugger."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Call one exported function and print what it returns. Exit code 1 when the guest traps, times out, or
    exits with another code than 0."""
    with errors_reported(as_json):
        target = open_target(
            module,
            engine=engine,
            config=config,
            host=host,
            stub_imports=stub_imports,
            deadline=deadline,
            wasi=wasi_of(module, wasi, wasi_arg, wasi_env, wasi_stdin, wasi_file, wasi_allow),
        )
        call = Call(function, _arguments(target.guest, function, arguments or [], data))
        records: list[CallRecord] = []
        with target.open(reset=reset.value, trace=records.append, evidence=core is not None) as session:
            if core is not None and not session.is_kvm:
                raise UsageError("--core needs a micro-VM: leave --engine out, and see `hlfuzz doctor`")
            observation = session.single(call)
            used = session.box.engine
            activity = session.box.wasi if wasi else None
            evidence = session.box.evidence()
            if core is not None and evidence is not None:
                evidence.write_core(core)
        if as_json:
            written = core if evidence is not None else None
            print_json(documents.run(target.guest, used, records[0], observation, activity, written))
        else:
            if activity is not None:
                terminal.wasi(console(), activity)
            if trace:
                terminal.trace(console(), records[0])
            else:
                terminal.run(console(), observation)
            if evidence is not None:
                console().print(f"core  {terminal.printable(str(core))}", soft_wrap=True)
        raise typer.Exit(CLEAN if _succeeded(function, observation.outcome) else FINDINGS)


def _succeeded(function: str, outcome: Outcome) -> bool:
    return isinstance(outcome, Ok) or (function == COMMAND and outcome == Exited(0))


def _arguments(guest: Guest, function: str, texts: list[str], data: Path | None) -> tuple[Value, ...]:
    type_ = guest.export(function, ExternKind.FUNC).type
    assert isinstance(type_, FuncType)
    params = type_.params[2:] if data is not None else type_.params
    if len(texts) != len(params):
        after = " after the bytes" if data is not None else ""
        raise UsageError(
            f"{function} takes {len(params)} arguments{after}, {len(texts)} given: its type is {type_}"
        )
    values = tuple(parse_value(t, p, i) for i, (t, p) in enumerate(zip(texts, params, strict=True), 1))
    return values if data is None else (_read(data), *values)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the bytes ({path}): {error.strerror or error}") from error
