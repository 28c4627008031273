"""What a host can give for an import, and the check that imports and providers match."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from hlfuzz.errors import LinkError
from hlfuzz.guest import Guest
from hlfuzz.model import ExternKind, FuncType, GlobalType, Import, TableType, ValType, Value
from hlfuzz.sandbox.values import canonical
from hlfuzz.sandbox.wasi.abi import MODULE as WASI


@dataclass(frozen=True, slots=True)
class HostFunction:
    """A host function. With `caller` its first argument is a `Caller`; a plain callable whose first parameter
    is annotated `Caller` gets one too."""

    fn: Callable[..., Any]
    caller: bool = False


@dataclass(frozen=True, slots=True)
class Memory:
    """Provides an imported memory: zeros, of the size that the import asks for, private to the sandbox."""


@dataclass(frozen=True, slots=True)
class Table:
    """Provides an imported table: nulls, of the size that the import asks for, private to the sandbox."""


@dataclass(frozen=True, slots=True)
class Global:
    """Provides an imported global with its initial value; private to the sandbox, and reset with it."""

    value: Value


Provider: TypeAlias = Callable[..., Any] | HostFunction | Memory | Table | Global


@dataclass(frozen=True, slots=True)
class Linked:
    """Imports with their providers, by position in the import list."""

    functions: Mapping[int, HostFunction]
    globals: Mapping[int, Value]

    def map(self, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Linked:
        """With `wrap(function)` in the place of each host function."""
        functions = {index: HostFunction(wrap(f.fn), f.caller) for index, f in self.functions.items()}
        return Linked(functions, self.globals)


def link(guest: Guest, host: Mapping[str, Provider]) -> Linked:
    """Match every import of `guest` with its provider "module.name".

    Raises `LinkError`: all imports without provider, providers that nothing imports, wrong kinds, functions
    that do not take the import's number of arguments, globals whose value does not fit.
    """
    imports = guest.info.imports
    _check_names(guest, imports, host)
    functions: dict[int, HostFunction] = {}
    values: dict[int, Value] = {}
    for index, wanted in enumerate(imports):
        provider = host[wanted.key]
        match wanted.type:
            case FuncType() as t if wanted.kind is ExternKind.FUNC:
                functions[index] = host_function(wanted, t, provider)
            case GlobalType() as t:
                values[index] = _global(wanted, t, provider)
            case TableType() as t:
                _expect(wanted, provider, Table)
                if t.element != ValType.FUNCREF and t.element != ValType.EXTERNREF:
                    raise LinkError(
                        f"cannot provide a table of {t.element} ({wanted.key}): only funcref, externref"
                    )
            case _ if wanted.kind is ExternKind.MEMORY:
                _expect(wanted, provider, Memory)
            case _:
                raise LinkError(
                    f"cannot provide a {wanted.kind} ({wanted.key}): use a module that does not import one"
                )
    return Linked(functions, values)


def _check_names(guest: Guest, imports: tuple[Import, ...], host: Mapping[str, Provider]) -> None:
    keys = list(dict.fromkeys(i.key for i in imports))
    unknown = [name for name in host if name not in set(keys)]
    missing = [i for i in {i.key: i for i in imports}.values() if i.key not in host]
    if missing:
        listing = "; ".join(
            f"{i.key!r} {i.kind} {i.type if i.kind is ExternKind.FUNC else ''}".rstrip() for i in missing
        )
        raise LinkError(
            f"{len(missing)} imports have no provider ({guest.name}): {listing}: "
            f"pass {_how_to_give(missing[0])}"
        )
    if unknown:
        near = difflib.get_close_matches(unknown[0], keys, n=1)
        hint = (
            f"did you mean {near[0]!r}?"
            if near
            else f"it imports {', '.join(map(repr, keys[:8])) or 'nothing'}"
        )
        raise LinkError(f"the module does not import {', '.join(map(repr, unknown))} ({guest.name}): {hint}")


def _how_to_give(wanted: Import) -> str:
    if wanted.module == WASI:
        return 'wasi=hlfuzz.Wasi(allow="all"), or one that names the groups of functions to allow'
    return f"host={{{wanted.key!r}: {_EXAMPLE.get(wanted.kind, '...')}}}"


_EXAMPLE = {
    ExternKind.FUNC: "function",
    ExternKind.MEMORY: "hlfuzz.Memory()",
    ExternKind.TABLE: "hlfuzz.Table()",
    ExternKind.GLOBAL: "hlfuzz.Global(0)",
}


def _expect(wanted: Import, provider: Provider, kind: type) -> None:
    if not isinstance(provider, kind):
        raise LinkError(
            f"the import is a {wanted.kind}, the provider is {type(provider).__name__} ({wanted.key}): "
            f"pass {_EXAMPLE[wanted.kind]}"
        )


def host_function(wanted: Import, type_: FuncType, provider: Provider) -> HostFunction:
    """The provider of an imported function. Raises `LinkError` when it is none, or does not take the import's
    number of arguments."""
    if isinstance(provider, HostFunction):
        function = provider
    elif callable(provider):
        function = HostFunction(provider, _wants_caller(provider))
    else:
        raise LinkError(
            f"the import is a function {type_}, the provider is {type(provider).__name__} "
            f"({wanted.key}): pass a callable"
        )
    if ValType.REF in type_.params or any(t.is_reference for t in type_.results):
        raise LinkError(f"no host function can make these references ({wanted.key} {type_}): use numbers")
    try:
        signature = inspect.signature(function.fn)
    except (TypeError, ValueError):  # some built-in functions do not tell
        return function
    count = len(type_.params) + function.caller
    try:
        signature.bind(*range(count))
    except TypeError as e:
        with_caller = " after a Caller" if function.caller else ""
        raise LinkError(
            f"host function does not take the import's {len(type_.params)} arguments{with_caller} "
            f"({wanted.key} {type_}, given {signature}): {e}"
        ) from None
    return function


def _wants_caller(fn: Callable[..., Any]) -> bool:
    try:
        first = next(iter(inspect.signature(fn).parameters.values()), None)
    except (TypeError, ValueError):
        return False
    if first is None:
        return False
    # Annotations are strings under `from __future__ import annotations`; a name is enough to tell.
    name = (
        first.annotation if isinstance(first.annotation, str) else getattr(first.annotation, "__name__", "")
    )
    return name.strip("'\"").rpartition(".")[2] == "Caller"


def _global(wanted: Import, type_: GlobalType, provider: Provider) -> Value:
    if not isinstance(provider, Global):
        _expect(wanted, provider, Global)
        raise AssertionError  # _expect raised
    try:
        return canonical(provider.value, type_.value)
    except ValueError as e:
        raise LinkError(f"the global's value does not fit ({wanted.key}, {type_.value}): {e}") from None
