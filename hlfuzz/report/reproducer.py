"""Writes a fault as a pytest file of a few lines: it fails while the fault is there, then passes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import indent
from typing import Final

from hlfuzz.files import near, write_file
from hlfuzz.fuzz import SavedFinding, judge_of
from hlfuzz.fuzz.assertion import DEFAULT_DEADLINE
from hlfuzz.fuzz.store import OTHER_FOLDER
from hlfuzz.invariants import Case, Fault, Invariant, Target
from hlfuzz.invariants.settings.checkers import MODULE_PREFIX
from hlfuzz.report.source import INDENT, call_source, stacked, text_source, value_source
from hlfuzz.report.text import visible
from hlfuzz.report.typed_calls import WrittenCalls, method_name, typed_calls
from hlfuzz.sandbox import HostFunction, Provider

MAX_LINES: Final = 100
"""Lines of a test in a report: a case may hold megabytes."""


def as_test(target: Target, fault: Fault, *, seed: int | None = None, module: Path | None = None) -> str:
    """The text of a test that calls `hlfuzz.assert_holds` with the fault's case.

    `module` is the guest's file, by which the test names it (from the current folder, where it is below
    that); without one the test expects a file of the guest's name. `seed` is mentioned, not needed.
    """
    case = fault.case
    checker = judge_of(fault.invariant)
    imports, invariant = _invariant(checker)
    providers = {name: _provider(provider) for name, provider in target.host.items()}
    imports += "".join(dict.fromkeys(line for line, _ in providers.values()))
    written = _written(target, case, imports)
    guest = _path(module if module is not None else Path(target.guest.name))
    host = {name: text for name, (_, text) in providers.items()}
    options = _options(target, case, written, host)
    calls = f"calls=[{stacked(written.calls)}]"
    call = f"hlfuzz.assert_holds({stacked((invariant, guest, calls, *options))})"
    parts = ("Secret" if case.secret and not written.secret else "", "Injection" if case.injection else "")
    if named := ", ".join(sorted(filter(None, parts))):
        imports += f"from hlfuzz.invariants import {named}\n"
    origin = "" if seed is None else f", seed {seed}"
    # Without `from __future__`, which no file may have in its middle: a test is pasted anywhere.
    return (
        f"# {visible(fault.title, 200)}\n"
        f"# Accused: the {fault.subject}. Finding {fault.signature}{origin}.\n"
        f"import hlfuzz\n{imports}{written.imports}\n\n"
        f"def test_{_identifier(target, fault)}() -> None:\n{indent(written.setup + call, INDENT)}\n"
    )


def shown_test(text: str, path: Path | None) -> str:
    """A test as a report shows it: a long one only in part, with the file that has all of it."""
    lines = text.splitlines()
    if len(lines) <= MAX_LINES:
        return text
    whole = f"the whole test is in {visible(str(near(path)))}" if path else "save the finding to have them"
    return "\n".join((*lines[:MAX_LINES], f"# … and {len(lines) - MAX_LINES:,} more lines: {whole}\n"))


def _identifier(target: Target, fault: Fault) -> str:
    typed = target.interface.typed
    function = fault.function if typed is None else method_name(typed, fault.function)
    text = f"{judge_of(fault.invariant).id} {function}"
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()


def _written(target: Target, case: Case, imports: str) -> WrittenCalls:
    """The calls, with values of the schema where there is one; `imports` gives names that are taken."""
    typed = target.interface.typed
    if typed is None:
        return WrittenCalls(tuple(call_source(c.function, c.args) for c in case.calls))
    return typed_calls(typed, case, frozenset(re.findall(r"\w+", imports)))


def write_test(
    finding: SavedFinding, target: Target, *, seed: int | None = None, module: Path | None = None
) -> Path:
    """Writes the test beside the finding's file, with the ending .py, and returns its path.

    Raises: EnvironmentProblem when that is not possible.
    """
    path = finding.path.with_suffix(".py")
    text = as_test(target, finding.fault, seed=seed, module=module)
    write_file(path, text.encode(), mode=0o600, otherwise=OTHER_FOLDER)
    return path


def _invariant(checker: Invariant) -> tuple[str, str]:
    """The import that it needs and how a test names it: by its id, or by its class if a user wrote it."""
    module = type(checker).__module__
    if module.partition(".")[0] == "hlfuzz" or module.startswith(MODULE_PREFIX):
        return "", text_source(checker.id)
    imports, name = _name(type(checker))
    return imports, f"{name}()"


def _provider(provider: Provider) -> tuple[str, str]:
    """As `_name`, for a host function of the user's own."""
    if not isinstance(provider, HostFunction):
        return _name(provider)
    imports, name = _name(provider.fn)
    return imports, f"hlfuzz.HostFunction({name}{', caller=True' if provider.caller else ''})"


def _name(thing: object) -> tuple[str, str]:
    """The import that makes a class or function known, and its name there. What has no name that can be
    imported gets a comment instead that asks its reader for one."""
    module, name = str(getattr(thing, "__module__", "")), str(getattr(thing, "__qualname__", ""))
    if name.isidentifier() and module != "__main__" and all(map(str.isidentifier, module.split("."))):
        return f"from {module} import {name}\n", name
    last = name.rpartition(".")[2]
    known = last if last.isidentifier() else "your_own"
    return (
        f"# {known} is your own and cannot be imported ({visible(f'{module}.{name}')}): define it here\n",
        known,
    )


def _path(path: Path) -> str:
    return text_source(str(near(path)))


def _options(target: Target, case: Case, written: WrittenCalls, own: Mapping[str, str]) -> Iterator[str]:
    interface = target.interface
    called = {c.function for c in case.calls}
    if not case.context:
        yield "context=False"
    if written.secret is not None:
        yield f"secret={written.secret}"
    elif (slot := case.secret) is not None:
        names = ("call", "offset", "length", *(("cut",) if slot.cut else ()))
        window = (f"{name}={getattr(slot, name)}" for name in names)
        secrets = (f"{name}={value_source(getattr(slot, name))}" for name in ("first", "second"))
        yield f"secret=Secret({stacked((*window, *secrets))})"
    if case.boxes:
        yield f"boxes={case.boxes!r}"
    if (injection := case.injection) is not None:
        point, kind = text_source(injection.point), text_source(injection.kind)
        yield f"injection=Injection({point}, {kind}, {injection.at})"
    recorded = {name: text_source(mode) for name, mode in interface.host.items()}
    if host := ", ".join(f"{text_source(name)}: {value}" for name, value in {**recorded, **own}.items()):
        yield f"host={{{host}}}"
    # What the checker may not judge it must not judge in the test either.
    excused = [m.name for m in interface.methods if m.name in called and (m.stateful or not m.judged)]
    if excused:
        yield f"stateful=[{', '.join(_method(target, name) for name in excused)}]"
    if interface.tenant_open is not None:
        yield f"tenant_open={_method(target, interface.tenant_open)}"
    if written.schema:
        yield f"schema={written.schema}"
    elif interface.allocator is not None:
        named = interface.allocator
        yield f"allocator={text_source(named) if isinstance(named, str) else named}"
    if target.engine == "inprocess":  # "auto" is a micro-VM wherever there can be one
        yield f"engine={text_source(target.engine)}"
    if target.deadline != DEFAULT_DEADLINE:
        yield f"deadline={target.deadline!r}"


def _method(target: Target, symbol: str) -> str:
    typed = target.interface.typed
    return text_source(symbol if typed is None else method_name(typed, symbol))
