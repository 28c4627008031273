"""Small Wasm modules that each try to use up one resource; `bounds` runs them to test the limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from hlfuzz.guest import CallLimits, Limits
from hlfuzz.model import LimitExceeded, Ok, Outcome, Timeout, Trap, Violation
from hlfuzz.sandbox import Wasi

MEMORY_PAGES: Final = 256
TABLE_ELEMENTS: Final = 1 << 16
LIMITS: Final = Limits(memory_bytes=MEMORY_PAGES << 16, table_elements=TABLE_ELEMENTS)
"""Small, so that a module that grows to the limit gets there soon."""

HOST_CALLS: Final = 100
OUTPUT_BYTES: Final = 4096
READ_BYTES: Final = 65536
LOG_BYTES: Final = 4096
NESTED_CALLS: Final = 16
"""Calls that may be open at once (docs/host-functions.md, "Nested calls")."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One module. Its export `run` attacks, after it has left a mark; `left`, which takes nothing, tells
    whether there is one.

    `wat` is its source, `expected` what must become of the attack. `way`: `run` takes nothing, or a byte
    vector and gives one back. `export` is what is called in the place of `run`; `native`: it is an ELF.
    """

    wat: str
    wasm: bytes
    expected: str
    call_limits: CallLimits = field(default_factory=CallLimits)
    way: Literal["plain", "bytes"] = "plain"
    wasi: Wasi | None = None
    export: str = "run"
    native: bool = False

    @property
    def never_ends(self) -> bool:
        """Is it a deadline that it attacks?"""
        return self.expected in ("timeout", "start-error")

    def contained(self, outcome: Outcome) -> bool:
        """Did the limit that this module attacks hold?"""
        what, _, value = self.expected.partition(" ")
        match what:
            case "timeout":
                return isinstance(outcome, Timeout)
            case "trap":
                return isinstance(outcome, Trap) and outcome.code == value
            case "limit":
                return isinstance(outcome, LimitExceeded) and outcome.limit == value
            case "violation":
                return isinstance(outcome, Violation)
            case _:
                return outcome == Ok((int(value),))


HOSTILE: Final[dict[str, Hostile]] = {
    "endless-loop": Hostile(
        """(module
          (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (global.set $m (i32.const 1))
            (loop br 0)))""",
        bytes.fromhex(
            "0061736d010000000108026000017f60000003030200010606017f0141000b070e02046c65667400000372756e00010a"
            "1202040023000b0b004101240003400c000b0b000b046e616d6507040100016d"
        ),
        "timeout",
    ),
    "endless-growth": Hostile(
        """(module (memory (export "memory") 1)
          (func (export "left") (result i32) (memory.size))
          (func (export "run") (result i32)
            (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (memory.size)))""",
        bytes.fromhex(
            "0061736d010000000105016000017f03030200000503010001071703066d656d6f72790200046c65667400000372756e"
            "00010a170204003f000b1000034041014000417f470d000b3f000b"
        ),
        f"exactly {MEMORY_PAGES}",
    ),
    "table-growth": Hostile(
        """(module (table 0 funcref) (func (export "left") (result i32) (table.size))
          (func (export "run") (result i32)
            (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 4096)) (i32.const -1))))
            (table.size)))""",
        bytes.fromhex(
            "0061736d010000000105016000017f0303020000040401700000070e02046c65667400000372756e00010a1d020500fc"
            "10000b15000340d070418020fc0f00417f470d000bfc10000b"
        ),
        f"exactly {TABLE_ELEMENTS}",
    ),
    "host-call-flood": Hostile(
        """(module (import "env" "tick" (func $tick)) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (global.set $m (i32.const 1))
            (loop (call $tick) (br 0))))""",
        bytes.fromhex(
            "0061736d010000000108026000006000017f020c0103656e76047469636b000003030201000606017f0141000b070e02"
            "046c65667400010372756e00020a1402040023000b0d0041012400034010000c000b0b0014046e616d65010701000474"
            "69636b07040100016d"
        ),
        "limit host_calls",
        call_limits=CallLimits(host_calls=HOST_CALLS),
    ),
    "output-flood": Hostile(
        """(module (memory (export "memory") 32) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "alloc") (param i32) (result i32) (i32.const 1024))
          (func (export "run") (param i32 i32) (result i64) (global.set $m (i32.const 1))
            (i64.const 0x0000_0400_0010_0000)))""",
        bytes.fromhex(
            "0061736d010000000110036000017f60017f017f60027f7f017e03040300010205030100200606017f0141000b071f04"
            "066d656d6f72790200046c656674000005616c6c6f6300010372756e00020a1b03040023000b05004180080b0e004101"
            "2400428080c0808080010b000b046e616d6507040100016d"
        ),
        "limit output_bytes",
        call_limits=CallLimits(output_bytes=OUTPUT_BYTES),
        way="bytes",
    ),
    "read-flood": Hostile(
        """(module (import "env" "take" (func $take (param i32 i32)))
          (memory (export "memory") 32) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (global.set $m (i32.const 1))
            (call $take (i32.const 0) (i32.const 0x100000))))""",
        bytes.fromhex(
            "0061736d01000000010d0360027f7f006000017f600000020c0103656e760474616b6500000303020102050301002006"
            "06017f0141000b071703066d656d6f72790200046c65667400010372756e00020a1602040023000b0f00410124004100"
            "418080c00010000b0014046e616d65010701000474616b6507040100016d"
        ),
        "limit host_call_bytes",
        call_limits=CallLimits(host_call_bytes=READ_BYTES),
    ),
    "endless-recursion": Hostile(
        """(module
          (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func $f (export "run") (global.set $m (i32.const 1))
            (call $f)))""",
        bytes.fromhex(
            "0061736d010000000108026000017f60000003030200010606017f0141000b070e02046c65667400000372756e00010a"
            "0f02040023000b08004101240010010b0011046e616d6501040101016607040100016d"
        ),
        "trap stack-overflow",
    ),
    "wide-frames": Hostile(
        """(module
          (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func $f (param i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64 i64)
            (result i64)
            (global.set $m (i32.const 1))
            (i64.add (local.get 15) (call $f
              (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5)
              (local.get 6) (local.get 7) (local.get 8) (local.get 9) (local.get 10)
              (local.get 11) (local.get 12) (local.get 13) (local.get 14) (local.get 15)
              (local.get 0))))
          (func (export "run") (result i64) (call $f
            (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4) (i64.const 5)
            (i64.const 6) (i64.const 7) (i64.const 8) (i64.const 9) (i64.const 10)
            (i64.const 11) (i64.const 12) (i64.const 13) (i64.const 14) (i64.const 15)
            (i64.const 16))))""",
        bytes.fromhex(
            "0061736d01000000011d036000017f60107e7e7e7e7e7e7e7e7e7e7e7e7e7e7e7e017e6000017e030403000102060601"
            "7f0141000b070e02046c65667400000372756e00020a5703040023000b2b0041012400200f2001200220032004200520"
            "06200720082009200a200b200c200d200e200f200010017c0b2400420142024203420442054206420742084209420a42"
            "0b420c420d420e420f421010010b0011046e616d6501040101016607040100016d"
        ),
        "trap stack-overflow",
    ),
    "indirect-recursion": Hostile(
        """(module
          (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m)) (type $t (func (param i32) (result i32)))
          (table 2 2 funcref)
          (elem (i32.const 0) $a $b)
          (func $a (param i32) (result i32)
            (global.set $m (i32.const 1))
            (i32.add (i32.const 1) (call_indirect
              (type $t) (local.get 0) (i32.const 1))))
          (func $b (param i32) (result i32)
            (i32.add (i32.const 1) (call_indirect
              (type $t) (local.get 0) (i32.const 0))))
          (func (export "run") (result i32) (call $a (i32.const 1))))""",
        bytes.fromhex(
            "0061736d01000000010a0260017f017f6000017f03050401000001040501700102020606017f0141000b070e02046c65"
            "667400000372756e00030908010041000b0201020a2b04040023000b1000410124004101200041011100006a0b0c0041"
            "01200041001100006a0b0600410110010b001a046e616d6501070201016102016204040100017407040100016d"
        ),
        "trap stack-overflow",
    ),
    "host-recursion": Hostile(
        """(module (import "env" "nest" (func $nest (result i32))) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (result i32) (global.set $m (i32.const 1))
            (i32.add (i32.const 1) (call $nest))))""",
        bytes.fromhex(
            "0061736d010000000105016000017f020c0103656e76046e657374000003030200000606017f0141000b070e02046c65"
            "667400010372756e00020a1202040023000b0b0041012400410110006a0b0014046e616d6501070100046e6573740704"
            "0100016d"
        ),
        f"exactly {NESTED_CALLS}",
    ),
    "out-of-bounds": Hostile(
        """(module (memory (export "memory") 1) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (global.set $m (i32.const 1))
            (i32.store (i32.const -4) (i32.const 1))))""",
        bytes.fromhex(
            "0061736d010000000108026000017f600000030302000105030100010606017f0141000b071703066d656d6f72790200"
            "046c65667400000372756e00010a1402040023000b0d0041012400417c41013602000b000b046e616d6507040100016d"
        ),
        "trap memory-out-of-bounds",
    ),
    "input-flood": Hostile(
        """(module (memory (export "memory") 1) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "alloc") (param i32) (result i32) (global.set $m (i32.const 1))
            (i32.const 65532))
          (func (export "run") (param i32 i32) (result i64) (i64.const 0)))""",
        bytes.fromhex(
            "0061736d010000000110036000017f60017f017f60027f7f017e03040300010205030100010606017f0141000b071f04"
            "066d656d6f72790200046c656674000005616c6c6f6300010372756e00020a1603040023000b0a004101240041fcff03"
            "0b040042000b000b046e616d6507040100016d"
        ),
        "violation",
        way="bytes",
    ),
    "endless-allocator": Hostile(
        """(module (memory (export "memory") 1) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "alloc") (param i32) (result i32) (global.set $m (i32.const 1))
            (loop (br 0)) (i32.const 1024))
          (func (export "run") (param i32 i32) (result i64) (i64.const 0)))""",
        bytes.fromhex(
            "0061736d010000000110036000017f60017f017f60027f7f017e03040300010205030100010606017f0141000b071f04"
            "066d656d6f72790200046c656674000005616c6c6f6300010372756e00020a1a03040023000b0e004101240003400c00"
            "0b4180080b040042000b000b046e616d6507040100016d"
        ),
        "timeout",
        way="bytes",
    ),
    "loop-through-host": Hostile(
        """(module (import "env" "tick" (func $tick)) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (global.set $m (i32.const 1))
            (loop (call $tick) (br 0))))""",
        bytes.fromhex(
            "0061736d010000000108026000006000017f020c0103656e76047469636b000003030201000606017f0141000b070e02"
            "046c65667400010372756e00020a1402040023000b0d0041012400034010000c000b0b0014046e616d65010701000474"
            "69636b07040100016d"
        ),
        "timeout",
        call_limits=CallLimits(host_calls=None),
    ),
    "log-flood": Hostile(
        """(module (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1) (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m))
          (func (export "run") (result i32) (local $i i32) (local $sum i32) (global.set $m (i32.const 1))
            (i32.store (i32.const 0) (i32.const 1024))
            (i32.store (i32.const 4) (i32.const 1024))
            (loop
              (if (i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1)
                (i32.const 8)))
                (then (local.set $sum (i32.add (local.get $sum) (i32.load (i32.const 8))))))
              (local.set $i (i32.add (local.get $i) (i32.const 1)))
              (br_if 0 (i32.lt_u (local.get $i) (i32.const 64))))
            (local.get $sum)))""",
        bytes.fromhex(
            "0061736d01000000010d0260047f7f7f7f017f6000017f02230116776173695f736e617073686f745f70726576696577"
            "310866645f77726974650000030302010105030100010606017f0141000b071703066d656d6f72790200046c65667400"
            "010372756e00020a4b02040023000b4401027f4101240041004180083602004104418008360200034041014100410141"
            "081000450440200141082802006a21010b200041016a2100200041c000490d000b20010b0022046e616d650108010005"
            "7772697465020b010202000169010373756d07040100016d"
        ),
        f"exactly {LOG_BYTES}",
        wasi=Wasi(allow=("stdio",), stdout_limit=LOG_BYTES),
    ),
    "endless-start": Hostile(
        """(module
          (global $m (mut i32) (i32.const 0))
          (func (export "left") (result i32) (global.get $m)) (func (export "run"))
          (func $s (loop (br 0))) (start $s))""",
        bytes.fromhex(
            "0061736d010000000108026000017f6000000304030001010606017f0141000b070e02046c65667400000372756e0001"
            "0801020a1103040023000b02000b070003400c000b0b0011046e616d6501040102017307040100016d"
        ),
        "start-error",
    ),
}
