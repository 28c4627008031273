"""Reads hlfuzz.toml: what hlfuzz must know about a guest's interface beyond its Wasm signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.invariants.settings.tables import Table, read_toml

CONFIG_NAME: Final = "hlfuzz.toml"
CONFIG_VERSION: Final = 1
INTERFACE_KEYS: Final = frozenset({"host", "methods", "tenants", "allocator", "schema", "native"})
"""What may be said of one guest's interface, in its hlfuzz.toml or in a project's table of targets."""
PROJECT_KEYS: Final = frozenset(
    {
        "targets",
        "engine",
        "reset",
        "timeout",
        "seed",
        "time",
        "require_kvm",
        "store",
        "invariants",
        "checkers",
    }
)
"""What may be said of a project: in [tool.hlfuzz] of pyproject.toml, or beside [targets] in hlfuzz.toml."""


class HostMode(StrEnum):
    """How a recording stand-in for a host function works. All of them return zeros."""

    RECORD = "record"
    """Keeps the arguments as numbers."""
    BYTES = "bytes"
    """The first two parameters are pointer and length of a buffer: its bytes are kept, and one outside the
    guest's
    memory is a violation by the guest."""
    AUTO = "auto"
    """As `bytes` where the first two parameters are i32 and describe a buffer inside the memory, else as
    `record`."""


@dataclass(frozen=True, slots=True)
class MethodConfig:
    """What is known of one exported function. `None`: decide from the signature."""

    stateful: bool = False
    bytes: bool | None = None
    skip: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """The content of one hlfuzz.toml; the defaults are what a module without one gets."""

    host: Mapping[str, HostMode] = field(default_factory=lambda: {})
    methods: Mapping[str, MethodConfig] = field(default_factory=lambda: {})
    tenant_open: str | None = None
    allocator: str | int | None = None
    schema: Path | None = None
    """The schema of the interface; the keys of `methods` and `tenant_open` are methods of it then."""
    native: Path | None = None
    """A native guest that was built from the same source."""
    path: Path | None = None


def find_config(module: Path) -> Path | None:
    """hlfuzz.toml in the module's folder, else None."""
    candidate = module.resolve().parent / CONFIG_NAME
    return candidate if candidate.is_file() else None


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file; the keys of a whole project in it are left to `find_project`.

    Raises: UsageError naming file and key when it cannot be read, is no TOML, or has an unknown key or a
    wrong type.
    """
    top = Table(path, "", read_toml(path))
    check_version(top)
    top.only({"version", *INTERFACE_KEYS, *(PROJECT_KEYS if "targets" in top else ())})
    return read_interface(top)


def check_version(top: Table) -> None:
    """Raises: UsageError unless the file says which version of hlfuzz.toml it is, and it is this one."""
    if top.raw("version") != CONFIG_VERSION:
        raise top.error("version", f"expected version = {CONFIG_VERSION}")


def read_interface(table: Table) -> Config:
    """The keys `INTERFACE_KEYS` of a table. Raises: UsageError naming the key that is wrong."""
    tenants = table.table("tenants")
    tenants.only({"open"})
    host = table.table("host")
    schema, native = table.get("schema", str), table.get("native", str)
    return Config(
        host={name: HostMode(_mode(host, name)) for name in host},
        methods={name: _method(method) for name, method in table.table("methods").tables()},
        tenant_open=tenants.get("open", str),
        allocator=_allocator(table),
        schema=None if schema is None else table.path.parent / schema,
        native=None if native is None else table.path.parent / native,
        path=table.path,
    )


def parse_host_option(text: str) -> tuple[str, HostMode]:
    """`module.name=mode` of the command line. Raises: UsageError when it has another form."""
    name, separator, mode = text.rpartition("=")
    if not separator or "." not in name:
        raise UsageError(
            f"--host {text!r} is not understood: write module.name=mode, for example env.write=bytes"
        )
    if mode not in (HostMode.RECORD, HostMode.BYTES):
        raise UsageError(f"--host {text!r} has an unknown mode {mode!r}: use record or bytes")
    return name, HostMode(mode)


def _allocator(table: Table) -> str | int | None:
    value = table.raw("allocator")
    if value is None or isinstance(value, str):
        return value
    if type(value) is int and value > 0:
        return value
    raise table.error("allocator", "expected the name of an export or an address above 0")


def _mode(host: Table, name: str) -> str:
    mode = host.choice(name, (HostMode.RECORD.value, HostMode.BYTES.value))
    assert mode is not None
    return mode


def _method(table: Table) -> MethodConfig:
    table.only({"stateful", "bytes", "skip"})
    return MethodConfig(
        stateful=bool(table.get("stateful", bool)),
        bytes=table.get("bytes", bool),
        skip=bool(table.get("skip", bool)),
    )
