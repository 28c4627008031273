"""Campaigns: generate, run, judge, triage, keep, replay."""

from __future__ import annotations

from hlfuzz.fuzz.assertion import assert_holds, calls_text, fault_text
from hlfuzz.fuzz.campaign import Campaign, Listener, Progress, Summary
from hlfuzz.fuzz.check import check
from hlfuzz.fuzz.finding import Replay, SavedFinding, load, save
from hlfuzz.fuzz.replay import Replayed, Runs, replay, steps_of
from hlfuzz.fuzz.store import Store
from hlfuzz.fuzz.triage import judge_of

__all__ = [
    "Campaign",
    "Listener",
    "Progress",
    "Replay",
    "Replayed",
    "Runs",
    "SavedFinding",
    "Store",
    "Summary",
    "assert_holds",
    "calls_text",
    "check",
    "fault_text",
    "judge_of",
    "load",
    "replay",
    "save",
    "steps_of",
]
