"""Rows of a thousand sandboxes at once: how long they take to make, and what they keep in memory."""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import resource
import struct
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Final

from hlfuzz.bench.machines import machine, timed_calls
from hlfuzz.bench.row import Row
from hlfuzz.vmm import Template

COUNT: Final = 1000
ROUNDS: Final = 3
ALLOWED_RATIO: Final = 1.5
ALLOWED_MIB: Final = 1.2 * 1024
"""For `COUNT` of them."""
_CREATE_VM: Final = 0xAE01
_CREATE_VCPU: Final = 0xAE41
_SET_MEMORY: Final = 0x4020AE46
"""ioctls of /dev/kvm and of a VM (Linux: include/uapi/linux/kvm.h)."""
_LOG_DIRTY: Final = 1
_MAILBOX_ADDRESS: Final = 1 << 32
_MAILBOX_BYTES: Final = 176 << 10
_DESCRIPTORS: Final = 2
"""Of each sandbox: VM and vCPU."""


def rows(template: Template, count: int = COUNT) -> Iterator[Row]:
    """Make `count` sandboxes (fewer where the limit on open files allows no more), call and reset each."""
    with _files(count * _DESCRIPTORS + 200) as limit:
        count = min(count, (limit - 200) // _DESCRIPTORS)
        taken = [_made(template, count) for _ in range(ROUNDS)]
    spent, floor, resident = (median(values) for values in zip(*taken, strict=True))
    ratio = median(made / bare for made, bare, _ in taken)
    yield Row(
        f"{count:,} sandboxes, made",
        "ms",
        spent,
        max(made for made, _, _ in taken),
        ROUNDS,
        floor=floor,
        ratio=ratio,
        target=f"≤ {ALLOWED_RATIO} × floor",
        ok=ratio <= ALLOWED_RATIO,
    )
    allowed = ALLOWED_MIB * count / COUNT
    yield Row(
        f"{count:,} sandboxes, called and reset: resident",
        "MiB",
        resident,
        max(kept for _, _, kept in taken),
        ROUNDS,
        target=f"≤ {allowed:.0f} MiB",
        ok=resident <= allowed,
    )


def _made(template: Template, count: int) -> tuple[float, float, float]:
    """Milliseconds that they take to make, and bare VMs beside them; MiB that they keep."""
    floor = _bare(count, _memory_bytes(template))
    with ExitStack() as stack:
        before = _resident_mib()
        begin = time.perf_counter()
        vms = [machine(template, "exit", "strict") for _ in range(count)]
        spent = (time.perf_counter() - begin) * 1000
        for vm in vms:
            stack.callback(vm.close)
        for vm in vms:
            timed_calls(vm, "count", reset=True, count=2)
        return spent, floor, _resident_mib() - before


def _memory_bytes(template: Template) -> int:
    vm = machine(template, "exit", "strict")
    try:
        return vm.stats().memory_bytes
    finally:
        vm.close()


def _bare(count: int, ram_bytes: int) -> float:
    """Milliseconds that `count` VMs with a vCPU and the memory slots of a sandbox take to make, all of them
    kept until the end."""
    ram = mmap.mmap(-1, ram_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
    slots = [
        struct.pack("=IIQQQ", 0, _LOG_DIRTY, 0, ram_bytes, address),
        struct.pack("=IIQQQ", 1, 0, _MAILBOX_ADDRESS, _MAILBOX_BYTES, address),
    ]
    with ExitStack() as stack:

        def keep(descriptor: int) -> int:
            stack.callback(os.close, descriptor)
            return descriptor

        kvm = keep(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
        begin = time.perf_counter()
        for _ in range(count):
            vm = keep(fcntl.ioctl(kvm, _CREATE_VM, 0))
            for slot in slots:
                fcntl.ioctl(vm, _SET_MEMORY, slot)
            keep(fcntl.ioctl(vm, _CREATE_VCPU, 0))
        return (time.perf_counter() - begin) * 1000


@contextmanager
def _files(wanted: int) -> Generator[int]:
    """Raise the limit on open files as far as this process may; yields what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else max(soft, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, most)), hard))
    try:
        yield max(soft, min(wanted, most))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _resident_mib() -> float:
    # the proportional set size: a page that n mappings share counts as its n-th part for each
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
