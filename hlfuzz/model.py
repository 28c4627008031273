"""What crosses a boundary inside the package: values, types, module facts, outcomes and call records."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, TypeAlias


class ValType(StrEnum):
    """A Wasm value type. Every reference type other than funcref, externref and exnref is `REF`."""

    I32 = "i32"
    I64 = "i64"
    F32 = "f32"
    F64 = "f64"
    V128 = "v128"
    FUNCREF = "funcref"
    EXTERNREF = "externref"
    EXNREF = "exnref"
    REF = "ref"

    @property
    def is_reference(self) -> bool:
        """True for the types that cannot cross between host and guest."""
        return self in _REFERENCES

    @classmethod
    def parse(cls, text: str) -> ValType:
        """The type written as `text` by the inspector; any unknown spelling is a reference type."""
        return _VAL_TYPES.get(text, cls.REF)


_VAL_TYPES: Final[dict[str, ValType]] = {t.value: t for t in ValType}
_REFERENCES: Final = frozenset({ValType.FUNCREF, ValType.EXTERNREF, ValType.EXNREF, ValType.REF})


class _BitFloat(float):
    """A float with the exact bits of a Wasm value; needed where Python would lose a NaN's sign or payload.

    Two of them are equal when their bits are equal (so a NaN equals itself); against other numbers they
    are floats.
    """

    __slots__ = ("bits",)
    _FLOAT: str
    _BITS: str
    bits: int

    def __new__(cls, bits: int) -> Any:
        raw = struct.pack(cls._BITS, bits)
        self = super().__new__(cls, struct.unpack(cls._FLOAT, raw)[0])
        self.bits = bits
        return self

    def __getnewargs__(self) -> tuple[int]:  # type: ignore[override]
        return (self.bits,)

    def __eq__(self, other: object) -> bool:
        if type(other) is type(self):
            return self.bits == other.bits
        return float.__eq__(self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        # A value that equals a plain float must hash like it; NaNs never do, so their bits may be used.
        return hash(self.bits) if self != float(self) else float.__hash__(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(0x{self.bits:0{2 * struct.calcsize(self._BITS)}x})"


class Float32(_BitFloat):
    """An f32 by its 32 bits: `Float32(0x7fc00001)`. Results that are NaN come back as this."""

    __slots__ = ()
    _FLOAT, _BITS = "<f", "<I"


class Float64(_BitFloat):
    """An f64 by its 64 bits: `Float64(0x7ff8000000000001)`. Results that are NaN come back as this."""

    __slots__ = ()
    _FLOAT, _BITS = "<d", "<Q"


Value: TypeAlias = int | float | bytes
"""i32 and i64 (signed when they come from a guest), f32 and f64, v128 (16 bytes, little endian)."""


class ExternKind(StrEnum):
    """What an import or export is."""

    FUNC = "func"
    MEMORY = "memory"
    TABLE = "table"
    GLOBAL = "global"
    TAG = "tag"


@dataclass(frozen=True, slots=True)
class FuncType:
    """A function signature (also a tag's: no results)."""

    params: tuple[ValType, ...] = ()
    results: tuple[ValType, ...] = ()

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


@dataclass(frozen=True, slots=True)
class MemoryType:
    """A linear memory's type; sizes in Wasm pages of 64 KiB."""

    min_pages: int
    max_pages: int | None = None
    memory64: bool = False
    shared: bool = False


@dataclass(frozen=True, slots=True)
class TableType:
    """A table's type; sizes in elements."""

    element: str
    min: int
    max: int | None = None
    table64: bool = False


@dataclass(frozen=True, slots=True)
class GlobalType:
    """A global's type."""

    value: ValType
    mutable: bool = False


ExternType: TypeAlias = FuncType | MemoryType | TableType | GlobalType


@dataclass(frozen=True, slots=True)
class Import:
    """One import of a module."""

    module: str
    name: str
    kind: ExternKind
    type: ExternType

    @property
    def key(self) -> str:
        """How a provider names it: "module.name"."""
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, slots=True)
class Export:
    """One export of a module; `index` is its position in the export list."""

    name: str
    kind: ExternKind
    type: ExternType
    index: int


@dataclass(frozen=True, slots=True)
class MemoryInfo:
    """One linear memory of a module, imported or its own; sizes in pages of 64 KiB."""

    index: int
    type: MemoryType
    imported: bool


