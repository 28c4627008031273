"""Small Wasm modules that each try to use up one resource; `bounds` runs them to test the limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hlfuzz.guest import Limits
from hlfuzz.model import Ok, Outcome, Timeout, Trap

MEMORY_PAGES: Final = 256
TABLE_ELEMENTS: Final = 1 << 16
LIMITS: Final = Limits(memory_bytes=MEMORY_PAGES << 16, table_elements=TABLE_ELEMENTS)
"""Small, so that a module that grows to the limit gets there soon."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One module: its export `run` takes nothing.

    `wat` is its source, `expected` what must become of the call.
    """

    wat: str
    wasm: bytes
    expected: str

    def contained(self, outcome: Outcome) -> bool:
        """Did the limit that this module attacks hold?"""
        if self.expected == "timeout":
            return isinstance(outcome, Timeout)
        if self.expected.startswith("trap "):
            return isinstance(outcome, Trap) and outcome.code == self.expected.removeprefix("trap ")
        most = int(self.expected.removeprefix("at most "))
        return (
            isinstance(outcome, Ok) and isinstance(outcome.values[0], int) and 0 < outcome.values[0] <= most
        )


HOSTILE: Final[dict[str, Hostile]] = {
    "endless-loop": Hostile(
        '(module (func (export "run") (loop br 0)))',
        bytes.fromhex("0061736d01000000010401600000030201000707010372756e00000a0901070003400c000b0b"),
        "timeout",
    ),
    "endless-growth": Hostile(
        '(module (memory (export "memory") 1) (func (export "run") (result i32)'
        " (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (memory.size)))",
        bytes.fromhex(
            "0061736d010000000105016000017f030201000503010001071002066d656d6f727902000372756e00000a12011000034041014000417f"
            "470d000b3f000b"
        ),
        f"at most {MEMORY_PAGES}",
    ),
    "table-growth": Hostile(
        '(module (table 1 funcref) (func (export "run") (result i32)'
        " (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 4096)) (i32.const -1))))"
        " (table.size)))",
        bytes.fromhex(
            "0061736d010000000105016000017f030201000404017000010707010372756e00000a170115000340d070418020fc0f00417f470d000b"
            "fc10000b"
        ),
        f"at most {TABLE_ELEMENTS}",
    ),
    "endless-recursion": Hostile(
        '(module (func $f (export "run") (call $f)))',
        bytes.fromhex("0061736d01000000010401600000030201000707010372756e00000a0601040010000b"),
        "trap stack-overflow",
    ),
    "out-of-bounds": Hostile(
        '(module (memory (export "memory") 1)'
        ' (func (export "run") (i32.store (i32.const -4) (i32.const 1))))',
        bytes.fromhex(
            "0061736d01000000010401600000030201000503010001071002066d656d6f727902000372756e00000a0b010900417c41013602000b"
        ),
        "trap memory-out-of-bounds",
    ),
}
