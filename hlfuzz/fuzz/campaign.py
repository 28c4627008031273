"""A campaign: fuzzes one target for a time, with its corpus and findings kept in a store."""

from __future__ import annotations

import random
import signal
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Final, Protocol

from hlfuzz.errors import UsageError
from hlfuzz.fuzz.executor import Executor
from hlfuzz.fuzz.finding import SavedFinding
from hlfuzz.fuzz.store import Store
from hlfuzz.fuzz.triage import Triage
from hlfuzz.invariants import Case, Fault, Target
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.inputs.mutate import MAX_INPUT_BYTES
from hlfuzz.invariants.inputs.source import Inputs

HYPOTHESIS_BATCH: Final = 50
"""Cases that Hypothesis draws at a time: about a tenth of a second."""

HYPOTHESIS_SHARE: Final = 0.1
"""Share of the time that Hypothesis gets for drawing; the mutator makes cases far faster."""

SINGLE_SHARE: Final = 0.7
SEQUENCE_SHARE: Final = 0.2
"""Shares of the cases that are single calls and sequences; what is left are pairs of tenants."""

PROGRESS_SECONDS: Final = 0.5
PLATFORM_SECONDS: Final = 1.0
"""How often the platform's invariants are checked on the case at hand."""

MAX_POOL: Final = 4096


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a campaign stands. `executions` are guest calls, `corpus` inputs; seconds of wall time."""

    seconds: float
    executions: int
    cases: int
    corpus: int
    findings: int
    unconfirmed: int

    @property
    def exec_per_s(self) -> float:
        """Guest calls per second of wall time."""
        return self.executions / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Summary:
    """What a campaign did. `interrupted`: it was stopped by SIGINT, and everything until then is kept."""

    progress: Progress
    findings: tuple[SavedFinding, ...]
    seed: int
    engine: str
    interrupted: bool


class Listener(Protocol):
    """Is told what happens while it happens."""

    def progress(self, progress: Progress) -> None:
        """Called about twice a second."""

    def found(self, finding: SavedFinding) -> None:
        """Called for each new finding, after it was saved."""


class Campaign:
    """Fuzzes `target` and keeps inputs and findings in `store`; the same `seed` starts with the same cases.

    Raises: UsageError when the interface has no method to call.
    """

    def __init__(self, target: Target, store: Store, listener: Listener, *, seed: int | None = None) -> None:
        if not target.interface.methods:
            raise UsageError(
                "the module exports no function that can be fuzzed, only runtime functions or reference types"
            )
        self.seed = random.SystemRandom().getrandbits(32) if seed is None else seed
        self._rng = random.Random(self.seed)
        self._target = target
        self._store = store
        self._listener = listener
        self._pool = [s[:MAX_INPUT_BYTES] for s in dict.fromkeys((*target.seeds, *store.inputs()))][:MAX_POOL]
        self._triage = Triage(target, store, seed=self.seed)
        self._executor = Executor(target)
        inputs = Inputs(self._rng, dictionary=target.guest.dictionary, pool=self._pool)
        self._generator = Generator(target.interface, self._rng, inputs)
        self._cases = 0
        self._interrupted = False
        self._started = 0.0
        self._drawing = 0.0

    def run(self, seconds: float) -> Summary:
        """Fuzzes for that long. KeyboardInterrupt ends it early, with the normal summary."""
        self._started = time.monotonic()
        interrupted = False
        main = threading.current_thread() is threading.main_thread()
        held = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if held:
            signal.signal(signal.SIGINT, self._on_interrupt)
        try:
            self._executor.warm_up()
            self._loop(self._started + seconds)
        except KeyboardInterrupt:
            interrupted = True
        finally:
            if held:
                signal.signal(signal.SIGINT, signal.default_int_handler)
        engine = "kvm" if self._target.session().is_kvm else "inprocess"
        findings = tuple(self._triage.findings.values())
        return Summary(self._progress(), findings, self.seed, engine, interrupted)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """Ctrl-C ends the campaign after the case that runs, not inside it: an exception in the middle of an
        engine's clean-up can free a native object twice. A second one is raised at once."""
        if self._interrupted:
            signal.default_int_handler(number, frame)
        self._interrupted = True

    def _loop(self, end: float) -> None:
        self._first_pass(end)
        next_progress = next_platform = 0.0
        while (now := time.monotonic()) < end:
            if self._drawing < HYPOTHESIS_SHARE * (now - self._started):
                self._hypothesis(end)
            self._run(self._next_case())
            if now >= next_progress:
                self._listener.progress(self._progress())
                next_progress = now + PROGRESS_SECONDS
            if now >= next_platform:
                for fault in self._executor.platform_faults(self._generator):
                    self._handle(fault)
                next_platform = now + PLATFORM_SECONDS

    def _first_pass(self, end: float) -> None:
        """Every seed once as it is, for each method that takes one: what is there must be known before it is
        mutated."""
        for case in self._executor.seed_cases(tuple(self._pool)):
            if time.monotonic() >= end:
                return
            self._run(case)

    def _hypothesis(self, end: float) -> None:
        # Imported here: Hypothesis takes a fifth of a second to load, which no other command should pay.
        from hlfuzz.fuzz.strategies import batch

        start = time.monotonic()
        drawn = batch(
            self._target.interface, tuple(self._pool[:64]), self._rng.getrandbits(64), HYPOTHESIS_BATCH
        )
        self._drawing += time.monotonic() - start
        for case in drawn:
            if time.monotonic() >= end:
                return
            self._run(case)

    def _next_case(self) -> Case:
        """Mostly single calls, which are cheapest; then sequences, then pairs of tenants if there are any."""
        kind = self._rng.random()
        case = None
        if kind >= SINGLE_SHARE:
            sequence = kind < SINGLE_SHARE + SEQUENCE_SHARE
            case = self._generator.sequence(judged=True) if sequence else self._generator.tenants()
        return case or self._generator.single()

    def _run(self, case: Case) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._cases += 1
        judged = self._executor.judge(case)
        for data in judged.novel:
            if len(self._pool) < MAX_POOL:
                self._pool.append(data)
                self._store.add_input(data)
        if judged.fault is not None:
            self._handle(judged.fault)

    def _handle(self, fault: Fault) -> None:
        saved = self._triage.handle(fault)
        if saved is not None:
            self._listener.found(saved)

    def _progress(self) -> Progress:
        return Progress(
            seconds=time.monotonic() - self._started,
            executions=self._target.calls,
            cases=self._cases,
            corpus=len(self._pool),
            findings=len(self._triage.findings),
            unconfirmed=self._triage.unconfirmed,
        )