@dataclass(frozen=True, slots=True)
class CustomSection:
    """A custom section's name and length in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """Everything the inspector says about a module. Sizes in bytes unless named otherwise."""

    size: int
    sha256: str
    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    memories: tuple[MemoryInfo, ...]
    tables: tuple[TableType, ...]
    globals: int
    functions: int
    start: bool
    features: tuple[str, ...]
    custom_sections: tuple[CustomSection, ...]
    data_segments: int
    elem_segments: int
    code_bytes: int
    producers: Mapping[str, Mapping[str, str]]
    memory_bytes_min: int

    @property
    def functions_exported(self) -> tuple[Export, ...]:
        """The exported functions, in export order."""
        return tuple(e for e in self.exports if e.kind is ExternKind.FUNC)

    @property
    def functions_imported(self) -> tuple[Import, ...]:
        """The host functions that the module needs, in import order."""
        return tuple(i for i in self.imports if i.kind is ExternKind.FUNC)


TRAP_CODES: Final[tuple[str, ...]] = (
    "unreachable",
    "memory-out-of-bounds",
    "table-out-of-bounds",
    "indirect-call-to-null",
    "bad-signature",
    "integer-overflow",
    "integer-division-by-zero",
    "bad-conversion-to-integer",
    "stack-overflow",
    "heap-misaligned",
    "null-reference",
    "array-out-of-bounds",
    "allocation-too-large",
    "memory-limit",
    "table-limit",
    "cast-failure",
    "exception",
    "page-fault",
    "invalid-opcode",
    "general-protection",
    "guest-fault",
    "other",
)
"""Every `Trap.code`, the same for all engines. Before "other": CPU exceptions of native guests, and
"guest-fault", what no Wasm guest can cause by itself."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One active call of a guest, as far as its module says: names and lines are the guest author's words."""

    function_index: int
    """Index of a Wasm function in its module; -1 for native code."""
    name: str
    """Of the function, from the name section, the exports or the symbol table; "" where there is none."""
    offset: int
    """Of the instruction: bytes from the start of a Wasm module (-1: not known), or the native address. Of a
    caller, it is the call's."""
    file: str = ""
    """Path of the source file as the compiler wrote it; "" without debug information."""
    line: int = 0
    """From 1; 0 without debug information. Of inlined code it is the inlined line."""
    start: int = 0
    """Where the function begins, as `offset`; 0: not known."""

    def __str__(self) -> str:
        name = self.name or (f"wasm-function[{self.function_index}]" if self.function_index >= 0 else "")
        if self.line:
            place = f"{self.file.rpartition('/')[2]}:{self.line}"
        else:
            place = f"{self.offset:#x}" if self.offset >= 0 else ""
        return f"{name} ({place})" if name and place else name or place


@dataclass(frozen=True, slots=True)
class Registers:
    """General registers and segments of an x86-64 CPU."""

    rax: int
    rbx: int
    rcx: int
    rdx: int
    rsi: int
    rdi: int
    rbp: int
    rsp: int
    r8: int
    r9: int
    r10: int
    r11: int
    r12: int
    r13: int
    r14: int
    r15: int
    rip: int
    rflags: int
    cs: int
    ss: int
    ds: int
    es: int
    fs: int
    gs: int
    fs_base: int
    gs_base: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Bytes of a guest that are not what they are in its snapshot."""

    address: int
    """Of the first byte, in the address space of the micro-VM."""
    length: int
    """Bytes, of which a few in the middle may be equal."""
    before: bytes
    """What the snapshot has there: the first 32 bytes at most."""
    after: bytes
    """The same bytes now."""
    place: str
    """What lies there, as far as it is known: "memory 'memory' +0x40, data segment '.data' +0x8"."""

    def __str__(self) -> str:
        more = "..." if self.length > len(self.after) else ""
        return (
            f"{self.place} ({self.address:#x}, {self.length} bytes): "
            f"{self.before.hex(' ')}{more} became {self.after.hex(' ')}{more}"
        )


class Failure:
    """Base class of the outcomes that carry no value (`Failed` is their union)."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Ok:
    """The call returned; `values` are its results in order."""

    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A CPU exception inside the VM. Addresses are the guest's; `address` is that of a page fault, or 0.

    `vector` and `error_code` as in the Intel SDM, vol. 3, chapter 6. `symbol` ("name+0x1a"), `file`, `line`
    are where `rip` is, as far as the guest's file says.
    """

    vector: int
    error_code: int
    address: int
    rip: int
    rsp: int
    symbol: str = ""
    file: str = ""
    line: int = 0
    registers: Registers | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Trap(Failure):
    """The guest trapped. `code` is one of `TRAP_CODES`; `message` is for people and not compared.
    `fault` is there for a CPU exception."""

    code: str
    message: str = field(default="", compare=False)
    fault: Fault | None = field(default=None, compare=False)
    frames: tuple[Frame, ...] = field(default=(), compare=False)
    """The calls that were active, innermost first; empty where the engine does not know."""


@dataclass(frozen=True, slots=True)
class Timeout(Failure):
    """The guest was stopped after `deadline_us` µs of CPU time (or at the wall-clock cap)."""

    deadline_us: int


@dataclass(frozen=True, slots=True)
class Violation(Failure):
    """The guest broke the interface's rules, as `message` says.

    With a schema, `path` is the field ("headers[2].name") and `offset` its byte in the buffer that was given;
    both are None where a rule is not about a field.
    """

    message: str
    path: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class HostError(Failure):
    """The host function `function` ("module.name") failed."""

    function: str
    message: str
    exception: Exception | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Exited(Failure):
    """The guest ended itself with WASI's `proc_exit`; `code` is its exit code, 0 for success."""

    code: int


