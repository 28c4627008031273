"""Arguments, environment, clock, random bytes, polling, the process itself."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from hlfuzz.errors import GuestExited
from hlfuzz.model import Exited
from hlfuzz.sandbox.wasi.abi import Errno, Refused, Rights, WasiError
from hlfuzz.sandbox.wasi.memory import Memory
from hlfuzz.sandbox.wasi.process import Process, Stream

MAX_RANDOM: Final = 1 << 20
"""Random bytes that one call may ask for: they are made while no deadline of the guest runs."""

MAX_SUBSCRIPTIONS: Final = 1024
MONOTONIC_START: Final = 10**9
"""The monotonic clock when the guest starts: not 0, which Go's runtime takes for a broken clock."""

_REALTIME, _MONOTONIC, _LAST_CLOCK = 0, 1, 3
_CLOCK_EVENT, _WRITE_EVENT = 0, 2
_ABSOLUTE: Final = 1
_SUBSCRIPTION: Final = struct.Struct("<QB7x32s")
_CLOCK_SUBSCRIPTION: Final = struct.Struct("<I4xQQH6x")
_EVENT: Final = struct.Struct("<QHB5xQH6x")
_U64: Final = (1 << 64) - 1


def args_sizes_get(process: Process, memory: Memory, count: int, size: int) -> None:
    _sizes(memory, process.wasi.args, count, size)


def args_get(process: Process, memory: Memory, pointers: int, texts: int) -> None:
    _texts(memory, process.wasi.args, pointers, texts)


def environ_sizes_get(process: Process, memory: Memory, count: int, size: int) -> None:
    _sizes(memory, process.wasi.environ, count, size)


def environ_get(process: Process, memory: Memory, pointers: int, texts: int) -> None:
    _texts(memory, process.wasi.environ, pointers, texts)


def clock_res_get(process: Process, memory: Memory, clock: int, out: int) -> None:
    _known(clock)
    memory.write_u64(out, max(1, process.wasi.clock_step))


def clock_time_get(process: Process, memory: Memory, clock: int, precision: int, out: int) -> None:
    _known(clock)
    memory.check(out, 8)
    memory.write_u64(out, min(_U64, _origin(process, clock) + process.tick()))


def random_get(process: Process, memory: Memory, buffer: int, length: int) -> None:
    memory.check(buffer, length)
    if length > MAX_RANDOM:
        raise WasiError(Errno.INVAL)
    memory.write(buffer, process.random(length))


def sched_yield(process: Process, memory: Memory) -> None:
    """There is nobody else."""


def proc_exit(process: Process, memory: Memory, code: int) -> None:
    process.recorder.exit_code = code
    raise GuestExited(f"guest exited with code {code}", Exited(code))


def proc_raise(process: Process, memory: Memory, signal: int) -> None:
    raise Refused(Errno.NOSYS)


def poll_oneoff(
    process: Process, memory: Memory, subscriptions: int, events: int, count: int, out: int
) -> None:
    """Descriptors are always ready. Without any, time goes on to the first of the clocks waited for."""
    if not 0 < count <= MAX_SUBSCRIPTIONS:
        raise WasiError(Errno.INVAL)
    wanted = list(_SUBSCRIPTION.iter_unpack(memory.read(subscriptions, count * _SUBSCRIPTION.size)))
    memory.check(events, count * _EVENT.size)
    memory.check(out, 4)
    ready: list[bytes] = []
    sleeping: list[tuple[int, int]] = []
    for user, kind, body in wanted:
        if kind == _CLOCK_EVENT:
            due = _due(process, body)
            if due is None:
                ready.append(_EVENT.pack(user, Errno.INVAL, kind, 0, 0))
            else:
                sleeping.append((due, user))
        elif kind <= _WRITE_EVENT:
            errno, length = _readiness(process, int.from_bytes(body[:4], "little"))
            ready.append(_EVENT.pack(user, errno, kind, length, 0))
        else:
            raise WasiError(Errno.INVAL)
    if not ready:
        process.elapsed = max(process.elapsed, min(due for due, _ in sleeping))
    ready += [_EVENT.pack(user, 0, _CLOCK_EVENT, 0, 0) for due, user in sleeping if due <= process.elapsed]
    memory.write(events, b"".join(ready))
    memory.write_u32(out, len(ready))


def _due(process: Process, body: bytes) -> int | None:
    """When a clock subscription fires, in nanoseconds since the guest started; None: no such clock."""
    clock, timeout, _, flags = _CLOCK_SUBSCRIPTION.unpack(body)
    if clock > _LAST_CLOCK:
        return None
    if flags & _ABSOLUTE:
        return max(0, timeout - _origin(process, clock))
    return process.elapsed + timeout


def _readiness(process: Process, number: int) -> tuple[Errno, int]:
    try:
        found = process.descriptor(number)
        found.need(Rights.POLL_FD_READWRITE)
    except WasiError as e:
        return e.errno, 0
    size = len(process.wasi.stdin) if found.what is Stream.STDIN else 0
    if not isinstance(found.what, Stream):
        size = found.what.size
    return Errno.SUCCESS, max(0, size - found.offset)


def _known(clock: int) -> None:
    if clock > _LAST_CLOCK:
        raise WasiError(Errno.INVAL)


def _origin(process: Process, clock: int) -> int:
    """What a clock showed when the guest started."""
    return process.wasi.clock if clock == _REALTIME else MONOTONIC_START if clock == _MONOTONIC else 0


def _sizes(memory: Memory, texts: Sequence[bytes], count: int, size: int) -> None:
    memory.check(size, 4)
    memory.write_u32(count, len(texts))
    memory.write_u32(size, sum(len(text) + 1 for text in texts))


def _texts(memory: Memory, texts: Sequence[bytes], pointers: int, buffer: int) -> None:
    starts: list[int] = []
    at = buffer
    for text in texts:
        starts.append(at)
        at += len(text) + 1
    memory.check(buffer, at - buffer)
    memory.write(pointers, struct.pack(f"<{len(starts)}I", *starts))
    memory.write(buffer, b"".join(text + b"\0" for text in texts))
