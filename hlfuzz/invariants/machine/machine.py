"""`SandboxMachine`: all the rules together."""

from __future__ import annotations

from hlfuzz.invariants.machine.dispatched import DispatchRules
from hlfuzz.invariants.machine.pools import PoolRules


class SandboxMachine(PoolRules, DispatchRules):
    """Any interleaving of opening, cloning, leasing, calling, failing, writing from outside, contexts,
    snapshots, resets, misuse, returns and closing agrees with a model in plain Python.

    A subclass chooses `engine`, `reset` and further `options` of `Sandbox`; its `TestCase` is what pytest and
    unittest run.
    """
