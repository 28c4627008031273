"""How a command speaks: text for people, one JSON document for programs, one message for an error."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Final

import typer
from rich.console import Console

from hlfuzz.errors import EnvironmentProblem, HlfuzzError
from hlfuzz.report import documents, terminal
from hlfuzz.schema.diagnostics import SchemaError

CLEAN: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
ENVIRONMENT: Final = 3
INTERRUPTED: Final = 130
"""128 + SIGINT, as shells have it; only for commands that have nothing to keep."""


def console() -> Console:
    """Standard output for people."""
    return Console(highlight=False, emoji=False)


def error_console() -> Console:
    """Standard error: progress beside a JSON document, and errors."""
    return Console(stderr=True, highlight=False, emoji=False)


def print_json(document: dict[str, Any]) -> None:
    """The document on standard output."""
    typer.echo(json.dumps(document, indent=1))


def _show_warning(message: Warning | str, *_: object) -> None:
    error_console().print(f"[yellow]warning[/]: {terminal.printable(str(message))}", soft_wrap=True)


@contextmanager
def errors_reported(as_json: bool) -> Generator[None]:
    """Turns errors of the tool into one message and an exit code; with `as_json` into a document.

    Warnings go to standard error as one line each.
    """
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    except HlfuzzError as error:
        code = ENVIRONMENT if isinstance(error, EnvironmentProblem) else USAGE
        if as_json:
            print_json(documents.error(str(error), type(error).__name__, code))
        else:
            # Schema errors are many, each with its line and a caret.
            lines = str(error).split("\n") if isinstance(error, SchemaError) else [f"error: {error}"]
            for line in lines:
                text = terminal.printable(line).replace("error: ", "[bold red]error[/]: ", 1)
                error_console().print(text, soft_wrap=True)
        raise typer.Exit(code) from None
    except KeyboardInterrupt:
        error_console().print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader has gone: what is still in the buffer must not raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(CLEAN) from None
