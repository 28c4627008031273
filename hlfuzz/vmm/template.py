"""Templates: a module booted once in a micro-VM and frozen; sandboxes are clones of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from hlfuzz.model import ValType, Value
from hlfuzz.vmm.library import check, ffi, lib, new_error, sized
from hlfuzz.vmm.machine import SLICE_US, Machine
from hlfuzz.vmm.module import Module
from hlfuzz.vmm.values import Slots

_TRANSPORTS: Final = {
    "auto": lib.HL_TRANSPORT_AUTO,
    "spin": lib.HL_TRANSPORT_SPIN,
    "exit": lib.HL_TRANSPORT_EXIT,
}
_RESETS: Final = {"strict": lib.HL_RESET_STRICT, "memory": lib.HL_RESET_MEMORY}


class Template:
    """An immutable snapshot; any thread."""

    def __init__(self, pointer: Any, where: str) -> None:
        self.pointer = ffi.gc(pointer, lib.hl_template_free)
        self._where = where

    def clone(
        self,
        *,
        transport: str,
        reset: str,
        cpu: int | None,
        cpu_us: int,
        wall_us: int,
        verify_every: int,
        host_calls: int | None = None,
        output_bytes: int | None = None,
        make: Callable[[Any], Machine] = Machine,
    ) -> Machine:
        """A VM at the snapshot, as what `make` makes of it. Raises `EnvironmentProblem`, `ForkedProcess`."""
        options, error = sized("hl_sandbox_options"), new_error()
        options.transport = _TRANSPORTS[transport]
        options.reset = _RESETS[reset]
        options.cpu = -1 if cpu is None else cpu
        options.cpu_us, options.wall_us, options.slice_us = cpu_us, wall_us, SLICE_US
        options.verify_every = verify_every
        options.hostcall_limit, options.output_limit = host_calls or 0, output_bytes or 0
        return make(check(lib.hl_sandbox_new(self.pointer, options, error), error, self._where))


def global_slots(globals: Sequence[tuple[ValType, Value]]) -> Slots:
    """Types and values of imported globals as the native library reads them."""
    slots = Slots([t for t, _ in globals])
    slots.put([v for _, v in globals])
    return slots


class Boot(Machine):
    """A VM about to instantiate a module, so that its start function may call the host."""

    def __init__(
        self,
        module: Module,
        where: str,
        *,
        memory_bytes: int,
        table_elements: int,
        stack_bytes: int,
        grow_traps: bool = False,
        cpu_us: int,
        wall_us: int,
        globals: Sequence[tuple[ValType, Value]],
    ) -> None:
        """`globals`: type and value of each imported global, in order. Raises `ModuleError`,
        `EnvironmentProblem`."""
        options, error = sized("hl_template_options"), new_error()
        options.memory_limit, options.table_limit = memory_bytes, table_elements
        options.stack_bytes = stack_bytes
        options.flags = lib.HL_TEMPLATE_GROW_TRAPS if grow_traps else 0
        options.start_cpu_us, options.start_wall_us, options.slice_us = cpu_us, wall_us, SLICE_US
        slots = global_slots(globals)
        options.import_values, options.n_import_values = slots.array, slots.count
        self._where = where
        super().__init__(check(lib.hl_boot_new(module.pointer, options, error), error, where))

    def run(self) -> int:
        """Instantiate: a status, as of a call."""
        return lib.hl_boot_run(self.pointer)

    def finish(self) -> Template:
        """Freeze, after DONE; then close this VM."""
        error = new_error()
        return Template(check(lib.hl_boot_finish(self.pointer, error), error, self._where), self._where)
