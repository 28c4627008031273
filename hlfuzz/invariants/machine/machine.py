"""`SandboxMachine`: all the rules together."""

from __future__ import annotations

from hlfuzz.invariants.machine.boxes import BoxRules
from hlfuzz.invariants.machine.calls import CallRules


class SandboxMachine(BoxRules, CallRules):
    """Any interleaving of opening, cloning, leasing, calling, failing, writing from outside, contexts,
    snapshots, resets, misuse, returns and closing agrees with a model in plain Python.

    A subclass chooses `engine`, `reset` and further `options` of `Sandbox`; its `TestCase` is what pytest and
    unittest run.
    """
