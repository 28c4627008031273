"""Options that several commands share, and the target that they describe."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    Config,
    Interface,
    Target,
    find_config,
    load_config,
    parse_host_option,
    read_seeds,
    refuse_missing,
)
from hlfuzz.invariants.describe import describe_guest
from hlfuzz.sandbox import Wasi

DEFAULT_STORE: Final = Path(".hlfuzz")


class Engine(StrEnum):
    """Where the guest runs."""

    AUTO = "auto"
    KVM = "kvm"
    INPROCESS = "inprocess"


class ResetLevel(StrEnum):
    """What a reset restores."""

    STRICT = "strict"
    MEMORY = "memory"


Module = Annotated[
    Path, typer.Argument(help="A Wasm module (.wasm) or a native guest (ELF).", show_default=False)
]
EngineOption = Annotated[
    Engine, typer.Option("--engine", help="kvm, inprocess, or auto: kvm where it is usable.")
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document (docs/json.md) instead of text.")
]
HostOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        metavar="MODULE.NAME=MODE",
        help="Stand in for a host function: it records the call and returns zeros. MODE is record, or bytes "
        "when its first two parameters are pointer and length of a buffer. May be repeated.",
    ),
]
StubOption = Annotated[
    bool, typer.Option("--stub-imports", help="Stand in for every import that nothing else provides.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Configuration of the interface; hlfuzz.toml beside the module when left out."
    ),
]
CorpusOption = Annotated[
    list[Path] | None, typer.Option("--corpus", help="Folder of seed inputs, one file each. May be repeated.")
]
StoreOption = Annotated[
    Path | None,
    typer.Option("--store", help="Folder for corpus and findings; .hlfuzz/<module> when left out."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", help="Number that random choices start from.")]
MethodOption = Annotated[
    list[str] | None, typer.Option("--method", help="Call only this exported function. May be repeated.")
]
SchemaOption = Annotated[
    Path | None,
    typer.Option(
        "--schema",
        metavar="FILE",
        help="Schema of the interface (.fbs, .proto, .toml): makes typed calls, and answers host functions.",
    ),
]
IncludeOption = Annotated[
    list[Path] | None, typer.Option("--include", help="A folder with included schemas. May be repeated.")
]
DeadlineOption = Annotated[float, typer.Option("--deadline", help="CPU time of one call, in seconds.")]


def interface_of(
    guest: Guest,
    module: Path,
    config: Path | None,
    host: list[str] | None,
    stub_imports: bool,
    methods: list[str] | None = None,
    schema: Path | None = None,
) -> Interface:
    """The interface by its schema or the module's signature, its configuration and the command line."""
    found = config or find_config(module)
    read = load_config(found) if found is not None else Config()
    modes = dict(parse_host_option(text) for text in host or [])
    if schema is not None:
        read = replace(read, schema=schema)
    return describe_guest(guest, read, only=tuple(methods or ()), host=modes, stub_imports=stub_imports)


def open_target(
    module: Path,
    *,
    engine: Engine,
    config: Path | None,
    host: list[str] | None,
    stub_imports: bool,
    deadline: float,
    corpus: list[Path] | None = None,
    methods: list[str] | None = None,
    wasi: Wasi | None = None,
    schema: Path | None = None,
) -> Target:
    """Loads the module and everything that is needed to call it.

    Raises: ModuleError, UsageError; also when an import has no provider.
    """
    if not 0 < deadline <= 3600:
        raise UsageError(f"--deadline {deadline} is out of range: give seconds, above 0 and up to 3600")
    guest = Guest.load(module)
    interface = interface_of(guest, module, config, host, stub_imports, methods, schema)
    refuse_missing(guest.info, interface, wasi=wasi is not None)
    seeds = [seed for folder in corpus or [] for seed in read_seeds(folder)]
    return Target(guest, interface, engine=engine.value, deadline=deadline, seeds=seeds, wasi=wasi)


def store_folder(store: Path | None, module: Path) -> Path:
    """Where a campaign on this module is kept."""
    return store or DEFAULT_STORE / module.stem
