"""A clock for campaigns: time passes with their cases, as many on a busy machine as on an idle one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

CASES_A_SECOND = 500
"""How many looks at the clock are one second of a campaign, which looks once a case."""
SHARE_OF_DRAWING = 1 / 500
"""Drawing takes one look too, whatever it costs: so Hypothesis makes about a tenth of the cases."""


def count_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one second of a campaign mean so many cases, until the test ends."""
    looks = iter(range(1 << 62))
    clock = SimpleNamespace(monotonic=lambda: next(looks) / CASES_A_SECOND)
    monkeypatch.setattr("hlfuzz.fuzz.campaign.time", clock)
    monkeypatch.setattr("hlfuzz.fuzz.campaign.HYPOTHESIS_SHARE", SHARE_OF_DRAWING)
