"""Picks the engine of a sandbox."""

from __future__ import annotations

import functools
import warnings
from typing import Final, Literal

from hlfuzz.errors import EnvironmentProblem, HlfuzzWarning, UsageError
from hlfuzz.guest import Guest
from hlfuzz.sandbox.dispatch.threaded import ThreadedEngine
from hlfuzz.sandbox.engines.base import Engine, EngineName, HostSide, Options
from hlfuzz.vmm import probe

_SHORTAGES: Final = ("out-of-memory", "out-of-fds")
"""There is a KVM, and something else is missing for the moment."""


def open_engine(name: str, guest: Guest, host: HostSide, options: Options) -> Engine:
    """Open the engine `name`; "auto" is kvm where it is usable, else inprocess with a warning once a
    process."""
    match name:
        case "auto":
            found = probe()
            reason = "" if found.usable else found.message
            if found.reason in _SHORTAGES:  # one wall instead of two, for want of a file descriptor
                raise EnvironmentProblem(f"{reason} ({guest.name})", reason=found.reason)
            if reason and guest.kind == "elf":
                raise EnvironmentProblem(f"{reason} ({guest.name}, a native guest, needs a micro-VM)")
            if reason:
                _warn_once(reason)
            return open_engine("inprocess" if reason else "kvm", guest, host, options)
        case "kvm":
            from hlfuzz.sandbox.engines.kvm import open_kvm

            return open_kvm(guest, host, options)
        case "inprocess":
            if guest.kind == "elf":
                raise UsageError(
                    f"a native guest cannot run in this process ({guest.name}): it needs engine='kvm'"
                )
            if options.snapshot is not None:
                raise UsageError(
                    f"a snapshot needs a micro-VM ({guest.name}, engine inprocess): open the sandbox with "
                    "engine='kvm'"
                )
            # Imported when used: the wasmtime package loads a library of 40 MB.
            from hlfuzz.sandbox.engines.inprocess.engine import open_inprocess

            if options.lane is not None:
                return ThreadedEngine(host, options.lane, lambda side: open_inprocess(guest, side, options))
            return open_inprocess(guest, host, options)
        case _:
            raise UsageError(f"unknown engine (Sandbox engine={name!r}): choose auto, kvm or inprocess")


def prepare(guest: Guest, name: Literal["auto"] | EngineName = "auto") -> None:
    """Do what takes longest before the first sandbox of a guest is open: compile it. Any thread.

    Raises `ModuleError`.
    """
    if name == "inprocess" or (name == "auto" and why_no_kvm()):
        from hlfuzz.sandbox.engines.inprocess.modules import modules_of

        modules_of(guest)
    else:
        from hlfuzz.sandbox.engines.booting import compiled

        compiled(guest)


def why_no_kvm() -> str:
    """Why the engine "kvm" is not usable here; empty when it is."""
    found = probe()
    return "" if found.usable else found.message


@functools.cache
def _warn_once(reason: str) -> None:
    warnings.warn(
        f"no micro-VM on this machine ({reason}): the guest runs in this process, behind one wall "
        "instead of two; `hlfuzz doctor` says how to fix it",
        HlfuzzWarning,
        stacklevel=4,
    )
