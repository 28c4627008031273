"""A guest that passes every call of its host on to WASI, and the layouts of preview 1 for tests."""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import wasmtime

from hlfuzz import CallContext, Guest, Sandbox, Wasi
from hlfuzz.sandbox.wasi import MODULE, Errno
from hlfuzz.sandbox.wasi.abi import SIGNATURES

PAGES = 2
SIZE = PAGES * 65536
VECTORS, OUT, DATA = 0x100, 0x80, 0x1000
"""Where the tests put buffer lists, results and bytes."""


@functools.cache
def forwarder() -> Guest:
    """Exports each function of preview 1 under its name, and nothing between it and the caller; `_initialize`
    reads random bytes, the clock and standard input once."""
    imports: list[str] = []
    functions: list[str] = []
    for name, type_ in SIGNATURES.items():
        params = "".join(f" (param {t})" for t in type_.params)
        results = "".join(f" (result {t})" for t in type_.results)
        arguments = " ".join(f"(local.get {i})" for i in range(len(type_.params)))
        imports.append(f'(import "{MODULE}" "{name}" (func ${name}{params}{results}))')
        functions.append(f'(func (export "{name}"){params}{results} (call ${name} {arguments}))')
    text = f"""(module {" ".join(imports)} (memory (export "memory") {PAGES}) {" ".join(functions)}
      (func (export "trap") unreachable)
      (func (export "spin") (loop (br 0)))
      (func (export "_initialize")
        (drop (call $random_get (i32.const 16) (i32.const 8)))
        (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 24)))
        (i32.store (i32.const 32) (i32.const 48)) (i32.store (i32.const 36) (i32.const 2))
        (drop (call $fd_read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40)))))"""
    return Guest.from_wasm(bytes(wasmtime.wat2wasm(text)), name="forwarder")


class Calls:
    """Calls WASI functions through a forwarder in an open context."""

    def __init__(self, context: CallContext) -> None:
        self.context = context

    def __call__(self, name: str, *args: int) -> Errno:
        """One call; its error, or SUCCESS."""
        errno = self.context.call(name, *args)
        assert isinstance(errno, int)
        return Errno(errno)

    def vectors(self, *spans: tuple[int, int]) -> tuple[int, int]:
        """A list of buffers; the two arguments that name it."""
        self.context.write(VECTORS, b"".join(struct.pack("<II", *span) for span in spans))
        return VECTORS, len(spans)

    def write(self, number: int, data: bytes) -> tuple[Errno, int]:
        """fd_write of one buffer: error, and bytes written."""
        self.context.write(DATA, data)
        errno = self("fd_write", number, *self.vectors((DATA, len(data))), OUT)
        return errno, self.u32(OUT)

    def read(self, number: int, length: int) -> tuple[Errno, bytes]:
        """fd_read into one buffer."""
        errno = self("fd_read", number, *self.vectors((DATA, length)), OUT)
        return errno, self.context.read(DATA, self.u32(OUT)) if errno is Errno.SUCCESS else b""

    def path(self, text: str | bytes) -> tuple[int, int]:
        """A path in memory; the two arguments that name it."""
        data = text if isinstance(text, bytes) else text.encode()
        self.context.write(DATA, data)
        return DATA, len(data)

    def open(self, path: str | bytes, *, at: int = 3, oflags: int = 0, rights: int = 1 << 1) -> Errno | int:
        """path_open: the descriptor's number as an int, or the error."""
        errno = self("path_open", at, 0, *self.path(path), oflags, rights, rights, 0, OUT)
        return errno if errno is not Errno.SUCCESS else self.u32(OUT)

    def u32(self, address: int) -> int:
        return int.from_bytes(self.context.read(address, 4), "little")

    def u64(self, address: int) -> int:
        return int.from_bytes(self.context.read(address, 8), "little")


@contextmanager
def calls(engine: str, wasi: Wasi) -> Iterator[tuple[Sandbox, Calls]]:
    """A sandbox with a forwarder, and calls in one context of it."""
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=wasi) as box, box.context() as context:
        yield box, Calls(context)
        context.finish()
