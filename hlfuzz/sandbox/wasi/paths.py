"""Functions on paths: opening and looking at files of the read-only directory; all that would change it is
refused."""

from __future__ import annotations

from typing import Final

from hlfuzz.sandbox.wasi.abi import Errno, Oflag, Refused, Rights, WasiError
from hlfuzz.sandbox.wasi.descriptors import filestat
from hlfuzz.sandbox.wasi.files import PATH_BYTES, Node, decoded, resolve
from hlfuzz.sandbox.wasi.memory import Memory
from hlfuzz.sandbox.wasi.process import DIRECTORY_RIGHTS, FILE_RIGHTS, Descriptor, Process

_OFLAGS: Final = 0b1111


def path_open(
    process: Process,
    memory: Memory,
    number: int,
    lookup: int,
    path: int,
    length: int,
    oflags: int,
    base: int,
    inheriting: int,
    flags: int,
    out: int,
) -> None:
    parent, start = process.directory(number, Rights.PATH_OPEN)
    text = _path(memory, path, length)
    memory.check(out, 4)
    if oflags > _OFLAGS:
        raise WasiError(Errno.INVAL)
    how = Oflag(oflags)
    try:
        node = resolve(start, text)
    except WasiError as e:
        if e.errno is Errno.NOENT and Oflag.CREAT in how:
            raise Refused(Errno.ROFS) from None
        raise
    if Oflag.CREAT in how and Oflag.EXCL in how:
        raise WasiError(Errno.EXIST)
    if Oflag.DIRECTORY in how and not node.is_directory:
        raise WasiError(Errno.NOTDIR)
    if Oflag.TRUNC in how or base & Rights.FD_WRITE:
        raise WasiError(Errno.ISDIR) if node.is_directory else Refused(Errno.ROFS)
    rights = (DIRECTORY_RIGHTS if node.is_directory else FILE_RIGHTS) & base & parent.inheriting
    inherited = parent.inheriting & inheriting if node.is_directory else Rights(0)
    opened = process.add(Descriptor(node, rights, inherited, flags=flags & 0b101))
    memory.write_u32(out, opened)


def path_filestat_get(
    process: Process, memory: Memory, number: int, lookup: int, path: int, length: int, out: int
) -> None:
    node = _existing(process, memory, number, path, length)
    memory.write(out, filestat(process, node))


def path_readlink(
    process: Process, memory: Memory, number: int, path: int, length: int, buffer: int, size: int, out: int
) -> None:
    _, start = process.directory(number, Rights.PATH_READLINK)
    resolve(start, _path(memory, path, length))
    raise WasiError(Errno.INVAL)  # there are no links


def path_create_directory(process: Process, memory: Memory, number: int, path: int, length: int) -> None:
    _refuse_new(process, memory, number, path, length)


def path_filestat_set_times(
    process: Process, memory: Memory, number: int, lookup: int, path: int, length: int, *times: int
) -> None:
    _refuse_change(process, memory, number, path, length)


def path_remove_directory(process: Process, memory: Memory, number: int, path: int, length: int) -> None:
    _refuse_change(process, memory, number, path, length)


def path_unlink_file(process: Process, memory: Memory, number: int, path: int, length: int) -> None:
    _refuse_change(process, memory, number, path, length)


def path_link(
    process: Process,
    memory: Memory,
    number: int,
    lookup: int,
    path: int,
    length: int,
    new_number: int,
    new_path: int,
    new_length: int,
) -> None:
    _existing(process, memory, number, path, length)
    _refuse_new(process, memory, new_number, new_path, new_length)


def path_rename(
    process: Process,
    memory: Memory,
    number: int,
    path: int,
    length: int,
    new_number: int,
    new_path: int,
    new_length: int,
) -> None:
    _existing(process, memory, number, path, length)
    process.directory(new_number, Rights.PATH_OPEN)
    decoded(_path(memory, new_path, new_length))
    raise Refused(Errno.ROFS)


def path_symlink(
    process: Process, memory: Memory, target: int, target_length: int, number: int, path: int, length: int
) -> None:
    decoded(_path(memory, target, target_length))
    _refuse_new(process, memory, number, path, length)


def _path(memory: Memory, address: int, length: int) -> bytes:
    memory.check(address, length)
    if length > PATH_BYTES:
        raise WasiError(Errno.NAMETOOLONG)
    return memory.read(address, length)


def _existing(process: Process, memory: Memory, number: int, path: int, length: int) -> Node:
    _, start = process.directory(number, Rights.PATH_FILESTAT_GET)
    return resolve(start, _path(memory, path, length))


def _refuse_change(process: Process, memory: Memory, number: int, path: int, length: int) -> None:
    _existing(process, memory, number, path, length)
    raise Refused(Errno.ROFS)


def _refuse_new(process: Process, memory: Memory, number: int, path: int, length: int) -> None:
    try:
        _existing(process, memory, number, path, length)
    except WasiError as e:
        if e.errno is Errno.NOENT:
            raise Refused(Errno.ROFS) from None
        raise
    raise WasiError(Errno.EXIST)
