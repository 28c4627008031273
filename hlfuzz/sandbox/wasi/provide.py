"""Providers of the WASI functions that a guest imports, over one `Process`."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection
from typing import Any, Final

from hlfuzz.errors import AbiViolation, LinkError
from hlfuzz.guest import Guest
from hlfuzz.model import ExternKind, Import, ValType, Violation
from hlfuzz.sandbox.hostcalls import Caller
from hlfuzz.sandbox.providers import HostFunction
from hlfuzz.sandbox.wasi import descriptors, paths, system
from hlfuzz.sandbox.wasi.abi import GROUP_OF, MODULE, SIGNATURES, Errno, Refused, WasiError
from hlfuzz.sandbox.wasi.activity import WasiCall
from hlfuzz.sandbox.wasi.config import Wasi
from hlfuzz.sandbox.wasi.memory import Memory
from hlfuzz.sandbox.wasi.process import Process

_SHARED: Final = {
    "fd_datasync": descriptors.fd_sync,
    "sock_accept": descriptors.no_socket,
    "sock_recv": descriptors.no_socket,
    "sock_send": descriptors.no_socket,
    "sock_shutdown": descriptors.no_socket,
}


def _implementation(name: str) -> Callable[..., None]:
    for module in (system, descriptors, paths):
        found = getattr(module, name, None)
        if found is not None:
            return found
    return _SHARED[name]


_FUNCTIONS: Final = {name: _implementation(name) for name in SIGNATURES}
_MASKS: Final = {ValType.I32: 0xFFFF_FFFF, ValType.I64: 0xFFFF_FFFF_FFFF_FFFF}


def provide(guest: Guest, wasi: Wasi, given: Collection[str]) -> tuple[Process, dict[str, HostFunction]]:
    """The state of a WASI guest, and a provider for each import of it that `given` does not name.

    Raises `LinkError` for an import that preview 1 does not have, or has with another type.
    """
    wanted = {
        index: imported
        for index, imported in enumerate(guest.info.imports)
        if imported.module == MODULE and imported.key not in given
    }
    for imported in wanted.values():
        _check(guest, imported)
    process = Process(wasi, frozenset(wanted))
    return process, {i.key: HostFunction(_provider(process, i.name), caller=True) for i in wanted.values()}


def _check(guest: Guest, imported: Import) -> None:
    signature = SIGNATURES.get(imported.name)
    if signature is None or imported.kind is not ExternKind.FUNC:
        near = difflib.get_close_matches(imported.name, SIGNATURES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "give it by host="
        raise LinkError(
            f"WASI preview 1 has no {imported.kind} {imported.name!r} ({guest.name}, "
            f"{imported.key!r}): {hint}"
        )
    if imported.type != signature:
        raise LinkError(
            f"WASI preview 1 has {imported.name!r} with another type ({guest.name}): it imports "
            f"{imported.type}, the function is {signature}; build the guest for preview 1"
        )


def _provider(process: Process, name: str) -> Callable[..., Any]:
    function = _FUNCTIONS[name]
    masks = [_MASKS[t] for t in SIGNATURES[name].params]
    group = GROUP_OF.get(name)
    if group is not None and group not in process.wasi.allow:
        function = _not_allowed_exit if name == "proc_exit" else _not_allowed

    def run(caller: Caller, *signed: int) -> int:
        args = tuple([value & mask for value, mask in zip(signed, masks, strict=True)])
        refused = False
        errno = Errno.SUCCESS
        try:
            function(process, Memory(caller), *args)
        except WasiError as e:
            errno, refused = e.errno, e.refused
        except AbiViolation:
            refused = True
            raise
        finally:
            process.recorder.add(WasiCall(name, args, errno, refused))
        return errno.value

    return run


def _not_allowed(process: Process, memory: Memory, *args: int) -> None:
    raise Refused(Errno.NOSYS)


def _not_allowed_exit(process: Process, memory: Memory, code: int) -> None:
    message = f"the guest exited with code {code}, and 'exit' is not among what Wasi allows: add it to allow"
    raise AbiViolation(message, Violation(message))
