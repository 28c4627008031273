"""`LeasedSandbox`: a sandbox of a pool for the time of one lease."""

from __future__ import annotations

from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Final

from hlfuzz.errors import UsageError
from hlfuzz.sandbox.box import Sandbox
from hlfuzz.sandbox.gate import LentGate
from hlfuzz.sandbox.pool.slot import Slot

if TYPE_CHECKING:
    from hlfuzz.sandbox.pool.pool import Pool


new_gate: Final = LentGate.__new__


class LeasedSandbox(Sandbox):
    """A `Sandbox` in every way, for the thread that leased it, until it goes back to its pool.

    That is at the end of its `with` block, or by `Pool.release`. After it this object, and contexts and views
    made of it, raise `SandboxClosed`, whoever has the sandbox then.
    """

    def __init__(self, pool: Pool, slot: Slot, now_ns: int) -> None:
        self.pool = pool
        """Where it belongs."""
        self.slot = slot
        """Its place in the pool."""
        ident = get_ident()
        slot.gate = gate = new_gate(LentGate)
        gate.owner = gate.box = ident
        slot.since_ns = now_ns
        slot.box.hand_to(self, gate)

    def is_spotless(self) -> bool:
        """Whether this thread may give it back as it is: no call or context is open, nothing went wrong, and
        it is at its snapshot."""
        engine = self._engine
        return (
            self._gate.box == get_ident()
            and not engine.troubled
            and self._lane is None
            and engine.is_clean() != 0
        )

    def settle(self) -> bool:
        """Make ready for its return: end an open context. True when there was one. Raises what keeps this
        thread from giving it back."""
        self._gate.check_idle()
        if self._context is None:
            return False
        self._context.finish()
        return True

    def close(self) -> None:
        """Not for the holder of a lease: raises `UsageError`, unless it went back already."""
        if not self._gate.is_closed:
            raise UsageError(
                f"sandbox belongs to a pool ({self._guest.name}): leave its `with` block, or pool.release(it)"
            )

    def __enter__(self) -> LeasedSandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        engine = self._engine
        # `is_spotless`, without a call
        if (
            self._gate.box == get_ident()
            and not engine.troubled
            and self._lane is None
            and engine.is_clean() != 0
        ):
            self.pool.take_back(self.slot)
        elif not self._gate.is_closed:
            self.pool.put_back(self, failed=error is not None)
