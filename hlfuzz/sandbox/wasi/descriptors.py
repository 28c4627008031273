"""Functions on open descriptors: reading, writing, positions, facts, directories."""

from __future__ import annotations

import struct
from typing import Final

from hlfuzz.sandbox.wasi.abi import Errno, Filetype, Refused, Rights, WasiError
from hlfuzz.sandbox.wasi.files import Node
from hlfuzz.sandbox.wasi.memory import Memory
from hlfuzz.sandbox.wasi.process import Process, Stream

ROOT_NAME: Final = b"/"
"""Under which the directory is preopened."""

_SET, _CUR, _END = range(3)
_KNOWN_FLAGS: Final = 0b11111
_APPEND_NONBLOCK: Final = 0b101
_ADVICE: Final = 6
_FDSTAT: Final = struct.Struct("<BxHxxxxQQ")
_FILESTAT: Final = struct.Struct("<QQB7xQQQQQ")
_PRESTAT: Final = struct.Struct("<B3xI")
_DIRENT: Final = struct.Struct("<QQIB3x")
_I64_MAX: Final = (1 << 63) - 1


def fd_read(process: Process, memory: Memory, number: int, vectors: int, count: int, out: int) -> None:
    found = process.descriptor(number)
    if isinstance(found.what, Node):
        if found.what.data is None:
            raise WasiError(Errno.ISDIR)
        data = found.what.data
    elif found.what is Stream.STDIN:
        data = process.wasi.stdin
    else:
        raise WasiError(Errno.BADF)
    found.need(Rights.FD_READ)
    found.offset += _give(memory, data, found.offset, vectors, count, out)


def fd_pread(
    process: Process, memory: Memory, number: int, vectors: int, count: int, offset: int, out: int
) -> None:
    _, data = process.file(number, Rights.FD_READ)
    _give(memory, data, offset, vectors, count, out)


def fd_write(process: Process, memory: Memory, number: int, vectors: int, count: int, out: int) -> None:
    found = process.descriptor(number)
    recorder = process.recorder
    if found.what is Stream.STDOUT:
        kept, limit = recorder.stdout, process.wasi.stdout_limit
    elif found.what is Stream.STDERR:
        kept, limit = recorder.stderr, process.wasi.stderr_limit
    else:
        raise WasiError(Errno.BADF)  # as for what was opened for reading only
    found.need(Rights.FD_WRITE)
    wanted = memory.vectors(vectors, count)
    memory.check(out, 4)
    room = limit - len(kept)
    if room <= 0 and any(length for _, length in wanted):
        raise Refused(Errno.NOSPC)
    written = 0
    for start, length in wanted:
        data = memory.read(start, min(length, room - written))
        kept += data
        written += len(data)
    memory.write_u32(out, written)


def fd_pwrite(
    process: Process, memory: Memory, number: int, vectors: int, count: int, offset: int, out: int
) -> None:
    process.file(number, Rights(0))
    raise WasiError(Errno.BADF)


def fd_seek(process: Process, memory: Memory, number: int, offset: int, whence: int, out: int) -> None:
    found, data = process.file(number, Rights.FD_SEEK)
    if whence > _END:
        raise WasiError(Errno.INVAL)
    signed = offset - (1 << 64) if offset > _I64_MAX else offset
    target = signed + (0 if whence == _SET else found.offset if whence == _CUR else len(data))
    if not 0 <= target <= _I64_MAX:
        raise WasiError(Errno.INVAL)
    memory.write_u64(out, target)
    found.offset = target


def fd_tell(process: Process, memory: Memory, number: int, out: int) -> None:
    found, _ = process.file(number, Rights.FD_TELL)
    memory.write_u64(out, found.offset)


def fd_close(process: Process, memory: Memory, number: int) -> None:
    process.descriptor(number)
    del process.descriptors[number]


def fd_renumber(process: Process, memory: Memory, source: int, target: int) -> None:
    found = process.descriptor(source)
    process.descriptor(target)
    if source != target:
        process.descriptors[target] = found
        del process.descriptors[source]


def fd_fdstat_get(process: Process, memory: Memory, number: int, out: int) -> None:
    found = process.descriptor(number)
    memory.write(out, _FDSTAT.pack(found.filetype, found.flags, found.rights, found.inheriting))


