"""The JSON documents of the command line, as docs/json.md describes them; a new shape is a new version."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from hlfuzz.fuzz import Replay, Replayed, SavedFinding, Summary
from hlfuzz.guest import Guest, find_allocator
from hlfuzz.invariants import Fault, Interface, Invariant, Observation, case_to_json
from hlfuzz.invariants.case import value_to_json
from hlfuzz.model import (
    CallRecord,
    Exited,
    ExternType,
    FuncType,
    GlobalType,
    HostError,
    LimitExceeded,
    MemoryType,
    Ok,
    Outcome,
    Timeout,
    Trap,
    Violation,
)
from hlfuzz.report.checked import Checked, ShownFinding
from hlfuzz.sandbox import WasiActivity

INSPECT: Final = "hlfuzz.inspect/1"
RUN: Final = "hlfuzz.run/1"
CHECK: Final = "hlfuzz.check/1"
INVARIANTS: Final = "hlfuzz.invariants/1"
FUZZ: Final = "hlfuzz.fuzz/1"
REPRO: Final = "hlfuzz.repro/1"
ERROR: Final = "hlfuzz.error/1"

Document = dict[str, Any]
_FRAME: Final = ("function_index", "name", "offset", "file", "line")


def error(message: str, kind: str, exit_code: int) -> Document:
    """What `--json` prints instead of a document when the command cannot go on."""
    return {"schema": ERROR, "error": kind, "message": message, "exit_code": exit_code}


def outcome(value: Outcome) -> Document:
    """An outcome as data: its kind, and what belongs to that kind."""
    match value:
        case Ok(values):
            return {"kind": "ok", "values": [value_to_json(v) for v in values]}
        case Trap(code, message, _, frames):
            return {
                "kind": "trap",
                "code": code,
                "message": message,
                "frames": [{f: getattr(frame, f) for f in _FRAME} for frame in frames],
            }
        case Timeout(deadline_us):
            return {"kind": "timeout", "deadline_us": deadline_us}
        case Violation(message, path, offset):
            where = {} if path is None else {"path": path, "offset": offset}
            return {"kind": "violation", "message": message, **where}
        case LimitExceeded(limit, allowed, message):
            return {"kind": "limit", "limit": limit, "allowed": allowed, "message": message}
        case HostError(function, message):
            return {"kind": "host-error", "function": function, "message": message}
        case Exited(code):
            return {"kind": "exited", "code": code}


def extern_type(type_: ExternType) -> Document:
    """A function, memory, table or global type."""
    if isinstance(type_, FuncType):
        return {"params": list(type_.params), "results": list(type_.results)}
    if isinstance(type_, MemoryType):
        return {
            "min": type_.min_pages,
            "max": type_.max_pages,
            "memory64": type_.memory64,
            "shared": type_.shared,
        }
    if isinstance(type_, GlobalType):
        return {"value": str(type_.value), "mutable": type_.mutable}
    return {"element": str(type_.element), "min": type_.min, "max": type_.max}


def inspect(guest: Guest, interface: Interface) -> Document:
    """What `hlfuzz inspect` says about a module."""
    info = guest.info
    allocator = find_allocator(info)
    return {
        "schema": INSPECT,
        "name": guest.name,
        "sha256": guest.digest,
        "bytes": info.size,
        "imports": [
            {"module": i.module, "name": i.name, "kind": i.kind, "type": extern_type(i.type)}
            for i in info.imports
        ],
        "exports": [{"name": e.name, "kind": e.kind, "type": extern_type(e.type)} for e in info.exports],
        "memories": [{"imported": m.imported, **extern_type(m.type)} for m in info.memories],
        "features": list(info.features),
        "custom_sections": [{"name": c.name, "bytes": c.size} for c in info.custom_sections],
        "producers": {field: dict(values) for field, values in info.producers.items()},
        "start": info.start,
        "functions": info.functions,
        "code_bytes": info.code_bytes,
        "data_segments": info.data_segments,
        "allocator": allocator.export.name if allocator else None,
        "host_functions": [i.key for i in info.functions_imported],
        "methods": [{"name": m.name, "bytes": m.vector, "stateful": m.stateful} for m in interface.methods],
    }


def run(
    guest: Guest,
    engine: str,
    record: CallRecord,
    observation: Observation,
    activity: WasiActivity | None = None,
    core: Path | None = None,
) -> Document:
    """What `hlfuzz run` did; `activity` of a WASI guest; `core` is the file that it wrote."""
    return {
        "schema": RUN,
        "module": guest.name,
        "engine": engine,
        "function": record.call.function,
        "args": [value_to_json(a) for a in record.call.args],
        "outcome": outcome(record.outcome),
        "host_calls": host_calls(observation),
        "seconds": record.seconds,
        "pages_written": record.pages_written,
        "core": None if core is None else str(core),
        **({} if activity is None else {"wasi": wasi(activity)}),
    }


def wasi(activity: WasiActivity) -> Document:
    """What a guest did through WASI."""
    return {
        "stdout": {"bytes": activity.stdout.hex()},
        "stderr": {"bytes": activity.stderr.hex()},
        "exit_code": activity.exit_code,
        "calls": [
            {"function": c.function, "args": list(c.args), "errno": c.errno.name, "refused": c.refused}
            for c in activity.trace
        ],
        "dropped": activity.dropped,
        "refused": dict(activity.refused),
    }


def host_calls(observation: Observation) -> list[Document]:
    """The host calls of an observation, with the bytes of each buffer where a stand-in read it."""
    return [
        {
            "function": c.function,
            "args": [value_to_json(a) for a in c.args],
            "data": c.data.hex() if c.data is not None else None,
            "problem": c.problem or None,
        }
        for c in observation.host_calls
    ]


def fault(value: Fault) -> Document:
    """The fields of a finding that every report has."""
    return {
        "signature": value.signature,
        "kind": value.kind,
        "invariant": value.invariant or None,
        "subject": value.subject,
        "function": value.function,
        "title": value.title,
        "evidence": list(value.evidence),
    }


def check(checked: Checked) -> Document:
    """What `hlfuzz check` did."""
    return {
        "schema": CHECK,
        "module": checked.guest,
        "sha256": checked.sha256,
        "engine": checked.engine,
        "seed": checked.seed,
        "seconds": round(checked.seconds, 6),
        "environment": dict(checked.environment),
        "rows": [
            {
                "invariant": row.invariant,
                "subject": row.subject,
                "promise": row.promise,
                "observes": row.observes,
                "blind": row.blind,
                "verdict": row.status,
                "runs": row.runs,
                "seconds": round(row.seconds, 6),
                "detail": row.detail,
                "finding": str(row.finding.path) if row.finding and row.finding.path else None,
                "fault": _shown(row.finding) if row.finding else None,
            }
            for row in checked.rows
        ],
    }


def _shown(finding: ShownFinding) -> Document:
    source = finding.source
    return {
        "signature": finding.signature,
        "kind": finding.kind,
        "function": finding.function,
        "title": finding.title,
        "how": finding.how,
        "calls": list(finding.calls),
        "evidence": list(finding.evidence),
        "source": None if source is None else {"file": source.file, "line": source.line},
        "test": finding.test,
        "test_path": str(finding.test_path) if finding.test_path else None,
    }


def invariants(known: Iterable[Invariant]) -> Document:
    """The checkers that `hlfuzz check` knows."""
    return {
        "schema": INVARIANTS,
        "invariants": [
            {"id": i.id, "subject": i.subject, "promise": i.doc, "observes": i.observes, "blind": i.blind}
            for i in known
        ],
    }


def fuzz(guest: Guest, summary: Summary) -> Document:
    """The summary of `hlfuzz fuzz`."""
    progress = summary.progress
    return {
        "schema": FUZZ,
        "module": guest.name,
        "sha256": guest.digest,
        "engine": summary.engine,
        "seed": summary.seed,
        "interrupted": summary.interrupted,
        "seconds": round(progress.seconds, 6),
        "executions": progress.executions,
        "exec_per_s": round(progress.exec_per_s, 1),
        "cases": progress.cases,
        "corpus": progress.corpus,
        "unconfirmed": progress.unconfirmed,
        "findings": [saved(f) for f in summary.findings],
    }


def saved(finding: SavedFinding) -> Document:
    """A finding and the file that reproduces it."""
    return {**fault(finding.fault), "path": str(finding.path)}


def repro(finding: Replay, replayed: Replayed) -> Document:
    """What `hlfuzz repro` saw."""
    return {
        "schema": REPRO,
        "signature": finding.signature,
        "reproduced": replayed.fault is not None,
        "kind": finding.kind,
        "invariant": finding.invariant or None,
        "subject": finding.subject,
        "title": finding.title,
        "evidence": list(replayed.fault.evidence) if replayed.fault else [],
        "case": case_to_json(finding.case),
        "runs": [
            {
                "title": title,
                "calls": [
                    {
                        "function": step.call.function,
                        "args": [value_to_json(a) for a in step.call.args],
                        "outcome": outcome(step.observation.outcome),
                        "host_calls": host_calls(step.observation),
                    }
                    for step in steps
                ],
            }
            for title, steps in replayed.runs
        ],
    }
