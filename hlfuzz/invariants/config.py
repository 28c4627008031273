"""Reads hlfuzz.toml: what hlfuzz must know about a guest's interface beyond its Wasm signature."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

from hlfuzz.errors import UsageError

CONFIG_NAME: Final = "hlfuzz.toml"
CONFIG_VERSION: Final = 1
MAX_CONFIG_BYTES: Final = 1 << 20


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
    path: Path | None = None


def find_config(module: Path) -> Path | None:
    """hlfuzz.toml in the module's folder, else None."""
    candidate = module.resolve().parent / CONFIG_NAME
    return candidate if candidate.is_file() else None


def load_config(path: Path) -> Config:
    """Reads and checks a configuration file.

    Raises: UsageError naming file and key when it cannot be read, is no TOML, or has an unknown key or a
    wrong type.
    """
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UsageError(
                f"configuration is larger than {MAX_CONFIG_BYTES} bytes ({path}): is this the right file?"
            )
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read configuration ({path}): {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"configuration is not valid TOML ({path}): {error}") from error
    return _Reader(path).read(document)


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


class _Reader:
    """Turns the parsed TOML into a `Config`, with errors that name the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _fail(self, key: str, problem: str) -> UsageError:
        return UsageError(f"{problem} ({self._path}: {key}): see docs/cli.md for the keys")

    def _table(self, value: Any, key: str, known: frozenset[str] | None = None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._fail(key, "expected a table")
        table = cast(dict[str, Any], value)
        if known is not None and (unknown := sorted(set(table) - known)):
            raise self._fail(
                f"{key}.{unknown[0]}".lstrip("."),
                f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}",
            )
        return table

    def _typed(self, table: dict[str, Any], name: str, kind: type, key: str) -> Any:
        value = table.get(name)
        if value is not None and type(value) is not kind:
            raise self._fail(
                f"{key}.{name}".lstrip("."), f"expected {kind.__name__}, found {type(value).__name__}"
            )
        return value

    def read(self, document: dict[str, Any]) -> Config:
        known = frozenset({"version", "host", "methods", "tenants", "allocator"})
        top = self._table(document, "", known)
        if top.get("version") != CONFIG_VERSION:
            raise self._fail("version", f"expected version = {CONFIG_VERSION}")
        tenants = self._table(top.get("tenants", {}), "tenants", frozenset({"open"}))
        return Config(
            host={n: self._mode(n, m) for n, m in self._table(top.get("host", {}), "host").items()},
            methods={
                n: self._method(n, m) for n, m in self._table(top.get("methods", {}), "methods").items()
            },
            tenant_open=self._typed(tenants, "open", str, "tenants"),
            allocator=self._allocator(top.get("allocator")),
            path=self._path,
        )

    def _allocator(self, value: Any) -> str | int | None:
        if value is None or isinstance(value, str) or (type(value) is int and value > 0):
            return value
        raise self._fail("allocator", "expected the name of an export or an address above 0")

    def _mode(self, name: str, mode: Any) -> HostMode:
        if mode not in (HostMode.RECORD, HostMode.BYTES):
            raise self._fail(f'host."{name}"', f"unknown mode {mode!r}; known are record, bytes")
        return HostMode(mode)

    def _method(self, name: str, value: Any) -> MethodConfig:
        key = f"methods.{name}"
        table = self._table(value, key, frozenset({"stateful", "bytes", "skip"}))
        return MethodConfig(
            stateful=bool(self._typed(table, "stateful", bool, key)),
            bytes=self._typed(table, "bytes", bool, key),
            skip=bool(self._typed(table, "skip", bool, key)),
        )
