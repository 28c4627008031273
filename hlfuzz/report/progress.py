"""Shows a campaign while it runs: one renewed line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from hlfuzz.fuzz import Progress, SavedFinding

PLAIN_SECONDS: Final = 5.0


def progress_text(progress: Progress, seconds: float) -> str:
    """One line: time, executions and their rate, corpus, findings."""
    return (
        f"{progress.seconds:5.1f} / {seconds:g} s   {progress.executions:,} executions "
        f"({progress.exec_per_s:,.0f}/s)   "
        f"corpus {progress.corpus:,}   findings {progress.findings}"
    )


def _found_text(finding: SavedFinding) -> str:
    fault = finding.fault
    name = escape(fault.invariant or fault.kind)
    return f"[bold red]finding[/] {name} ({fault.subject}): {escape(fault.title)}"


class RichProgress:
    """For terminals. Use it as a context manager around the campaign."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._seconds = seconds
        self._live = Live(Text("starting"), console=console, refresh_per_second=4, transient=True)

    def progress(self, progress: Progress) -> None:
        """Renews the line."""
        self._live.update(Text(progress_text(progress, self._seconds)))

    def found(self, finding: SavedFinding) -> None:
        """Prints the finding above the line."""
        self._live.console.print(_found_text(finding), highlight=False)

    def __enter__(self) -> RichProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.stop()


class PlainProgress:
    """For files and pipes: findings at once, progress every few seconds. Silent when `console` is quiet."""

    def __init__(self, console: Console, seconds: float) -> None:
        self._console = console
        self._seconds = seconds
        self._next = PLAIN_SECONDS

    def progress(self, progress: Progress) -> None:
        """Prints a line when the last one is some seconds old."""
        if progress.seconds >= self._next:
            self._next = progress.seconds + PLAIN_SECONDS
            self._console.print(progress_text(progress, self._seconds), highlight=False, soft_wrap=True)

    def found(self, finding: SavedFinding) -> None:
        """Prints the finding."""
        self._console.print(_found_text(finding), highlight=False, soft_wrap=True)

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *error: object) -> None:
        return
