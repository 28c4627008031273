"""The row of WASI: a Go program from its cached artifact to its first output."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from hlfuzz.bench.row import Row, Samples
from hlfuzz.errors import HlfuzzError
from hlfuzz.guest import Guest
from hlfuzz.sandbox import Sandbox, Wasi

_SOURCE: Final = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'
_TARGET: Final = {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


def hello(count: int) -> Row | None:
    """Load, check, boot, clone, run, read what it printed; the module has been compiled before. None: there
    is no Go on this machine."""
    wasm = _program()
    if wasm is None:
        return None
    _first_output(wasm)  # compiles it, or finds that this was done
    taken: list[int] = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        _first_output(wasm)
        taken.append(time.perf_counter_ns() - begin)
    samples = Samples((taken,))
    return samples.row(
        "WASI hello (Go) from a cached artifact, first result",
        target="≤ 50000 µs",
        ok=samples.p50 <= 50_000,
    )


def _first_output(wasm: bytes) -> None:
    guest = Guest.from_wasm(wasm, name="hello")  # a new one: nothing but the artifact is kept
    with Sandbox(guest, engine="kvm", transport="exit", wasi=Wasi(["hello"], allow="all")) as box:
        box.call("_start")
        if box.wasi.stdout != b"hello\n":
            raise HlfuzzError(f"the benchmark's Go program printed {box.wasi.stdout!r}: please report this")


def _program() -> bytes | None:
    go = shutil.which("go")
    if go is None:
        return None
    with tempfile.TemporaryDirectory(prefix="hlfuzz-bench-") as folder:
        source, wasm = Path(folder, "main.go"), Path(folder, "hello.wasm")
        source.write_text(_SOURCE)
        command = [go, "build", "-trimpath", "-ldflags=-s -w", "-o", wasm, source]
        environment = os.environ | _TARGET
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            raise HlfuzzError(f"cannot build the benchmark's Go program ({go}): {done.stderr.strip()}")
        return wasm.read_bytes()
