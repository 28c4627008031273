"""A finding's file: everything needed to understand it and to run it again (schema "hlfuzz.finding/1")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from hlfuzz.bindings import Interface as Schema
from hlfuzz.errors import EnvironmentProblem, UsageError
from hlfuzz.fuzz.core import write_core
from hlfuzz.fuzz.store import Store, read_json
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    Case,
    Config,
    Fault,
    HostMode,
    Interface,
    Target,
    case_from_json,
    case_to_json,
    describe_interface,
)
from hlfuzz.invariants.settings.config import MethodConfig
from hlfuzz.invariants.typed import Typed, describe_typed
from hlfuzz.schema.dump import dump

SCHEMA: Final = "hlfuzz.finding/1"


@dataclass(frozen=True, slots=True)
class SavedFinding:
    """A saved fault: the file that reproduces it, and the fault itself."""

    path: Path
    fault: Fault


@dataclass(frozen=True, slots=True)
class Replay:
    """What a finding's file says: what was wrong, the case, and the target to run it on."""

    signature: str
    kind: str
    invariant: str
    subject: str
    title: str
    function: str
    case: Case
    target: Target


def save(store: Store, target: Target, fault: Fault, *, seed: int | None = None) -> SavedFinding:
    """Writes the fault and its module to the store, and a core file where there is one.

    Raises: EnvironmentProblem when that is not possible; it says what was found.
    """
    try:
        return _save(store, target, fault, seed)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            f"{fault.title} ({fault.invariant or fault.kind}), and the finding cannot be kept: {error}",
            reason=error.reason,
        ) from error


def _save(store: Store, target: Target, fault: Fault, seed: int | None) -> SavedFinding:
    interface = target.interface
    document = {
        "schema": SCHEMA,
        "signature": fault.signature,
        "kind": fault.kind,
        "invariant": fault.invariant or None,
        "subject": fault.subject,
        "function": fault.function,
        "title": fault.title,
        "evidence": list(fault.evidence),
        "guest": _described(store, target.guest),
        "interface": {
            "host": dict(interface.host),
            "given": sorted(target.host),
            "tenant_open": interface.tenant_open,
            "allocator": interface.allocator,
            "methods": {m.name: {"stateful": m.stateful, "bytes": m.vector} for m in interface.methods},
            "schema": None if target.schema is None else dump(target.schema.schema, source=False),
        },
        "native": None if target.native is None else _described(store, target.native),
        "engine": "kvm" if target.session().is_kvm else "inprocess",
        "deadline_us": round(target.deadline * 1e6),
        "seed": seed,
        "case": case_to_json(fault.case),
    }
    path = store.save_finding(fault.signature, document)
    write_core(target, fault, path.with_suffix(".core"))
    return SavedFinding(path, fault)


def load(path: Path, *, module: Path | None = None, engine: str | None = None) -> Replay:
    """Reads a finding; `module` replaces the kept module, for example by a corrected build; `engine` the one
    it was found on.

    Raises: UsageError when the file is none of ours or is malformed, or the kept module is missing or another
    one.
    """
    document = read_json(path)
    if document.get("schema") != SCHEMA:
        raise UsageError(
            f"not a finding of this version (schema {document.get('schema')!r}, {path}): expected {SCHEMA!r}"
        )
    try:
        guest = _guest(path, document["guest"], module)
        described = cast(dict[str, Any], document["interface"])
        if given := described.get("given"):
            raise UsageError(
                f"the finding was made with host functions of its user's own ({', '.join(given)}; {path}), "
                "which no file can hold: run the test that gave them"
            )
        config = Config(
            host={
                str(k): HostMode(v)
                for k, v in described["host"].items()
                if any(i.key == k for i in guest.info.imports)
            },
            methods={
                str(n): MethodConfig(stateful=bool(m["stateful"]), bytes=bool(m["bytes"]))
                for n, m in described["methods"].items()
                if any(e.name == n for e in guest.info.functions_exported)
            },
            tenant_open=described["tenant_open"],
            allocator=described["allocator"],
        )
        schema = described.get("schema")
        target = Target(
            guest,
            describe_interface(guest.info, config) if schema is None else _typed(guest, config, str(schema)),
            engine=_engine(engine or str(document["engine"])),
            deadline=int(document["deadline_us"]) / 1e6,
            native=None if document.get("native") is None else _guest(path, document["native"], None),
        )
        return Replay(
            signature=str(document["signature"]),
            kind=str(document["kind"]),
            invariant=str(document["invariant"] or ""),
            subject=str(document["subject"]),
            title=str(document["title"]),
            function=str(document["function"]),
            case=case_from_json(document["case"]),
            target=target,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(
            f"finding is malformed ({path}: {type(error).__name__} {error}): use a file that hlfuzz wrote"
        ) from error


def _typed(guest: Guest, config: Config, schema: str) -> Interface:
    typed = Typed(Schema.from_json(schema))
    return describe_typed(guest, typed, config, only=config.methods)


def _engine(name: str) -> Any:
    if name not in ("auto", "kvm", "inprocess"):
        raise ValueError(f"engine {name!r}")
    return name


def _described(store: Store, guest: Guest) -> dict[str, str]:
    """A guest that is kept in the store, and how it is found there again."""
    return {"name": guest.name, "sha256": guest.digest, "file": store.add_guest(guest).name}


def _guest(path: Path, described: dict[str, Any], module: Path | None) -> Guest:
    name = str(described["name"])
    if module is not None:
        return Guest.load(module)
    kept = path.resolve().parent.parent / Path(str(described["file"])).name
    if not kept.is_file():
        raise UsageError(f"the finding's module is missing ({kept}): give it with --module")
    guest = Guest.load(kept, name=name)
    if guest.digest != described["sha256"]:
        raise UsageError(
            f"the finding's module was changed ({kept}): give the original, or a new build, with --module"
        )
    return guest
