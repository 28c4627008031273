"""Stateful testing with Hypothesis: sandboxes, contexts, pools and snapshots in any order, against a model.

Nothing else in hlfuzz imports this package, which loads Hypothesis.
"""

from __future__ import annotations

from hlfuzz.invariants.machine.machine import SandboxMachine

__all__ = ["SandboxMachine"]
