"""Rows of a typed call: Python value to bytes, a C guest in the VM that decodes and encodes, bytes to
value."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from hlfuzz.bench.row import Row, Samples, timed
from hlfuzz.bench.vm import NEAR_US
from hlfuzz.bindings import Interface, TypedGuest, client_of
from hlfuzz.errors import EnvironmentProblem
from hlfuzz.generate.c import generate
from hlfuzz.schema.fbs import parse_text

SCHEMA: Final = """
namespace bench;
enum Kind : ubyte { Request, Response, Event }
table Message {
  id: ulong; connection: uint; port: ushort; offset: long; attempt: int;
  ratio: double; final: bool; kind: Kind; name: string; data: [ubyte];
}
rpc_service EchoGuest { Echo(Message): Message; }
"""
GUEST: Final = """
#include "echo_hl.h"
hl_status bench_EchoGuest_Echo(hl_call *call, const bench_Message *request, bench_Message *response) {
    (void)call;
    *response = *request;
    return 0;
}
/* Raw bytes back as they came: what a call costs without types. */
HL_EXPORT("echo_bytes") uint64_t echo_bytes(uint32_t at, uint32_t len) { return (uint64_t)at << 32 | len; }
"""
_SERVICE: Final = "bench.EchoGuest"
_SYMBOL: Final = "bench_EchoGuest_Echo"


def rows(vcpu: int, rounds: int, block: int, exchange: Callable[[], float]) -> Iterator[Row]:
    """The round trip of a table of ten fields with each of its steps, and of raw bytes.

    `exchange` measures the bare exchange in µs: with far CPUs every cache line that crosses costs several
    times as much, which says nothing about the code, so the ratio is only promised for near ones.
    """
    if importlib.util.find_spec("ziglang") is None:
        yield Row(
            "typed round trip: not measured", "", 0, 0, 0, target="needs a C compiler: pip install ziglang"
        )
        return
    interface = Interface(parse_text(SCHEMA, name="echo"))
    message = interface.message("bench.Message")
    types = interface.classes.definitions
    value = types["bench.Message"](
        id=7,
        connection=5,
        port=443,
        offset=-6,
        attempt=3,
        ratio=1.5,
        final=True,
        kind=types["bench.Kind"].Event,
        name="hello, world",
        data=bytes(64),
    )
    data = message.encode(value)
    read, verify = interface.steps("bench.Message")
    client: type[TypedGuest[Any]] = client_of(interface, _SERVICE)
    guest = _compiled(interface)
    before = exchange()
    with client.open(guest, engine="kvm", reset="memory", transport="spin", cpu=vcpu) as echo:
        if echo.invoke("Echo", value) != value:
            raise AssertionError("the guest's echo is not what was sent")
        box = echo.sandbox
        steps: dict[str, Callable[[], object]] = {
            "encode": lambda: message.encode(value),
            "call: the guest decodes and encodes": lambda: box.call_bytes(_SYMBOL, data, result="packed"),
            "verify (native)": lambda: verify(data),
            "read": lambda: read(data),
            "all": lambda: echo.invoke("Echo", value),
            "raw": lambda: box.call_bytes("echo_bytes", data, result="packed"),
        }
        taken: dict[str, list[list[int]]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                taken[name].append(timed(step, block // 4))
    samples = {name: Samples(tuple(blocks)) for name, blocks in taken.items()}
    # The bound is on the ratio within a round: a machine whose speed drifts does not change it.
    ratio = median(
        median(whole) / (median(encode) + median(decode))
        for whole, encode, decode in zip(taken["all"], taken["encode"], _sums(taken), strict=True)
    )
    whole = samples["all"].p50
    for name in list(steps)[:4]:
        yield samples[name].row(f"  typed: {name}", ratio=samples[name].p50 / whole)
    near = max(before, exchange()) <= NEAR_US
    yield samples["all"].row(
        "typed round trip, 10 fields, C guest, + reset",
        ratio=ratio,
        target="≤ 40 µs" + (", ≤ 1.5 × encode + decode" if near else " (far CPUs)"),
        ok=whole <= 40 and (ratio <= 1.5 or not near),
    )
    raw = samples["raw"]
    yield raw.row(f"raw round trip, {len(data)} bytes, + reset", target="≤ 3 µs", ok=raw.p50 <= 3)


def _sums(taken: dict[str, list[list[int]]]) -> list[list[float]]:
    """Decoding is verifying and reading."""
    return [
        [median(verify) + median(read)]
        for verify, read in zip(taken["verify (native)"], taken["read"], strict=True)
    ]


def _compiled(interface: Interface) -> bytes:
    with tempfile.TemporaryDirectory(prefix="hlfuzz-bench-") as folder:
        files = generate(interface.schema) | {"guest.c": GUEST}
        for name, text in files.items():
            Path(folder, name).write_text(text)
        command = [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-freestanding", "-nostdlib", "-O2"]
        command += ["-std=c11", "-Wl,--no-entry", "-Wl,-z,stack-size=16384", "-Wl,--strip-all"]
        command += ["-o", "guest.wasm", *(name for name in files if name.endswith(".c"))]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise EnvironmentProblem(f"cannot compile the benchmark's C guest: {done.stderr}", reason="io")
        return Path(folder, "guest.wasm").read_bytes()
