"""Byte vectors: puts data where the guest's allocator says, and reads results that are pointer and length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias

from hlfuzz.errors import UsageError
from hlfuzz.guest import CONVENTIONS, Guest, find_allocator
from hlfuzz.guest.allocator import Allocator
from hlfuzz.model import Export, Failure, FuncType, LimitExceeded, ValType, Value, Violation
from hlfuzz.sandbox.engines.base import Engine, Returned
from hlfuzz.sandbox.values import canonical_args, is_bytes
from hlfuzz.vmm import Room

ResultForm: TypeAlias = Literal["none", "pair", "packed", "inplace"]
"""How a byte-vector call gives bytes back: "none" (its values as they are), "pair" (results pointer, length),
"packed" (one i64, pointer << 32 | length), "inplace" (the result is a length, the bytes overwrite the
input)."""

BytesForm: TypeAlias = Literal["pair", "packed", "inplace"]
"""A `ResultForm` that gives bytes."""

RESULT_FORMS: Final[tuple[ResultForm, ...]] = ("none", "pair", "packed", "inplace")

CallExport: TypeAlias = Callable[[Export, tuple[object, ...]], "Returned | Failure"]
"""Calls an export without reset."""

_SCRATCH_ALIGNMENT: Final = 16
_POINTER_AND_LENGTH: Final = ((ValType.I32, ValType.I32), (ValType.I64, ValType.I64))
_U32: Final = 0xFFFF_FFFF


def plan(args: Sequence[object], type_: FuncType, function: str, vectors: Vectors) -> list[bool]:
    """For each argument whether it is a byte vector. Raises `UsageError` when they do not fit the function,
    or there is no way to place them; nothing has run then."""
    spans = _spans(args, type_)
    if spans is None:
        raise UsageError(
            f"{len(args)} arguments do not fit ({function!r} {type_}): pass one value a parameter, or bytes "
            "in the place of two integer parameters, pointer and length"
        )
    scalars = [
        value
        for arg, is_vector in zip(args, spans, strict=True)
        for value in ((0, 0) if is_vector else (arg,))
    ]
    canonical_args(scalars, type_, function)
    if any(spans):
        vectors.check(f"{function!r} {type_}")
    return spans


def place(
    args: Sequence[object], spans: Sequence[bool], vectors: Vectors, call: CallExport
) -> tuple[list[object], list[tuple[int, int]]] | Failure:
    """`args` with every byte vector written to guest memory and replaced by pointer and length, and the
    (pointer, length) of each."""
    flat: list[object] = []
    placed: list[tuple[int, int]] = []
    for arg, is_vector in zip(args, spans, strict=True):
        if not is_vector:
            flat.append(arg)
            continue
        assert is_bytes(arg)
        address = vectors.put(bytes(arg), placed, call)
        if isinstance(address, Failure):
            return address
        placed.append((address, len(arg)))
        flat += [address, len(arg)]
    return flat, placed


class Vectors:
    """Allocation in one guest: by its allocator (found by convention, or named), or at a fixed scratch
    address."""

    def __init__(self, guest: Guest, engine: Engine, allocator: str | int | None) -> None:
        self._guest = guest
        self._engine = engine
        self._memory = guest.default_memory()
        self._scratch = allocator if isinstance(allocator, int) else None
        self._allocator: Allocator | None = None
        if not isinstance(allocator, int):
            self._allocator = find_allocator(guest.info, allocator)
            if allocator is not None and self._allocator is None:
                raise UsageError(
                    f"no allocator {allocator!r} ({guest.name}): name an exported function "
                    "(length) -> pointer, or give a scratch address"
                )
        elif allocator < 0:
            raise UsageError(
                f"negative scratch address ({guest.name}, allocator={allocator}): give an address"
            )

    def check(self, what: str) -> None:
        """Raise `UsageError` when there is no way to allocate for the bytes of `what`."""
        if self._memory is None:
            raise UsageError(f"no exported memory for the bytes of {what} ({self._guest.name}): export it")
        if self._allocator is None and self._scratch is None:
            raise UsageError(
                f"no allocator for the bytes of {what} ({self._guest.name}): export one of "
                f"{', '.join(CONVENTIONS)}, or pass allocator=NAME or allocator=ADDRESS (of scratch memory) "
                "to Sandbox"
            )

    def room(self) -> Room | None:
        """Where an engine may put one vector by itself; None when it takes more than a call of an allocator
        with 32-bit addresses."""
        if self._memory is None:
            return None
        if self._allocator is None:
            return None if self._scratch is None else Room(None, scratch=self._scratch)
        if self._allocator.pin is not None or self._allocator.word is not ValType.I32:
            return None
        return Room(self._allocator.export, self._allocator.arguments)

    @property
    def memory(self) -> Export:
        """The memory that vectors are in; there is one after `check`."""
        assert self._memory is not None
        return self._memory

    def put(self, data: bytes, placed: Sequence[tuple[int, int]], call: CallExport) -> int | Failure:
        """Write `data` after what is `placed` already; its address, or why the guest could not take it."""
        if self._allocator is None:
            return self._put_scratch(data, placed)
        arguments = tuple(len(data) if a is None else a for a in self._allocator.arguments)
        address = call(self._allocator.export, arguments)
        if isinstance(address, Failure):
            return address
        if self._allocator.pin is not None:
            pinned = call(self._allocator.pin, (address,))
            if isinstance(pinned, Failure):
                return pinned
        assert isinstance(address, int)
        if self._allocator.word is ValType.I32:
            address &= _U32
        name = self._allocator.export.name
        if address == 0 and data:
            return Violation(f"allocator {name!r} returned null for {len(data)} bytes")
        if address < 0 or not self._engine.memory_write(self.memory, address, data):
            size = self._engine.memory_size(self.memory)
            return Violation(
                f"allocator {name!r} returned {address} for {len(data)} bytes, outside memory 0..{size}"
            )
        return address

    def _put_scratch(self, data: bytes, placed: Sequence[tuple[int, int]]) -> int:
        assert self._scratch is not None
        address = self._scratch
        if placed:
            address = -(-sum(placed[-1]) // _SCRATCH_ALIGNMENT) * _SCRATCH_ALIGNMENT
        if not self._engine.memory_write(self.memory, address, data):
            raise UsageError(
                f"{len(data)} bytes at scratch address {address} are outside memory "
                f"0..{self._engine.memory_size(self.memory)} ({self._guest.name}): choose a lower address"
            )
        return address


def read_result(
    values: tuple[Value, ...],
    type_: FuncType,
    form: ResultForm,
    placed: Sequence[tuple[int, int]],
    engine: Engine,
    memory: Export,
    most: int | None,
) -> bytes | Violation | LimitExceeded:
    """The bytes that a call's results stand for, `most` of them."""
    numbers = [
        v & _U32 if t is ValType.I32 else v
        for v, t in zip(values, type_.results, strict=True)
        if isinstance(v, int)
    ]
    match form, numbers:
        case "pair", [address, length]:
            pass
        case "packed", [word] if type_.results == (ValType.I64,):
            address, length = (word >> 32) & _U32, word & _U32
        case "inplace", [length]:
            address = placed[0][0]
        case _:
            raise UsageError(
                f"results {type_} cannot be read as {form!r}: choose one of {', '.join(RESULT_FORMS)}"
            )
    size = engine.memory_size(memory)
    if address >= 0 and 0 <= length <= size - address:
        exceeded = over_output(length, most)
        if exceeded is not None:
            return exceeded
        data = engine.memory_read(memory, address, length)
        if data is not None:
            return data
    return Violation(f"results name {length} bytes at {address}, outside memory 0..{size}")


def over_output(length: int, most: int | None) -> LimitExceeded | None:
    """The outcome of a call that gives back `length` bytes, if that is more than `most`."""
    if most is None or length <= most:
        return None
    return LimitExceeded("output_bytes", most, f"{length} bytes of output, over the limit of {most}")


def _spans(args: Sequence[object], type_: FuncType) -> list[bool] | None:
    """For each argument whether it is a byte vector, which takes two parameters; None when they do not
    fit."""
    spans: list[bool] = []
    at = 0
    for arg in args:
        pair = type_.params[at : at + 2]
        is_vector = is_bytes(arg) and pair in _POINTER_AND_LENGTH
        spans.append(is_vector)
        at += 2 if is_vector else 1
    return spans if at == len(type_.params) else None