@dataclass(frozen=True, slots=True)
class LimitExceeded(Failure):
    """The call wanted more than the field `limit` of `CallLimits` allows; the sandbox is at its snapshot."""

    limit: str
    allowed: int
    message: str = field(default="", compare=False)


Failed: TypeAlias = Trap | Timeout | Violation | HostError | Exited | LimitExceeded
Outcome: TypeAlias = Ok | Trap | Timeout | Violation | HostError | Exited | LimitExceeded


@dataclass(frozen=True, slots=True)
class Call:
    """A call as data. A `bytes` argument in the place of two integer parameters is a byte vector."""

    function: str
    args: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class HostCallRecord:
    """One host function call; `result` is empty when it failed."""

    function: str
    args: tuple[Value, ...]
    result: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What one call did. `pages_written` is None where it is not known: in-process, or inside a context."""

    call: Call
    outcome: Outcome
    host_calls: tuple[HostCallRecord, ...]
    seconds: float
    pages_written: int | None


@dataclass(frozen=True, slots=True)
class Stats:
    """Counters of one sandbox since it was opened. A figure that the engine does not have is 0."""

    engine: str
    transport: str = ""
    """kvm: "spin" or "exit", as chosen."""
    tracking: str = ""
    """kvm: "ring" or "log", how dirty pages are found."""
    calls: int = 0
    host_calls: int = 0
    traps: int = 0
    timeouts: int = 0
    resets: int = 0
    pages_restored: int = 0
    """Pages of 4096 bytes copied by all resets."""
    last_pages: int = 0
    """Pages copied by the last reset."""
    hot_pages: int = 0
    """Pages restored on each reset whether written or not."""
    evictions: int = 0
    verifies: int = 0
    verify_failures: int = 0
    parks: int = 0
    late_waits: int = 0
    """Exchanges that waited longer than a scheduler quantum: a busy neighbour on the vCPU's CPU."""
    max_wait_ns: int = 0
    memory_bytes: int = 0
    """Size of guest RAM."""
    vcpu_cpu: int = -1
    """CPU of the vCPU thread, -1: not pinned."""


def value_bits(value: Value) -> bytes:
    """`value` as bytes that differ whenever the Wasm values differ: -0.0 is not 0.0, a NaN equals itself.

    An f32 result and its exact f64 are the same Python float and give the same bytes.
    """
    if isinstance(value, bytes):
        return b"v" + value
    if isinstance(value, Float32):
        return b"s" + value.bits.to_bytes(4, "little")
    if isinstance(value, Float64):
        return b"d" + value.bits.to_bytes(8, "little")
    if isinstance(value, float):
        return b"f" + struct.pack("<d", value)
    return b"i" + str(int(value)).encode()


def same_outcome(a: Outcome, b: Outcome) -> bool:
    """True when two outcomes are the same to the bit (messages and exceptions aside)."""
    if isinstance(a, Ok) and isinstance(b, Ok):
        return [value_bits(v) for v in a.values] == [value_bits(v) for v in b.values]
    return a == b
