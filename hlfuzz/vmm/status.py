"""What a call into a micro-VM comes back with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlfuzz.model import Fault
from hlfuzz.vmm.library import lib

DONE: Final[int] = lib.HL_DONE
HOSTCALL: Final[int] = lib.HL_HOSTCALL
TRAP: Final[int] = lib.HL_TRAP
TIMEOUT: Final[int] = lib.HL_TIMEOUT
DEAD: Final[int] = lib.HL_DEAD
BUSY: Final[int] = lib.HL_BUSY
RUNNING: Final[int] = lib.HL_RUNNING
INVALID: Final[int] = lib.HL_INVALID

RESET: Final[int] = lib.HL_CALL_RESET
"""Flag of a call: reset when it ends."""

_WASM_CODES: Final = (
    # wasmtime_environ::Trap of the release that runs in the VM, in its order
    "stack-overflow",
    "memory-out-of-bounds",
    "heap-misaligned",
    "table-out-of-bounds",
    "indirect-call-to-null",
    "bad-signature",
    "integer-overflow",
    "integer-division-by-zero",
    "bad-conversion-to-integer",
    "unreachable",
    "other",  # interrupt
    "other",  # out of fuel
    "other",  # atomic wait on non-shared memory
    "null-reference",
    "array-out-of-bounds",
    "allocation-too-large",
    "cast-failure",
)
_OTHER_CODES: Final = {1000: "exception", 1002: "memory-limit", 1003: "table-limit"}
"""Codes that are not wasmtime's (hlfuzz.h, hl_trap_info)."""
_LIMITS: Final[dict[int, str]] = {
    lib.HL_LIMIT_HOSTCALLS: "host_calls",
    lib.HL_LIMIT_OUTPUT: "output_bytes",
}


_NATIVE_CODES: Final = {
    # Intel SDM vol. 3, table 6-1
    0: "integer-division-by-zero",
    6: "invalid-opcode",
    13: "general-protection",
    14: "page-fault",
}


@dataclass(frozen=True, slots=True)
class TrapInfo:
    """Why a call ended with TRAP. `kind` is one of HL_TRAP_*; `fault` is set for a CPU exception."""

    kind: int
    code: int
    message: str
    fault: Fault | None = None
    stack_overflow: bool = False

    @property
    def by_host(self) -> bool:
        """The host function failed."""
        return self.kind == lib.HL_TRAP_HOST

    @property
    def restored(self) -> bool:
        """The whole sandbox went back to its snapshot, and every open call ended."""
        return self.kind not in (lib.HL_TRAP_WASM, lib.HL_TRAP_HOST, lib.HL_TRAP_VECTOR)

    @property
    def by_vector(self) -> bool:
        """A byte vector is outside memory, as `message` says."""
        return self.kind == lib.HL_TRAP_VECTOR

    @property
    def limit(self) -> str:
        """The limit that the call exceeded, as a field of `CallLimits`; empty for anything else."""
        return _LIMITS.get(self.code, "") if self.kind == lib.HL_TRAP_LIMIT else ""

    def name(self, *, native: bool) -> str:
        """The engine-independent code (`hlfuzz.model.TRAP_CODES`); `native`: of a native guest, which can
        cause CPU exceptions by itself."""
        if native and self.fault is not None:
            return (
                "stack-overflow"
                if self.stack_overflow
                else _NATIVE_CODES.get(self.fault.vector, "guest-fault")
            )
        if self.kind != lib.HL_TRAP_WASM:
            return "guest-fault"
        if self.code < len(_WASM_CODES):
            return _WASM_CODES[self.code]
        return _OTHER_CODES.get(self.code, "other")
