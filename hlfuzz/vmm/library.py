"""Loads the native library and turns its errors into exceptions."""

from __future__ import annotations

from typing import Any, Final

from hlfuzz.errors import (
    EnvironmentProblem,
    ForkedProcess,
    HlfuzzError,
    ModuleError,
    SnapshotError,
    StartError,
    UsageError,
)

try:
    from hlfuzz.vmm._native import ffi, lib
except ImportError as e:
    raise ImportError(
        f"hlfuzz's native library cannot be loaded ({e}): run `pip install .` (or `pip install -e .`) in the "
        "source tree; it needs cargo and a C compiler"
    ) from e

__all__ = ["MACHINE_REASONS", "check", "ffi", "lib", "new_error", "sized", "text"]

_MODULE: Final = {
    lib.HL_E_NOT_WASM: "not-wasm",
    lib.HL_E_COMPONENT: "component",
    lib.HL_E_INVALID_MODULE: "invalid",
    lib.HL_E_UNSUPPORTED: "unsupported",
    lib.HL_E_TOO_LARGE: "too-large",
    lib.HL_E_LIMIT: "limit",
    lib.HL_E_NOT_NATIVE: "not-native",
}
MACHINE_REASONS: Final = {
    lib.HL_E_NO_KVM: "no-kvm",
    lib.HL_E_PERMISSION: "permission",
    lib.HL_E_KVM: "kvm",
    lib.HL_E_OUT_OF_MEMORY: "out-of-memory",
    lib.HL_E_OUT_OF_FDS: "out-of-fds",
    lib.HL_E_IO: "io",
    lib.HL_E_CPU: "cpu",
}


_SNAPSHOT: Final = {
    lib.HL_E_NOT_SNAPSHOT: "not-a-snapshot",
    lib.HL_E_SNAPSHOT_VERSION: "version",
    lib.HL_E_SNAPSHOT_TRUNCATED: "truncated",
    lib.HL_E_SNAPSHOT_DAMAGED: "damaged",
    lib.HL_E_SNAPSHOT_GUEST: "other-guest",
    lib.HL_E_SNAPSHOT_CPU: "cpu",
    lib.HL_E_SNAPSHOT_TOO_LARGE: "too-large",
    lib.HL_E_SNAPSHOT_IO: "io",
}


class StartNeedsHost(StartError):
    """The start function calls an import: the module must be booted with its host functions at hand."""


def sized(cdecl: str) -> Any:
    """A zeroed struct of type `cdecl` whose first field, `size`, is set."""
    struct = ffi.new(f"{cdecl} *")
    struct.size = ffi.sizeof(cdecl)
    return struct


def new_error() -> Any:
    """Where a native function leaves its error."""
    return sized("hl_error")


def text(chars: Any) -> str:
    """A NUL-terminated C string."""
    return ffi.string(chars).decode("utf-8", "replace")


def check(result: Any, error: Any, where: str) -> Any:
    """`result` of a native function unless it is NULL; then raise what `error` says about `where`."""
    if result == ffi.NULL:
        raise raised(error.code, text(error.message), where)
    return result


def raised(code: int, message: str, where: str) -> HlfuzzError:
    """The exception for an `hl_error`. The library's messages say what and the next step; `where` goes in
    front."""
    message = f"{message} ({where})" if where else message
    if code in _MODULE:
        return ModuleError(message, reason=_MODULE[code])
    if code in MACHINE_REASONS:
        return EnvironmentProblem(message, reason=MACHINE_REASONS[code])
    if code in _SNAPSHOT:
        return SnapshotError(message, reason=_SNAPSHOT[code])
    if code == lib.HL_E_START_HOSTCALL:
        return StartNeedsHost(message)
    if code in (lib.HL_E_START_TRAPPED, lib.HL_E_START_TIMEOUT):
        return StartError(message)
    if code == lib.HL_E_FORKED:
        return ForkedProcess(message)
    if code == lib.HL_E_ARGUMENT:
        return UsageError(message)
    return HlfuzzError(message)
