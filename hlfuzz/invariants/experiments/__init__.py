"""Experiments: fixed sequences on a guest of our own, by which a checker tries what the guest under test may
never do."""

from __future__ import annotations
