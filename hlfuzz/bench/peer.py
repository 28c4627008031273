"""The peer: Rust wasmtime in-process, an instance made anew for each call (bench/peer of the source tree)."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from hlfuzz.bench.machines import WASM
from hlfuzz.bench.row import Row

_BUILT = Path(__file__).resolve().parents[2] / "bench/peer/target/release/hlfuzz-peer"


def row(ours_us: float, samples: int) -> Row | None:
    """Instantiate and call, against our call and reset of the same function; None: the peer is not built."""
    if not _BUILT.is_file():
        return None
    with tempfile.NamedTemporaryFile(suffix=".wasm") as file:
        file.write(WASM)
        file.flush()
        run = subprocess.run(
            [_BUILT, file.name, "count", str(samples)],
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    found = json.loads(run.stdout)["reinstantiate_and_call"]
    p50, p99 = found["p50_ns"] / 1e3, found["p99_ns"] / 1e3
    times = p50 / ours_us
    return Row(
        "peer: in-process re-instantiation + count",
        "µs",
        p50,
        p99,
        samples,
        peer=ours_us,
        ratio=times,
        target="≥ 10 × our call + reset",
        ok=times >= 10,
    )
