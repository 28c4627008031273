"""A guest's interface: which exports hlfuzz calls, with what arguments, and which of them it may judge."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from hlfuzz.errors import UsageError
from hlfuzz.guest import Allocator, find_allocator, is_runtime_export
from hlfuzz.invariants.settings.config import Config, HostMode
from hlfuzz.model import ExternKind, FuncType, ModuleInfo, ValType
from hlfuzz.sandbox import WASI

if TYPE_CHECKING:
    from hlfuzz.invariants.typed import Typed

_Found: TypeAlias = Allocator | int | None

_VECTOR: Final = ((ValType.I32, ValType.I32), (ValType.I64, ValType.I64))


@dataclass(frozen=True, slots=True)
class Method:
    """One exported function that hlfuzz calls.

    `vector`: its first two parameters take a byte vector (pointer, length). `scalars`: the types of its other
    parameters. `stateful`: by its interface it may answer from earlier calls. `judged`: the guest invariants
    may judge it; False where an i32 may well be a pointer that random numbers cannot stand for.
    """

    name: str
    type: FuncType
    vector: bool
    scalars: tuple[ValType, ...]
    stateful: bool
    judged: bool

    @property
    def may_be_vector(self) -> bool:
        """Does it begin with two integers, which nothing says to be pointer and length?"""
        return not self.vector and self.type.params[:2] in _VECTOR


@dataclass(frozen=True, slots=True)
class Interface:
    """The methods to call, the host functions that stand-ins are allowed for, and where a tenant's calls
    begin. `typed`: the schema behind it, whose host functions have stand-ins of their own."""

    methods: tuple[Method, ...]
    host: Mapping[str, HostMode]
    tenant_open: str | None
    allocator: str | int | None
    typed: Typed | None = field(default=None, compare=False)

    def method(self, name: str) -> Method | None:
        """The method of that name, or None."""
        return next((m for m in self.methods if m.name == name), None)

    @property
    def vectors(self) -> tuple[Method, ...]:
        """The methods that take a byte vector."""
        return tuple(m for m in self.methods if m.vector)


def describe_interface(
    info: ModuleInfo,
    config: Config,
    *,
    only: tuple[str, ...] = (),
    host: Mapping[str, HostMode] | None = None,
    stub_imports: bool = False,
) -> Interface:
    """Derives the interface from the module's own exports and imports, and from what the configuration adds.

    `only` limits the methods to these names; `host` and `stub_imports` allow stand-ins for host functions.
    Raises: UsageError when configuration or arguments name an export or import that the module has not.
    """
    functions = {e.name: e.type for e in info.functions_exported if isinstance(e.type, FuncType)}
    for name in (*only, *config.methods, *([config.tenant_open] if config.tenant_open else ())):
        _require(name, functions, "exported function", config)
    allowed = {**config.host, **(host or {})}
    imports = {i.key for i in info.imports}
    for name in allowed:
        _require(name, imports, "import", config)
    if stub_imports:
        allowed = {key: allowed.get(key, HostMode.AUTO) for key in sorted(imports)}
    allocator = _allocator(info, config)
    methods = tuple(
        _method(name, type_, config, allocator)
        for name, type_ in functions.items()
        if _wanted(name, type_, config, only, allocator)
    )
    return Interface(methods, allowed, config.tenant_open, config.allocator)


def missing_providers(
    info: ModuleInfo, interface: Interface, *, wasi: bool = False, given: Collection[str] = ()
) -> tuple[str, ...]:
    """The imports that nothing stands in for, as "module.name"; with `wasi` its own are provided for, and
    `given` are those that the user provides."""
    if interface.typed is not None:
        given = {*given, *interface.typed.host_functions}
    return tuple(
        i.key
        for i in info.imports
        if i.key not in interface.host and i.key not in given and not (wasi and i.module == WASI)
    )


def refuse_missing(
    info: ModuleInfo, interface: Interface, *, wasi: bool = False, given: Collection[str] = ()
) -> None:
    """Raises: UsageError that names the missing providers and how to allow recording stand-ins. The other
    arguments are those of `missing_providers`."""
    if missing := missing_providers(info, interface, wasi=wasi, given=given):
        functions = [i.key for i in info.imports if i.key in missing and i.kind is ExternKind.FUNC]
        listed = f"{', '.join(missing[:8])}{', …' if len(missing) > 8 else ''}"
        example = f"--host {functions[0]}=record" if functions else "--stub-imports"
        count = "1 import" if len(missing) == 1 else f"{len(missing)} imports"
        unknown = sorted(set(given) - {i.key for i in info.imports})
        wrong = f"; given is {', '.join(unknown[:8])}, which it does not import" if unknown else ""
        raise UsageError(
            f"the module needs {count} that nobody provides ({listed}{wrong}): "
            "allow stand-ins that record the call and return zeros, one by one with "
            f"{example}, all with --stub-imports, or in hlfuzz.toml or the settings of the target under "
            "host; in pytest, the fixture hlfuzz_host gives real ones"
        )


def refuse_nothing_to_call(info: ModuleInfo, interface: Interface) -> None:
    """Raises: UsageError that names the exports, for a module of which calls cannot be made."""
    if interface.methods:
        return
    names = [e.name for e in info.functions_exported]
    if not names:
        raise UsageError("nothing to call (the module exports no function): export what a host calls")
    listed = f"{', '.join(names[:8])}{', …' if len(names) > 8 else ''}"
    raise UsageError(
        f"nothing to call (of {listed}): these are functions of a runtime, take references, or are skipped; "
        "export another, or name one with --method, or in the settings under methods"
    )


def _allocator(info: ModuleInfo, config: Config) -> _Found:
    if isinstance(config.allocator, int):
        return config.allocator
    found = find_allocator(info, config.allocator)
    if found is None and config.allocator is not None:
        raise UsageError(
            f"{config.allocator!r} is no exported allocator ({config.path}: allocator): name a "
            "function that takes a length and returns an address, or give a fixed address"
        )
    return found


def _require(name: str, known: Mapping[str, object] | set[str], what: str, config: Config) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, list(known), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(sorted(known)[:8]) or 'none'}"
    where = f"{config.path}, or command line" if config.path else "command line"
    raise UsageError(f"the module has no {what} {name!r} ({where}): {hint}")


def _wanted(name: str, type_: FuncType, config: Config, only: tuple[str, ...], allocator: _Found) -> bool:
    if any(t.is_reference for t in (*type_.params, *type_.results)):
        return False
    if only:
        return name in only or name == config.tenant_open
    configured = config.methods.get(name)
    if configured is not None:
        return not configured.skip
    if isinstance(allocator, Allocator) and name == allocator.export.name:
        return False
    return not is_runtime_export(name)


def _method(name: str, type_: FuncType, config: Config, allocator: _Found) -> Method:
    configured = config.methods.get(name)
    fits = type_.params[:2] in _VECTOR
    vector = fits and allocator is not None and len(type_.params) == 2
    if configured is not None and configured.bytes is not None:
        if configured.bytes and not fits:
            raise UsageError(
                f"method {name!r} takes {type_}, which does not begin with pointer and length "
                f"({config.path}): remove bytes = true"
            )
        vector = configured.bytes
    scalars = type_.params[2:] if vector else type_.params
    may_be_pointer = allocator is not None and ValType.I32 in scalars
    return Method(
        name=name,
        type=type_,
        vector=vector,
        scalars=scalars,
        stateful=configured is not None and configured.stateful,
        judged=configured is not None or not may_be_pointer,
    )
