"""What comes from a guest cannot steer the terminal; documents carry their schema."""

from __future__ import annotations

import json

import pytest

from hlfuzz.model import HostError, Ok, Outcome, Timeout, Trap, Violation
from hlfuzz.report import documents, terminal


def test_control_characters_and_markup_of_a_guest_are_made_harmless() -> None:
    shown = terminal.printable("\x1b[31mred\x1b[0m [bold]x[/]\n\u202e")
    assert "\x1b" not in shown
    assert "\n" not in shown
    assert "\u202e" not in shown
    assert "\\[bold]" in shown


@pytest.mark.parametrize(
    "outcome",
    [Ok((1, 2.5, bytes(16))), Trap("unreachable"), Timeout(5), Violation("no"), HostError("env.f", "no")],
)
def test_every_outcome_has_a_document(outcome: Outcome) -> None:
    assert json.loads(json.dumps(documents.outcome(outcome)))["kind"]
