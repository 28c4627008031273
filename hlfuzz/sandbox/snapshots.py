"""`Snapshot`: the state of a guest at a quiet point, from which any number of sandboxes can be made."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Final

from hlfuzz.errors import SnapshotError
from hlfuzz.guest import Guest
from hlfuzz.model import GlobalType
from hlfuzz.sandbox.engines.booting import compiled
from hlfuzz.vmm import Template, describe, load, save

_VALUE_BYTES: Final = 16
_WASM_ONLY: Final = ("Limits.table_elements", "Limits.grow")


class Snapshot:
    """An immutable state of a guest: memory, registers, and what WASI remembers. Made by `Sandbox.snapshot()`
    and `CallContext.snapshot()`; `Sandbox(guest, snapshot=...)` begins there, and its resets lead there.

    Any thread may use it, and it outlives the sandbox that it was taken from. It keeps its memory and one
    file descriptor while it, or a sandbox made from it, lives.
    """

    def __init__(
        self,
        guest: Guest,
        template: Template,
        host: tuple[Hashable, object] | None = None,
        *,
        from_file: bool = False,
    ) -> None:
        """`host`: key of the state on the host's side (`engines.base.HostState`), and what it saved; None:
        there is none. A file has none of it, whatever the guest had."""
        self._from_file = from_file
        self._guest = guest
        self._host = host
        self._template = template
        self._info = describe(template)

    @property
    def guest(self) -> Guest:
        """The guest whose state it is."""
        return self._guest

    @property
    def data_bytes(self) -> int:
        """Bytes of guest memory that hold data, of the runtime and the compiled module too."""
        return self._info.data_bytes

    def save(self, path: str | os.PathLike[str], *, compress: bool = False) -> None:
        """Save it as one file, for this guest with these limits on any machine with such a CPU.

        The file appears whole, once it is on disk, or not at all; one of that name is replaced. Only its
        owner can read it. `compress`: with zstd, which takes longer. Raises `SnapshotError` ("io") and
        `ForkedProcess`.
        """
        save(self._template, Path(path), compress=compress)

    @classmethod
    def load(cls, path: str | os.PathLike[str], guest: Guest) -> Snapshot:
        """Load a snapshot of `guest` that `save` wrote.

        Whoever made the file: it can do no more than the guest could, and a file that is not whole, or not of
        this guest, is refused as a whole. Raises `SnapshotError`, `ModuleError`, `EnvironmentProblem`.
        """
        limits = guest.limits
        template = load(
            compiled(guest),
            Path(path),
            memory_bytes=guest.memory_limit,
            table_elements=limits.table_elements,
            stack_bytes=limits.stack_bytes,
            grow_traps=limits.grow == "trap",
        )
        return cls(guest, template, from_file=True)

    def template_for(self, guest: Guest, globals: bytes) -> Template:
        """What sandboxes of `guest` with these imported globals are made of. Raises `SnapshotError`
        ("other-guest")."""
        if guest is not self._guest:
            self._check_same(guest)
        if globals != self._info.globals:
            self._refuse(f"{_differing(guest, globals, self._info.globals)} has another value")
        return self._template

    def host_state_for(self, key: Hashable | None) -> object:
        """What the host's side remembers of the guest, for a sandbox whose state has this key; None for one
        without. Raises `SnapshotError` ("other-guest")."""
        if self._from_file:
            return None
        mine, saved = self._host or (None, None)
        if mine != key:
            self._refuse("the argument `wasi` is another")
        return saved

    def _check_same(self, guest: Guest) -> None:
        mine = self._guest
        for what, theirs, ours in (
            ("the module (SHA-256)", guest.digest, mine.digest),
            ("Limits.memory_bytes", guest.memory_limit, mine.memory_limit),
            ("Limits.stack_bytes", guest.limits.stack_bytes, mine.limits.stack_bytes),
            ("Limits.table_elements", guest.limits.table_elements, mine.limits.table_elements),
            ("Limits.grow", guest.limits.grow, mine.limits.grow),
        ):
            if theirs != ours and not (guest.kind == "elf" and what in _WASM_ONLY):
                self._refuse(f"{what} is {ours} in the snapshot and {theirs} here")

    def _refuse(self, difference: str) -> None:
        raise SnapshotError(
            f"snapshot of another guest ({self._guest.name}): {difference}: use the guest, limits and "
            "imported globals that it was taken with",
            reason="other-guest",
        )

    def __repr__(self) -> str:
        return f"<Snapshot {self._guest.name} {self.data_bytes} bytes>"


def _differing(guest: Guest, here: bytes, there: bytes) -> str:
    names = [i.key for i in guest.info.imports if isinstance(i.type, GlobalType)]
    for index, name in enumerate(names):
        at = slice(index * _VALUE_BYTES, (index + 1) * _VALUE_BYTES)
        if here[at] != there[at]:
            return f"the imported global {name!r}"
    return "an imported global"
