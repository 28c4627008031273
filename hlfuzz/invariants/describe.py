"""The interface of a guest: by its schema where the configuration names one, else by its module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hlfuzz.bindings import Interface as Schema
from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants.interface import Interface, describe_interface
from hlfuzz.invariants.settings.config import Config, HostMode
from hlfuzz.invariants.typed import Typed, describe_typed


def describe_guest(
    guest: Guest,
    config: Config,
    *,
    only: tuple[str, ...] = (),
    host: Mapping[str, HostMode] | None = None,
    stub_imports: bool = False,
    typed: Typed | None = None,
) -> Interface:
    """What is called in a guest, and what stands in for its host functions.

    With `typed`, or else `config.schema`, the methods are those of the schema, and `only` and the
    configuration's keys are methods of it. The other arguments are those of `describe_interface`.

    Raises: what that raises, `SchemaError` for a schema with errors, `LinkError` for a guest that was built
    for another one.
    """
    if typed is None and config.schema is None:
        return describe_interface(guest.info, config, only=only, host=host, stub_imports=stub_imports)
    typed = typed or _load(config)
    return describe_typed(guest, typed, replace(config, host={**config.host, **(host or {})}), only=only)


def _load(config: Config) -> Typed:
    assert config.schema is not None
    if not config.schema.is_file():
        raise UsageError(f"no schema ({config.schema}, {config.path or '--schema'}): mend its path")
    return Typed(Schema.load(config.schema), path=config.schema)
