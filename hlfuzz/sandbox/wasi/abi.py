"""The constants of WASI preview 1: functions with their types, groups of functions, errors, rights, types of
files.

Source: the witx files of https://github.com/WebAssembly/WASI, legacy/preview1.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from hlfuzz.model import FuncType, ValType

MODULE: Final = "wasi_snapshot_preview1"
"""The import module of every function here."""

_PARAMETERS: Final = {
    "args_get": "ii",
    "args_sizes_get": "ii",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "clock_res_get": "ii",
    "clock_time_get": "iIi",
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_close": "i",
    "fd_datasync": "i",
    "fd_fdstat_get": "ii",
    "fd_fdstat_set_flags": "ii",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii",
    "fd_pwrite": "iiiIi",
    "fd_read": "iiii",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_seek": "iIii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "fd_write": "iiii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "poll_oneoff": "iiii",
    "proc_exit": "i",
    "proc_raise": "i",
    "random_get": "ii",
    "sched_yield": "",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}
_TYPES: Final = {"i": ValType.I32, "I": ValType.I64}

SIGNATURES: Final[dict[str, FuncType]] = {
    name: FuncType(tuple(_TYPES[t] for t in text), () if name == "proc_exit" else (ValType.I32,))
    for name, text in _PARAMETERS.items()
}
"""The Wasm type of every function of preview 1."""

GROUPS: Final = ("args", "environ", "clock", "random", "stdio", "files", "poll", "exit")
"""What `Wasi(allow=…)` may name."""

GROUP_OF: Final[dict[str, str]] = {
    "args_get": "args",
    "args_sizes_get": "args",
    "environ_get": "environ",
    "environ_sizes_get": "environ",
    "clock_res_get": "clock",
    "clock_time_get": "clock",
    "random_get": "random",
    "poll_oneoff": "poll",
    "sched_yield": "poll",
    "proc_exit": "exit",
}
"""The group that a function needs. Those on descriptors need none: without "stdio" and "files" there is no
descriptor that they could be used on."""


class Errno(IntEnum):
    """The errors that functions here answer with."""

    SUCCESS = 0
    BADF = 8
    EXIST = 20
    FAULT = 21
    ILSEQ = 25
    INVAL = 28
    ISDIR = 31
    NAMETOOLONG = 37
    NFILE = 41
    NOENT = 44
    NOSPC = 51
    NOSYS = 52
    NOTDIR = 54
    NOTSOCK = 57
    NOTSUP = 58
    OVERFLOW = 61
    ROFS = 69
    SPIPE = 70
    NOTCAPABLE = 76


class Rights(IntFlag):
    """What a descriptor may be used for."""

    FD_DATASYNC = 1 << 0
    FD_READ = 1 << 1
    FD_SEEK = 1 << 2
    FD_FDSTAT_SET_FLAGS = 1 << 3
    FD_SYNC = 1 << 4
    FD_TELL = 1 << 5
    FD_WRITE = 1 << 6
    FD_ADVISE = 1 << 7
    PATH_OPEN = 1 << 13
    FD_READDIR = 1 << 14
    PATH_READLINK = 1 << 15
    PATH_FILESTAT_GET = 1 << 18
    FD_FILESTAT_GET = 1 << 21
    POLL_FD_READWRITE = 1 << 27


class Filetype(IntEnum):
    """What is behind a descriptor or a directory entry."""

    UNKNOWN = 0
    """Standard streams: preview 1 has no type for pipes."""
    DIRECTORY = 3
    REGULAR_FILE = 4


class Oflag(IntFlag):
    """How `path_open` opens."""

    CREAT = 1
    DIRECTORY = 2
    EXCL = 4
    TRUNC = 8


class WasiError(Exception):
    """A function answers with this error."""

    refused = False

    def __init__(self, errno: Errno) -> None:
        super().__init__(errno.name)
        self.errno = errno


class Refused(WasiError):
    """As `WasiError`, because the sandbox does not give what was asked for."""

    refused = True
