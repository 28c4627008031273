"""A quick measurement: what one call and its reset cost here, by engine and reset level."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Final, Literal

from hlfuzz.errors import HlfuzzError
from hlfuzz.guest import Guest
from hlfuzz.sandbox import EngineName, Sandbox

CALLS: Final = 2000

# (module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
_ADD: Final = bytes.fromhex(
    "0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b"
)


@dataclass(frozen=True, slots=True)
class Figure:
    """Time of one Python call of `add(1, 2)` with its reset, in µs; `opened_ms` is the time to open a
    sandbox."""

    engine: str
    reset: str
    transport: str
    p50_us: float
    p99_us: float
    opened_ms: float
    problem: str = ""


def calibrate(engine: EngineName) -> list[Figure]:
    """Measures both reset levels. A level that fails is reported with its problem and no figures."""
    levels: tuple[Literal["memory", "strict"], ...] = ("memory", "strict") if engine == "kvm" else ("strict",)
    return [_measure(engine, reset) for reset in levels]


def _measure(engine: EngineName, reset: Literal["memory", "strict"]) -> Figure:
    try:
        guest = Guest.from_wasm(_ADD, name="add")
        start = time.perf_counter()
        with Sandbox(guest, engine=engine, reset=reset) as box:
            opened = time.perf_counter() - start
            samples: list[float] = []
            for _ in range(CALLS):
                before = time.perf_counter()
                box.call("add", 1, 2)
                samples.append((time.perf_counter() - before) * 1e6)
            transport = box.stats().transport
    except HlfuzzError as error:
        return Figure(engine, reset, "", 0.0, 0.0, 0.0, str(error))
    cuts = statistics.quantiles(samples, n=100)
    return Figure(engine, reset, transport, cuts[49], cuts[98], opened * 1e3)
