"""Campaigns: generate, run, judge, triage, keep, replay."""

from __future__ import annotations

from hlfuzz.fuzz.campaign import Campaign, Listener, Progress, Summary
from hlfuzz.fuzz.check import check
from hlfuzz.fuzz.finding import Replay, SavedFinding, load, save
from hlfuzz.fuzz.replay import Replayed, replay
from hlfuzz.fuzz.store import Store

__all__ = [
    "Campaign",
    "Listener",
    "Progress",
    "Replay",
    "Replayed",
    "SavedFinding",
    "Store",
    "Summary",
    "check",
    "load",
    "replay",
    "save",
]
