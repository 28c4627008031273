"""`Session`: one open sandbox whose host functions record, and the ways to run a case in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Literal

from hlfuzz.errors import CallFailed, HlfuzzError, UsageError
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.host import Recorder
from hlfuzz.invariants.observe import HostCall, Observation
from hlfuzz.invariants.typed import Typed
from hlfuzz.model import Call, ExternKind, HostError, Ok, Outcome, value_bits
from hlfuzz.sandbox import CallContext, Sandbox


class Session:
    """One open sandbox with its recorder. `calls` counts the guest calls made; `reset` is its level."""

    def __init__(
        self,
        box: Sandbox,
        recorder: Recorder,
        reset: Literal["strict", "memory"] = "memory",
        on_close: Callable[[Session], None] = lambda session: None,
        typed: Typed | None = None,
        on_call: Callable[[Call, Observation], None] = lambda call, seen: None,
    ) -> None:
        """`on_close` is called once, when it is closed, `on_call` after each call that is observed; `typed`
        is the schema that calls are made by."""
        self.box = box
        self._on_close = on_close
        self._on_call = on_call
        self.reset: Literal["strict", "memory"] = reset
        self.calls = 0
        self.recorder = recorder
        self._typed = typed
        self.asked_at_start = recorder.take()
        """Host calls of the start function when the sandbox was opened, which are none of the calls'."""
        # In-process a reset starts the guest anew, and what its start function asks of the host is none of
        # the call's.
        starts = box.guest.info.start or any(
            e.name == "_initialize" for e in box.guest.info.functions_exported
        )
        self.calls_host_on_reset = starts and bool(box.guest.info.functions_imported) and not self.is_kvm
        """Whether the guest's start function may call the host whenever the sandbox is reset."""

    def single(self, call: Call) -> Observation:
        """One call outside a context: the sandbox is reset right after it."""
        if self.calls_host_on_reset:
            return self.sequence((call,))[0]
        return self.observe(self.box, call)

    def sequence(self, calls: Sequence[Call]) -> tuple[Observation, ...]:
        """The calls in one context, which is finished after them.

        Ends early at a call that poisons the context.
        """
        seen: list[Observation] = []
        self.recorder.take()
        with self.box.context() as context:
            for call in calls:
                seen.append(self.observe(context, call))
                if not isinstance(seen[-1].outcome, Ok):
                    break
            context.finish()
        return tuple(seen)

    @property
    def is_typed(self) -> bool:
        """Are calls made by a schema?"""
        return self._typed is not None

    def perform(self, place: Sandbox | CallContext, call: Call) -> Outcome:
        """Make one call in this sandbox, or in an open context of it: by the schema where there is one."""
        self.calls += 1
        if self._typed is not None:
            return self._typed.perform(place, call)
        return place.try_call(call.function, *call.args)

    def observe(self, place: Sandbox | CallContext, call: Call) -> Observation:
        """`perform`, with the host calls that were made."""
        outcome = self.perform(place, call)
        self._check(outcome)
        seen = Observation(outcome, self.recorder.take())
        self._on_call(call, seen)
        return seen

    def take(self) -> tuple[HostCall, ...]:
        """Host calls since the last call was made: there should be none."""
        return self.recorder.take()

    def run(self, case: Case) -> tuple[Observation, ...]:
        """The case's calls, in a context or each alone, as the case says."""
        return self.sequence(case.calls) if case.context else tuple(self.single(c) for c in case.calls)

    def sequence_with_memory(self, calls: Sequence[Call]) -> tuple[tuple[Observation, ...], str]:
        """As `sequence`, and a digest of memory and globals before `finish()`; "" when a call poisoned the
        context."""
        seen: list[Observation] = []
        digest = ""
        self.recorder.take()
        with self.box.context() as context:
            for call in calls:
                seen.append(self.observe(context, call))
                if not isinstance(seen[-1].outcome, Ok):
                    break
            else:
                digest = self.state_digest()
            context.finish()
        return tuple(seen), digest

    @property
    def is_kvm(self) -> bool:
        """Does the guest run in a micro-VM?"""
        return self.box.engine == "kvm"

    @property
    def vm(self) -> Sandbox | None:
        """The sandbox as something that can be looked into; None in-process."""
        return self.box if self.is_kvm else None

    def memory_bytes(self) -> int:
        """Size of the default linear memory, 0 when none is exported."""
        return self.box.memory().size if self.box.guest.default_memory() else 0

    def memory_sizes(self) -> dict[str, int]:
        """Bytes of each exported memory, by name; a native guest, which may not read all of its own, has
        none."""
        info = self.box.guest.info
        exports = () if self.box.guest.kind == "elf" else info.exports
        return {e.name: self.box.memory(e.name).size for e in exports if e.kind is ExternKind.MEMORY}

    def writable(self) -> tuple[range, ...]:
        """Where the default memory may be written, by address: all of it, or a native guest's data, stack and
        heap; () when no memory is exported."""
        return self.box.memory().writable if self.box.guest.default_memory() else ()

    def write(self, data: bytes) -> bool:
        """Writes to the guest's memory from outside, and resets; False where there is no place for that."""
        if self.box.guest.kind == "elf":
            with self.box.context() as context:
                try:
                    context.place(data)
                except (CallFailed, UsageError):
                    return False
                finally:
                    context.finish()
            return True
        if self.memory_bytes() < len(data):
            return False
        self.box.memory().write(0, data)
        self.box.reset()
        return True

    def state_digest(self) -> str:
        """SHA-256 over every exported memory and global as they are now; a hash of all RAM of a native guest,
        which may not read all of its addresses."""
        if self.box.guest.kind == "elf":
            return f"{self.box.region_hash('all'):x}"
        digest = hashlib.sha256()
        for export in self.box.guest.info.exports:
            if export.kind is ExternKind.MEMORY:
                memory = self.box.memory(export.name)
                digest.update(memory.read(0, memory.size))
        globals_ = self.box.globals
        digest.update(b"".join(value_bits(globals_[name]) + b"\0" for name in globals_))
        return digest.hexdigest()

    def _check(self, outcome: Outcome) -> None:
        """Raise when a stand-in failed: that is no answer of anybody under test."""
        if isinstance(outcome, HostError) and outcome.function in self.recorder.stand_ins:
            raise HlfuzzError(
                f"the stand-in for {outcome.function} failed ({outcome.message}): please report this with "
                "the module"
            )

    def close(self) -> None:
        """Closes the sandbox; twice is fine."""
        if not self.box.is_closed:
            self._on_close(self)
        self.box.close()

    def discard(self) -> None:
        """Closes the sandbox whatever state it is in."""
        if not self.box.is_closed:
            self._on_close(self)
        self.box.discard()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
