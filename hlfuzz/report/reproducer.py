"""Writes a fault as a pytest file of a few lines: it fails while the fault is there, then passes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import indent
from typing import Final

from hlfuzz.files import near, write_file
from hlfuzz.fuzz import SavedFinding, calls_text, judge_of
from hlfuzz.fuzz.assertion import DEFAULT_DEADLINE
from hlfuzz.invariants import Case, Fault, Invariant, Target
from hlfuzz.invariants.settings.checkers import MODULE_PREFIX
from hlfuzz.model import Call, Float32, Float64, Value
from hlfuzz.report.text import visible
from hlfuzz.sandbox import HostFunction, Provider
from hlfuzz.schema.ir import Format

CHUNK: Final = 32
"""Bytes of a vector on one line of the file."""
MAX_CALL: Final = 88
"""Characters of a call on one line."""
MAX_COMMENT: Final = 96
"""Characters of a typed call above its bytes."""
INDENT: Final = "    "
REPEATED: Final = 8
"""From this many equal bytes on, they are written as a product."""


def as_test(target: Target, fault: Fault, *, seed: int | None = None, module: Path | None = None) -> str:
    """The text of a test that calls `hlfuzz.assert_holds` with the fault's case.

    `module` is the guest's file, by which the test names it (from the current folder, where it is below
    that); without one the test expects a file of the guest's name. `seed` is mentioned, not needed.
    """
    case = fault.case
    checker = judge_of(fault.invariant)
    imports, invariant = _invariant(checker)
    imports += "".join(dict.fromkeys(_provider(provider)[0] for provider in target.host.values()))
    guest = _path(module if module is not None else Path(target.guest.name))
    arguments = (invariant, guest, _calls(target, case), *_options(target, case))
    call = f"hlfuzz.assert_holds({_stacked(arguments)})"
    where = re.sub(r"\W+", "_", f"{checker.id} {fault.function}", flags=re.ASCII).strip("_").lower()
    parts = ("Secret" if case.secret else "", "Injection" if case.injection else "")
    if named := ", ".join(sorted(filter(None, parts))):
        imports = f"{imports}from hlfuzz.invariants import {named}\n"
    origin = "" if seed is None else f", seed {seed}"
    return (
        f"# {visible(fault.title, 200)}\n"
        f"# Accused: the {fault.subject}. Finding {fault.signature}{origin}.\n"
        f"from __future__ import annotations\n\nimport hlfuzz\n{imports}\n\n"
        f"def test_{where}() -> None:\n{indent(call, INDENT)}\n"
    )


def write_test(
    finding: SavedFinding, target: Target, *, seed: int | None = None, module: Path | None = None
) -> Path:
    """Writes the test beside the finding's file, with the ending .py, and returns its path.

    Raises: EnvironmentProblem when that is not possible.
    """
    path = finding.path.with_suffix(".py")
    text = as_test(target, finding.fault, seed=seed, module=module)
    write_file(path, text.encode(), mode=0o600, otherwise="choose another folder with --store")
    return path


def _invariant(checker: Invariant) -> tuple[str, str]:
    """The import that it needs and how a test names it: by its id, or by its class if a user wrote it."""
    module = type(checker).__module__
    if module.partition(".")[0] == "hlfuzz" or module.startswith(MODULE_PREFIX):
        return "", _text(checker.id)
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
    return _text(str(near(path)))


def _calls(target: Target, case: Case) -> str:
    calls = map(_call, case.calls)
    if target.schema is not None:  # the bytes are what was sent; what they mean stands above them
        texts = calls_text(target, case)
        calls = (f"# {visible(text, MAX_COMMENT)}\n{call}" for text, call in zip(texts, calls, strict=True))
    return f"calls=[{_stacked(calls)}]"


def _call(call: Call) -> str:
    parts = (_text(call.function), *map(value_text, call.args))
    short = f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    return short if len(short) <= MAX_CALL and "\n" not in short else f"({_stacked(parts)})"


def _stacked(parts: Iterable[str]) -> str:
    """The parts below each other, further in, with a comma after each."""
    return indent("".join(f"\n{part}," for part in parts), INDENT) + "\n"


def _options(target: Target, case: Case) -> Iterator[str]:
    interface = target.interface
    called = {c.function for c in case.calls}
    if not case.context:
        yield "context=False"
    if (slot := case.secret) is not None:
        window = (f"{name}={getattr(slot, name)}" for name in ("call", "offset", "length"))
        secrets = (f"{name}={_bytes_text(getattr(slot, name))}" for name in ("first", "second"))
        yield f"secret=Secret({_stacked((*window, *secrets))})"
    if case.boxes:
        yield f"boxes={case.boxes!r}"
    if (injection := case.injection) is not None:
        yield f"injection=Injection({_text(injection.point)}, {_text(injection.kind)}, {injection.at})"
    own = {name: _provider(provider)[1] for name, provider in target.host.items()}
    recorded = {name: _text(mode) for name, mode in interface.host.items()}
    if host := ", ".join(f"{_text(name)}: {value}" for name, value in {**recorded, **own}.items()):
        yield f"host={{{host}}}"
    # What the checker may not judge it must not judge in the test either.
    excused = [m.name for m in interface.methods if m.name in called and (m.stateful or not m.judged)]
    if excused:
        yield f"stateful=[{', '.join(map(_text, excused))}]"
    if interface.tenant_open is not None:
        yield f"tenant_open={_text(interface.tenant_open)}"
    if interface.typed is not None:
        schema = interface.typed.interface.schema
        suffix = "toml" if schema.format is Format.RAW else schema.format
        path = interface.typed.path or Path(f"{schema.name}.{suffix}")
        yield f"schema={_text(str(near(path)))}"
    elif interface.allocator is not None:
        named = interface.allocator
        yield f"allocator={_text(named) if isinstance(named, str) else named}"
    if target.engine == "inprocess":  # "auto" is a micro-VM wherever there can be one
        yield f"engine={_text(target.engine)}"
    if target.deadline != DEFAULT_DEADLINE:
        yield f"deadline={target.deadline!r}"


def value_text(value: Value) -> str:
    """An argument as a Python expression, on more than one line where it is long."""
    if isinstance(value, Float32 | Float64):
        return f"hlfuzz.{value!r}"
    if isinstance(value, bytes):
        return _bytes_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value!r}")'
    return repr(value)


def _bytes_text(data: bytes) -> str:
    if len(data) >= REPEATED and len(set(data)) == 1:
        return f"bytes({len(data)})" if not data[0] else f"{_bytes_literal(data[:1])} * {len(data)}"
    if len(data) <= CHUNK:
        return _bytes_literal(data)
    chunks = (f"\n{INDENT}{_bytes_literal(data[at : at + CHUNK])}" for at in range(0, len(data), CHUNK))
    return f"({''.join(chunks)}\n)"


def _bytes_literal(data: bytes) -> str:
    return f'b"{repr(data)[2:-1]}"' if b'"' not in data and b"'" not in data else repr(data)


def _text(text: str) -> str:
    """A string literal in plain ASCII: a name of a guest cannot end it, nor turn the line around."""
    quoted = ascii(str(text))  # an enum too is written as its text
    return quoted if '"' in quoted or "\\'" in quoted else f'"{quoted[1:-1]}"'
