"""Reads a trap of the PyPI `wasmtime` package as the code and message that all engines share."""

from __future__ import annotations

from typing import Final

import wasmtime

from hlfuzz.model import Trap
from hlfuzz.sandbox.engines.inprocess import shims

_CODES: Final = {
    "UNREACHABLE": "unreachable",
    "MEMORY_OUT_OF_BOUNDS": "memory-out-of-bounds",
    "TABLE_OUT_OF_BOUNDS": "table-out-of-bounds",
    "INDIRECT_CALL_TO_NULL": "indirect-call-to-null",
    "BAD_SIGNATURE": "bad-signature",
    "INTEGER_OVERFLOW": "integer-overflow",
    "INTEGER_DIVISION_BY_ZERO": "integer-division-by-zero",
    "BAD_CONVERSION_TO_INTEGER": "bad-conversion-to-integer",
    "STACK_OVERFLOW": "stack-overflow",
    "HEAP_MISALIGNED": "heap-misaligned",
    "NULL_REFERENCE": "null-reference",
    "ARRAY_OUT_OF_BOUNDS": "array-out-of-bounds",
    "ALLOCATION_TOO_LARGE": "allocation-too-large",
    "CAST_FAILURE": "cast-failure",
    "UNCAUGHT_EXCEPTION": "exception",
}
_THROWN: Final = "thrown Wasm exception"
"""Releases up to 50 give an uncaught exception no code, only this message."""


def trap_of(error: wasmtime.Trap | wasmtime.WasmtimeError) -> Trap:
    """The outcome for an error of a call."""
    message = str(error)
    _, _, cause = message.rpartition("Caused by:")
    cause = cause.strip() or message.strip()
    if _THROWN in cause:
        return Trap("exception", cause)
    return Trap(_CODES.get(_code_name(error), "other"), cause.removeprefix("wasm trap: "))


def frames_of(error: wasmtime.Trap | wasmtime.WasmtimeError, moved: int) -> list[tuple[int, int]]:
    """Function index and offset in the guest's module of each active call, innermost first; -1 for an unknown
    offset. `moved`: by how many bytes the code lay further on in what was compiled."""
    if not isinstance(error, wasmtime.Trap):
        return []
    return [
        (frame.func_index, frame.module_offset - moved if frame.module_offset >= moved else -1)
        for frame in error.frames
        if frame.module_name != shims.NAME
    ]


def _code_name(error: wasmtime.Trap | wasmtime.WasmtimeError) -> str:
    if not isinstance(error, wasmtime.Trap):
        return ""
    try:
        code = error.trap_code
    except ValueError:  # a code that this release of the package has no name for
        return ""
    return "" if code is None else code.name
