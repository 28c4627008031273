"""A check as one HTML page that needs nothing else: no script, no request, fit for print and phones."""

from __future__ import annotations

import base64
import hashlib
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hlfuzz.invariants import Status
from hlfuzz.report.checked import Checked
from hlfuzz.report.text import visible

if TYPE_CHECKING:
    from jinja2 import Template

BRIEF: Final = 240
"""Characters of a name or title; evidence and calls are shown at greater length."""

_SIGNS: Final = {
    Status.HELD: "✓",
    Status.VIOLATED: "✗",
    Status.NOT_APPLICABLE: "–",
    Status.INCONCLUSIVE: "?",
    Status.BROKEN: "!",
}
"""Beside the word, so that nothing depends on colour."""


def render(check: Checked) -> str:
    """The page. Every text is escaped, and what is invisible in it shown as a code; the page's own policy
    forbids scripts and requests."""
    from markupsafe import Markup

    css = _css()
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    return _template().render(
        check=check,
        counts=[(status, count) for status in Status if (count := check.count(status))],
        facts=_facts(check),
        css=Markup(css),
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        quote=_shell_word,
        brief=_brief,
        SIGNS=_SIGNS,
    )


def _shell_word(path: Path) -> str:
    return shlex.quote(str(path))


def _facts(check: Checked) -> list[tuple[str, str]]:
    return [
        ("File", str(check.module) if check.module else "from memory"),
        ("SHA-256", check.sha256),
        ("Size", f"{check.size:,} bytes"),
        ("Engine", check.engine),
        ("Seed", str(check.seed)),
        ("Time", f"{check.seconds:.1f} s"),
    ]


@cache
def _css() -> str:
    return (Path(__file__).with_name("templates") / "check.css").read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).with_name("templates")
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, finalize=_finalize
    )
    return environment.get_template("check.html.j2")


def _brief(text: object) -> str:
    return visible(str(text), BRIEF)


def _finalize(value: object) -> object:
    """Every value on its way into the page: plain text is made visible; what is escaped already stays."""
    return visible(value) if type(value) is str else value
