"""Options that say what a WASI guest is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hlfuzz.errors import UsageError
from hlfuzz.sandbox import Wasi
from hlfuzz.sandbox.wasi.abi import GROUPS

WasiOption = Annotated[
    bool,
    typer.Option(
        "--wasi",
        help="The guest is built for WASI: give it what the options --wasi-… say, and all groups of "
        "functions unless --wasi-allow names some. None of them reaches this machine.",
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wasi-allow",
        metavar="GROUP",
        show_default="all",
        help=f"Allow only this group of functions, of {', '.join(GROUPS)}, and those of what other options "
        "--wasi-… give. May be repeated.",
    ),
]
ArgOption = Annotated[
    list[str] | None,
    typer.Option("--wasi-arg", help="An argument of its command line, after its name. May be repeated."),
]
EnvOption = Annotated[
    list[str] | None,
    typer.Option("--wasi-env", metavar="NAME=VALUE", help="An environment variable. May be repeated."),
]
StdinOption = Annotated[Path | None, typer.Option("--wasi-stdin", help="File with its standard input.")]
FileOption = Annotated[
    list[str] | None,
    typer.Option(
        "--wasi-file", metavar="PATH=FILE", help="A file of its read-only directory. May be repeated."
    ),
]


def wasi_of(
    module: Path,
    enabled: bool,
    args: list[str] | None,
    environ: list[str] | None,
    stdin: Path | None,
    files: list[str] | None,
    allow: list[str] | None,
) -> Wasi | None:
    """What the options give; None without --wasi. Raises `UsageError`: an option without --wasi, one that is
    no pair, a file that cannot be read, an unknown group."""
    if not enabled:
        if args or environ or stdin or files or allow:
            raise UsageError("an option --wasi-… without --wasi: add --wasi")
        return None
    groups = "all" if not allow or allow == ["all"] else allow
    named = bool(args) or groups == "all" or "args" in groups
    return Wasi(
        [module.name, *(args or ())] if named else (),
        dict(_pair("--wasi-env", text) for text in environ or ()),
        stdin=b"" if stdin is None else _content("--wasi-stdin", stdin),
        files={
            path: _content("--wasi-file", Path(file))
            for path, file in (_pair("--wasi-file", text) for text in files or ())
        },
        allow=groups,
    )


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"no = in {option} {text!r}: write NAME=VALUE")
    return name, value


def _content(option: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the file of {option} ({path}): {error.strerror or error}") from error
