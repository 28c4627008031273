"""One instance of a guest in the PyPI `wasmtime` package: a store, the shims, and what the guest exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import wasmtime

from hlfuzz.errors import EnvironmentProblem, HlfuzzError, ModuleError, StartError
from hlfuzz.guest import Guest
from hlfuzz.model import Export, GlobalType, Value
from hlfuzz.sandbox.engines.inprocess import shims
from hlfuzz.sandbox.engines.inprocess.crossing import Raw, lift, lower
from hlfuzz.sandbox.engines.inprocess.traps import trap_of


@dataclass(frozen=True, slots=True)
class Loaded:
    """What all instances of one sandbox share."""

    guest: Guest
    engine: wasmtime.Engine
    module: wasmtime.Module
    front: wasmtime.Module | None
    back: wasmtime.Module | None
    host: wasmtime.Linker
    """Defines the host functions that the front shim imports."""


class Instance:
    """A fresh instance; its start function has not run. Raises `ModuleError`, `StartError`,
    `EnvironmentProblem`."""

    def __init__(self, loaded: Loaded) -> None:
        limits = loaded.guest.limits
        self.store = store = wasmtime.Store(loaded.engine)
        store.set_limits(memory_size=loaded.guest.memory_limit, table_elements=limits.table_elements)
        self.arm()
        try:
            imports: list[Any] = []
            if loaded.front is not None:
                imports = list(loaded.host.instantiate(store, loaded.front).exports(store).by_index)
            instance = wasmtime.Instance(store, loaded.module, imports)
            # By name and on demand: a module may have 10^5 exports.
            self._exports = wasmtime.Linker(loaded.engine)
            self._exports.define_instance(store, shims.GUEST, instance)
            back = None if loaded.back is None else self._exports.instantiate(store, loaded.back)
        except wasmtime.Trap as e:
            raise StartError(
                f"instantiation trapped, {trap_of(e).code} ({loaded.guest.name}): "
                "a data or element segment does not fit; the module cannot be used as it is"
            ) from None
        except wasmtime.WasmtimeError as e:
            raise _instantiation_error(loaded.guest, e) from None
        self._shimmed = None if back is None else back.exports(store)
        self._functions: dict[str, wasmtime.Func] = {}

    def arm(self) -> None:
        """Let guest code run until the next kick."""
        self.store.set_epoch_deadline(1)

    def function(self, name: str) -> wasmtime.Func:
        """The guest's exported function `name`, whose signature needs no shim."""
        func = self._functions.get(name)
        if func is None:
            func = self._functions[name] = cast("wasmtime.Func", self._extern(name))
        return func

    def shimmed(self, name: str) -> wasmtime.Func:
        """The back shim's function `name`."""
        assert self._shimmed is not None
        return cast("wasmtime.Func", self._shimmed[name])

    def memory(self, export: Export) -> wasmtime.Memory:
        """An exported memory."""
        return cast("wasmtime.Memory", self._extern(export.name))

    def global_get(self, export: Export) -> Value:
        """An exported global's value."""
        type_ = cast("GlobalType", export.type)
        if shims.is_shimmed(export):
            raw = as_list(self.shimmed(shims.getter(export))(self.store))
        else:
            raw = [cast("wasmtime.Global", self._extern(export.name)).value(self.store)]
        return lift(raw, (type_.value,))[0]

    def global_set(self, export: Export, value: Value) -> None:
        """Set an exported mutable global."""
        type_ = cast("GlobalType", export.type)
        raw = lower((value,), (type_.value,))
        if shims.is_shimmed(export):
            self.shimmed(shims.setter(export))(self.store, *raw)
        else:
            cast("wasmtime.Global", self._extern(export.name)).set_value(self.store, raw[0])

    def close(self) -> None:
        """Free everything."""
        self._functions.clear()
        self._exports.close()
        self.store.close()

    def _extern(self, name: str) -> object:
        return self._exports.get(self.store, shims.GUEST, name)


def as_list(result: Any) -> list[Raw]:
    """What `wasmtime.Func.__call__` returned, as a list."""
    if result is None:
        return []
    return cast("list[Raw]", result if isinstance(result, list) else [result])


def _instantiation_error(guest: Guest, error: wasmtime.WasmtimeError) -> HlfuzzError:
    text = " ".join(str(error).split())
    if "exceeds" in text and "limit" in text:
        return ModuleError(
            f"module needs more than its limits allow ({guest.name}): {text}; "
            "raise Limits.memory_bytes or Limits.table_elements",
            reason="limit",
        )
    return EnvironmentProblem(
        f"cannot instantiate ({guest.name}): {text}; free memory", reason="out-of-memory"
    )
