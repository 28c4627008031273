"""`Machine`: one micro-VM, called, answered, read, written and reset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from hlfuzz.errors import HlfuzzError
from hlfuzz.model import Export, Fault, FuncType, GlobalType, Stats, ValType, Value
from hlfuzz.vmm.library import ffi, lib, sized, text
from hlfuzz.vmm.status import TrapInfo
from hlfuzz.vmm.values import Slots, read, reader, writer

Results: TypeAlias = Value | tuple[Value, ...] | None
FastCall: TypeAlias = Callable[[tuple[object, ...], int], int]
"""`call(args, flags)` with exactly as many arguments as parameters, to a status. Raises `TypeError` or
`OverflowError`, before anything runs, for arguments that are not plain ints and floats in signed range."""

DEFAULT_MEMORY: Final[int] = lib.HL_DEFAULT_MEMORY
SLICE_US: Final = 50_000
"""A call comes back with RUNNING after so long, so that Python can run its signal handlers (Ctrl-C)."""

_TRANSPORTS: Final = {lib.HL_TRANSPORT_SPIN: "spin", lib.HL_TRANSPORT_EXIT: "exit"}
_TRACKING: Final = {lib.HL_TRACK_RING: "ring", lib.HL_TRACK_LOG: "log"}

Region: TypeAlias = Literal["tables", "text", "all", "snapshot"]
"""Parts of guest RAM: "tables" is page tables, descriptors and stubs, "text" all code; and the "snapshot"
that a reset copies from, which all sandboxes of one boot share."""
Searched: TypeAlias = Literal["all", "mailbox"]
"""Where bytes are looked for: all of guest RAM, or what host and guest exchange calls through."""
_REGIONS: Final[dict[Region, int]] = {
    "tables": lib.HL_REGION_SYSTEM,
    "text": lib.HL_REGION_TEXT,
    "all": lib.HL_REGION_ALL,
    "snapshot": lib.HL_REGION_SNAPSHOT,
}
_SEARCHED: Final[dict[Searched, int]] = {"all": lib.HL_REGION_ALL, "mailbox": lib.HL_REGION_MAILBOX}

BytesForm: TypeAlias = Literal["none", "pair", "packed", "inplace"]
"""How the results of a byte-vector call stand for bytes; see `hl_bytes_call` in hlfuzz.h."""
_RESULT_ROOM: Final = 4096
"""Bytes of a result that are read without a second call of the library."""
_FORMS: Final[dict[BytesForm, int]] = {
    "none": lib.HL_BYTES_NONE,
    "pair": lib.HL_BYTES_PAIR,
    "packed": lib.HL_BYTES_PACKED,
    "inplace": lib.HL_BYTES_INPLACE,
}


@dataclass(frozen=True, slots=True)
class Room:
    """Where a byte vector goes: to what `allocator` returns for `arguments` (None: the length), or, when that
    is None, to the address `scratch`."""

    allocator: Export | None
    arguments: tuple[int | None, ...] = ()
    scratch: int = 0


class Machine:
    """A sandbox of the native library. One thread at a time; statuses are those of `hlfuzz.vmm.status`."""

    def __init__(self, pointer: Any, close: Callable[[Any], None] = lib.hl_sandbox_close) -> None:
        """`close` frees what `pointer` points to."""
        self.pointer = ffi.gc(pointer, close)
        self._host_call = ffi.new("hl_hostcall_info *")
        self._kept: list[object] = []
        self.closed = False
        self.is_clean: Callable[[], int] = partial(lib.hl_is_clean, self.pointer)
        """Whether it is at its snapshot: the guest was asked nothing, and nothing written, since the last
        reset."""

    def close(self) -> None:
        """Free the VM; again is fine."""
        self.closed = True
        ffi.release(self.pointer)

    def fast_call(self, export: Export, slots: Slots) -> FastCall | None:
        """The quickest way to call an export; None when its parameters must go through `slots.put` and
        `call`."""
        fast = slots.fast
        if fast is None:
            return None
        hl_call, pointer, index = lib.hl_call, self.pointer, export.index
        array, count = slots.array, slots.count

        def call(args: tuple[object, ...], flags: int) -> int:
            for (slot, class_), arg in zip(fast, args, strict=True):
                if arg.__class__ is not class_:
                    raise TypeError
                slot[0] = arg
            return hl_call(pointer, index, array, count, flags)

        return call

    def call(self, export: Export, slots: Slots, flags: int) -> int:
        """Call an export with the arguments in `slots`."""
        return lib.hl_call(self.pointer, export.index, slots.array, slots.count, flags)

    def bytes_call(
        self, export: Export, slots: Slots, form: BytesForm, room: Room
    ) -> tuple[Callable[[bytes, int, int], int], Callable[[], bytes]]:
        """Calls an export whose first two parameters are pointer and length of a byte vector:
        `call(data, length, flags)`, the other arguments in `slots`; and reads the bytes that it gave back if
        it was DONE at once."""
        plan = self.plan(export, slots, form, room)
        room_for_result = ffi.new("uint8_t[]", _RESULT_ROOM)
        plan.out, plan.out_capacity = room_for_result, _RESULT_ROOM
        self._kept.append(room_for_result)  # the plan points to it
        buffer = ffi.buffer(room_for_result)
        longer = self.result_bytes

        def result() -> bytes:
            length = plan.out_len
            return buffer[:length] if length <= _RESULT_ROOM else longer()

        return partial(lib.hl_call_bytes, self.pointer, plan), result

    def plan(self, export: Export, slots: Slots, form: BytesForm, room: Room) -> Any:
        """An `hl_bytes_call`, valid as long as this machine."""
        plan = sized("hl_bytes_call")
        plan.func, plan.n_args, plan.args = export.index, slots.count, slots.array
        plan.form = _FORMS[form]
        if room.allocator is None:
            plan.alloc_func, plan.scratch = lib.HL_NO_ALLOCATOR, room.scratch
            arguments = ffi.NULL
        else:
            plan.alloc_func, plan.n_alloc_args = room.allocator.index, len(room.arguments)
            plan.alloc_len_at = room.arguments.index(None)
            arguments = ffi.new("hl_value[]", [{"i64": a or 0} for a in room.arguments])
        plan.alloc_args = arguments
        self._kept.append((slots, arguments))  # the plan points to them
        return plan

    def result_bytes(self) -> bytes:
        """The bytes that the last byte-vector call gave back."""
        length = ffi.new("uint64_t *")
        start = lib.hl_result_bytes(self.pointer, length)
        return bytes(ffi.buffer(start, length[0]))

    def results(self, type_: FuncType) -> Callable[[], Results]:
        """Reads the results of the last call that was DONE, for a function of `type_`."""
        hl_results, pointer, null = lib.hl_results, self.pointer, ffi.NULL
        match type_.results:
            case ():
                return _nothing
            case (ValType.I32,):  # the most frequent, without a call of the reader
                return lambda: hl_results(pointer, null).i32
            case (one,):
                read_one = reader(one)
                return lambda: read_one(hl_results(pointer, null))
            case types:
                return lambda: read(hl_results(pointer, null), types)

    def wait(self) -> int:
        """Go on after RUNNING."""
        return lib.hl_wait(self.pointer)

    def kill(self) -> int:
        """End whatever call runs or waits, and restore the snapshot."""
        return lib.hl_kill(self.pointer)

    def reset(self) -> int:
        """Restore the snapshot."""
        return lib.hl_reset(self.pointer)

    def ping(self) -> int:
        """DONE when the guest side answers an empty request."""
        return lib.hl_ping(self.pointer)

    def host_call(self) -> int:
        """Position in the import list of the host call that waits."""
        if lib.hl_hostcall(self.pointer, self._host_call):
            raise HlfuzzError("no host call waits (micro-VM): this is a defect of hlfuzz, please report it")
        return getattr(self._host_call, "import")  # a keyword in Python

    def host_args(self, types: Sequence[ValType]) -> tuple[Value, ...]:
        """Arguments of the host call that `host_call` named, which have these types."""
        return read(self._host_call.args, types)

    def resume(self, slots: Slots) -> int:
        """Answer the host call."""
        return lib.hl_resume(self.pointer, slots.array, slots.count)

    def fail(self, message: str) -> int:
        """Say that the host function failed."""
        # it may quote anything, also half a surrogate pair
        data = message.encode("utf-8", "backslashreplace")
        return lib.hl_fail(self.pointer, data, len(data))

    def trap(self) -> TrapInfo:
        """Why the last status was TRAP."""
        info = sized("hl_trap_info")
        if lib.hl_trap(self.pointer, info):
            raise HlfuzzError("no trap to describe (micro-VM): this is a defect of hlfuzz, please report it")
        message = bytes(ffi.buffer(info.message, info.message_len)).decode("utf-8", "replace")
        fault = None
        if info.kind == lib.HL_TRAP_EXCEPTION:
            fault = Fault(info.code, info.error_code, info.address, info.rip, info.rsp)
        return TrapInfo(info.kind, info.code, message, fault, bool(info.stack_overflow))

    def message(self) -> str:
        """Why the last status was DEAD or INVALID."""
        return text(lib.hl_message(self.pointer))

    def memory_size(self, memory: int) -> int:
        """Bytes of the memory at this position of the export list, or of DEFAULT_MEMORY."""
        size = ffi.new("uint64_t *")
        if lib.hl_mem_size(self.pointer, memory, size):
            raise HlfuzzError(f"memory {memory} cannot be read (micro-VM): {self.message()}")
        return size[0]

    def memory_writable(self, memory: int) -> tuple[range, ...]:
        """Where that memory may be written, by address."""
        start, end = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        found: list[range] = []
        while (code := lib.hl_mem_writable(self.pointer, memory, end[0], start, end)) == 1:
            found.append(range(start[0], end[0]))
        if code < 0:
            raise HlfuzzError(f"memory {memory} cannot be written (micro-VM): {self.message()}")
        return tuple(found)

    def memory_read(self, memory: int, address: int, length: int) -> bytes | None:
        """A private copy; None when out of range."""
        if max(address, length) >> 64:
            return None
        start = lib.hl_mem(self.pointer, memory, address, length)
        return None if start == ffi.NULL else bytes(ffi.buffer(start, length))

    def memory_write(self, memory: int, address: int, data: bytes) -> bool:
        """Write; False (and nothing written) when out of range."""
        return not address >> 64 and not lib.hl_mem_write(self.pointer, memory, address, data, len(data))

    def global_get(self, export: Export, type_: GlobalType) -> Value:
        """Value of an exported global."""
        slot = ffi.new("hl_value *")
        if lib.hl_global_get(self.pointer, export.index, slot):
            raise HlfuzzError(f"global {export.name!r} cannot be read (micro-VM): {self.message()}")
        return reader(type_.value)(slot)

    def global_set(self, export: Export, type_: GlobalType, value: Value) -> None:
        """Set an exported mutable global."""
        slot = ffi.new("hl_value *")
        writer(type_.value, slot)(value)
        if lib.hl_global_set(self.pointer, export.index, slot):
            raise HlfuzzError(f"global {export.name!r} cannot be set (micro-VM): {self.message()}")

    def differing_pages(self) -> int:
        """Pages of guest RAM that differ from the snapshot right now."""
        pages = lib.hl_verify(self.pointer)
        if pages < 0:
            raise HlfuzzError(f"guest memory cannot be compared (micro-VM): {self.message()}")
        return pages

    def region_hash(self, region: Region) -> int:
        """Hash of a region of guest RAM; equal for equal content within one process."""
        out = ffi.new("uint64_t *")
        if lib.hl_ram_hash(self.pointer, _REGIONS[region], out):
            raise HlfuzzError(f"region {region} cannot be hashed (micro-VM): {self.message()}")
        return out[0]

    def find(self, needle: bytes, region: Searched) -> int | None:
        """Guest address of the first place where `needle` is; None: nowhere."""
        at = ffi.new("uint64_t *")
        found = lib.hl_ram_find(self.pointer, _SEARCHED[region], needle, len(needle), at)
        if found < 0:
            raise HlfuzzError(f"guest memory cannot be searched (micro-VM): {self.message()}")
        return at[0] if found else None

    def stats(self) -> Stats:
        """Counters since the VM was opened."""
        s = sized("hl_stats")
        lib.hl_stats_get(self.pointer, s)
        return Stats(
            engine="kvm",
            transport=_TRANSPORTS[s.transport],
            tracking=_TRACKING[s.tracking],
            calls=s.calls,
            host_calls=s.hostcalls,
            traps=s.traps,
            timeouts=s.timeouts,
            resets=s.resets,
            pages_restored=s.pages_restored,
            last_pages=s.last_pages,
            hot_pages=s.hot_pages,
            evictions=s.evictions,
            verifies=s.verifies,
            verify_failures=s.verify_failures,
            parks=s.parks,
            late_waits=s.late_waits,
            max_wait_ns=s.max_wait_ns,
            memory_bytes=s.memory_bytes,
            vcpu_cpu=s.vcpu_cpu,
        )


def _nothing() -> Results:
    return None