def fd_fdstat_set_flags(process: Process, memory: Memory, number: int, flags: int) -> None:
    found = process.descriptor(number)
    found.need(Rights.FD_FDSTAT_SET_FLAGS)
    if flags & ~_KNOWN_FLAGS:
        raise WasiError(Errno.INVAL)
    if flags & ~_APPEND_NONBLOCK:
        raise WasiError(Errno.NOTSUP)
    found.flags = flags


def fd_fdstat_set_rights(process: Process, memory: Memory, number: int, base: int, inheriting: int) -> None:
    found = process.descriptor(number)
    if base & ~int(found.rights) or inheriting & ~int(found.inheriting):
        raise Refused(Errno.NOTCAPABLE)
    found.rights, found.inheriting = Rights(base), Rights(inheriting)


def fd_filestat_get(process: Process, memory: Memory, number: int, out: int) -> None:
    found = process.descriptor(number)
    found.need(Rights.FD_FILESTAT_GET)
    memory.write(out, filestat(process, found.what))


def filestat(process: Process, what: Node | Stream) -> bytes:
    """The facts about a file; all times are when the guest started."""
    time = process.wasi.clock
    if isinstance(what, Node):
        return _FILESTAT.pack(1, what.inode, what.filetype, 1, what.size, time, time, time)
    return _FILESTAT.pack(0, 0, Filetype.UNKNOWN, 1, 0, time, time, time)


def fd_prestat_get(process: Process, memory: Memory, number: int, out: int) -> None:
    _preopened(process, number)
    memory.write(out, _PRESTAT.pack(0, len(ROOT_NAME)))


def fd_prestat_dir_name(process: Process, memory: Memory, number: int, name: int, length: int) -> None:
    _preopened(process, number)
    if length < len(ROOT_NAME):
        raise WasiError(Errno.NAMETOOLONG)
    memory.write(name, ROOT_NAME)


def fd_readdir(
    process: Process, memory: Memory, number: int, buffer: int, length: int, cookie: int, out: int
) -> None:
    _, node = process.directory(number, Rights.FD_READDIR)
    memory.check(buffer, length)
    memory.check(out, 4)
    listed = [(".", node), ("..", node), *node.entries.items()]
    filled = bytearray()
    for position in range(cookie, len(listed)):
        name, entry = listed[position]
        encoded = name.encode()
        filled += _DIRENT.pack(position + 1, entry.inode, len(encoded), entry.filetype) + encoded
        if len(filled) >= length:
            break
    memory.write(buffer, bytes(filled[:length]))
    memory.write_u32(out, min(len(filled), length))


def fd_advise(process: Process, memory: Memory, number: int, offset: int, length: int, advice: int) -> None:
    process.file(number, Rights.FD_ADVISE)
    if advice >= _ADVICE:
        raise WasiError(Errno.INVAL)


def fd_sync(process: Process, memory: Memory, number: int) -> None:
    if isinstance(process.descriptor(number).what, Stream):
        raise WasiError(Errno.INVAL)


def fd_allocate(process: Process, memory: Memory, number: int, offset: int, length: int) -> None:
    _not_writable(process, number)


def fd_filestat_set_size(process: Process, memory: Memory, number: int, size: int) -> None:
    _not_writable(process, number)


def fd_filestat_set_times(
    process: Process, memory: Memory, number: int, accessed: int, modified: int, flags: int
) -> None:
    process.descriptor(number)
    raise Refused(Errno.ROFS)


def no_socket(process: Process, memory: Memory, number: int, *rest: int) -> None:
    """What every socket function answers."""
    process.descriptor(number)
    raise Refused(Errno.NOTSOCK)


def _preopened(process: Process, number: int) -> None:
    """Guests count the preopened directories so: that there is none is an answer, and no refusal."""
    found = process.descriptors.get(number)
    if found is None or not found.preopened:
        raise WasiError(Errno.BADF)


def _not_writable(process: Process, number: int) -> None:
    """POSIX answers so for what was not opened for writing, and nothing can be."""
    process.descriptor(number)
    raise Refused(Errno.BADF)


def _give(memory: Memory, data: bytes, offset: int, vectors: int, count: int, out: int) -> int:
    """Fill the guest's buffers from `data` at `offset`; how many bytes that were."""
    wanted = memory.vectors(vectors, count)
    memory.check(out, 4)
    at = min(offset, len(data))
    begin = at
    for start, length in wanted:
        piece = data[at : at + length]
        memory.write(start, piece)
        at += len(piece)
    memory.write_u32(out, at - begin)
    return at - begin
