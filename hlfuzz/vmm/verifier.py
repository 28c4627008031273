"""The native verifier: FlatBuffers of an untrusted side, by a schema's verification program."""

from __future__ import annotations

from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.vmm.library import check, ffi, lib, new_error, sized, text

MAX_DEPTH: Final = 64
"""Tables inside each other, at most and by default."""
MAX_TABLES: Final = 1_000_000
"""Tables in a buffer, by default."""
MAX_BYTES: Final = 0x7FFF_FFFE
"""Bytes of a buffer, at most and by default."""
_NULL: Final = ffi.NULL


class NativeVerifier:
    """The rules of one schema; immutable, any thread. Buffers must be `bytes`: what changes while one looks
    cannot be verified."""

    def __init__(
        self, program: bytes, *, depth: int = MAX_DEPTH, tables: int = MAX_TABLES, size: int = MAX_BYTES
    ) -> None:
        """`program` may come from anywhere: all of it is checked. Limits: `depth` of tables inside each
        other, `tables` and `size` in bytes of one buffer. Raises `UsageError` for what is no program, or no
        limit."""
        if not 1 <= depth <= MAX_DEPTH:
            raise UsageError(f"a depth limit of {depth}: the native verifier takes 1…{MAX_DEPTH}")
        if tables < 1 or size < 1:
            raise UsageError(f"a limit of {tables} tables and {size} bytes: both must be positive")
        options, error = sized("hl_verifier_options"), new_error()
        options.max_depth, options.max_tables = depth, min(tables, 0xFFFF_FFFF)
        options.max_bytes = min(size, MAX_BYTES)
        pointer = check(lib.hl_verifier_new(program, len(program), options, error), error, "")
        self._pointer = ffi.gc(pointer, lib.hl_verifier_free)
        self._check = lib.hl_verifier_check

    def root(self, name: str) -> int:
        """Index of the table with this full name. Raises `UsageError` when the schema has none."""
        index: int = -1 if "\0" in name else lib.hl_verifier_root(self._pointer, name.encode())
        if index < 0:
            raise UsageError(f"the verification program has no table {name!r}: take a name of its schema")
        return index

    def verify(self, root: int, data: bytes) -> tuple[int, int, str] | None:
        """None for a buffer that keeps every rule and has table number `root` as its root; otherwise the rule
        (`HL_RULE_*`), the offset in bytes, and the path of the field (cut after 2031 bytes). Raises
        `UsageError` for a root that the program lacks."""
        rule = self._check(self._pointer, root, data, len(data), _NULL)
        return None if rule == 0 else self._fault(root, data)

    def count_valid(self, root: int, data: bytes, lengths: list[int]) -> int:
        """How many of the buffers that lie end to end in `data` keep every rule. Raises `UsageError` for
        lengths that do not add up."""
        if sum(lengths) != len(data) or any(length < 0 for length in lengths):
            raise UsageError(f"the lengths of the buffers do not add up to {len(data)} bytes")
        array = ffi.new("size_t[]", lengths)
        return lib.hl_verifier_check_many(self._pointer, root, data, array, len(lengths), _NULL)

    def _fault(self, root: int, data: bytes) -> tuple[int, int, str]:
        fault = sized("hl_wire_fault")
        if self._check(self._pointer, root, data, len(data), fault) < 0:
            raise UsageError(f"the verification program has no table number {root}")
        return fault.rule, fault.offset, text(fault.path)
