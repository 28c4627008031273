"""What KVM can do on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from hlfuzz.vmm.library import MACHINE_REASONS, lib, sized, text


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer of `probe()`. `message` says what is wrong and how to fix it when `usable` is False."""

    usable: bool
    message: str
    reason: str
    """What is wrong, as `EnvironmentProblem.reason` names it; "" when nothing is."""
    api_version: int
    dirty_ring: int
    """Entries of the largest dirty ring; 0: none, resets use the slower dirty log."""
    sync_regs: bool
    xsave: bool
    manual_protect: bool
    cpus: int
    """CPUs that this process may use; the spin transport needs two."""


def probe() -> Probe:
    """Look at /dev/kvm. Never raises."""
    info = sized("hl_probe_info")
    lib.hl_probe(info)
    return Probe(
        usable=bool(info.kvm_ok),
        message=text(info.message),
        reason=MACHINE_REASONS.get(info.error_code, ""),
        api_version=info.api_version,
        dirty_ring=info.dirty_ring,
        sync_regs=bool(info.sync_regs),
        xsave=bool(info.xsave),
        manual_protect=bool(info.manual_protect),
        cpus=info.cpus,
    )
