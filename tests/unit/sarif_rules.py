"""The rules of SARIF 2.1.0 for the objects that hlfuzz writes: names, types and what is required.

They are facts of the standard's JSON schema; what a schema cannot say (indices, ids) is checked too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

LEVELS = ("none", "note", "warning", "error")

# Properties of each object: a type, values, or another object (in brackets: an array of it); "!": required.
RULES: dict[str, dict[str, Any]] = {
    "log": {"$schema": str, "version!": ("2.1.0",), "runs!": ["run"]},
    "run": {
        "tool!": "tool", "columnKind": ("utf16CodeUnits", "unicodeCodePoints"), "invocations": ["invocation"],
        "artifacts": ["artifact"], "results": ["result"], "properties": dict,
    },
    "tool": {"driver!": "component"},
    "component": {"name!": str, "semanticVersion": str, "rules": ["descriptor"]},
    "descriptor": {
        "id!": str, "name": str, "shortDescription": "text", "help": "text",
        "defaultConfiguration": "configuration", "properties": dict,
    },
    "configuration": {"level": LEVELS},
    "text": {"text!": str},
    "invocation": {
        "executionSuccessful!": bool, "toolExecutionNotifications": ["notification"],
        "toolConfigurationNotifications": ["notification"],
    },
    "notification": {"message!": "text", "level": LEVELS, "associatedRule": "reference"},
    "reference": {"id": str, "index": int},
    "artifact": {"location": "artifactLocation", "length": int, "hashes": dict, "roles": list},
    "artifactLocation": {"uri": "uri", "uriBaseId": str, "index": int, "description": "text"},
    "result": {
        "ruleId": str, "ruleIndex": int, "level": LEVELS, "message!": "text", "locations": ["location"],
        "partialFingerprints": dict, "attachments": ["attachment"], "properties": dict,
    },
    "attachment": {"artifactLocation!": "artifactLocation", "description": "text"},
    "location": {"physicalLocation": "physicalLocation", "logicalLocations": ["logicalLocation"]},
    "physicalLocation": {"artifactLocation": "artifactLocation", "region": "region"},
    "region": {"startLine": int},
    "logicalLocation": {"name": str, "fullyQualifiedName": str, "kind": str},
}  # fmt: skip


def problems(log: dict[str, Any]) -> list[str]:
    """What in the log breaks a rule, each with its path; empty for a good one."""
    found = list(_object(log, "log", ""))
    for run in log.get("runs", []):
        rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
        if len(rules) != len(set(rules)):
            found.append("two rules have one id")
        named = [(r["ruleId"], r["ruleIndex"]) for r in run["results"]]
        for notices in ("toolExecutionNotifications", "toolConfigurationNotifications"):
            for invocation in run["invocations"]:
                references = (n["associatedRule"] for n in invocation.get(notices, []))
                named += [(r["id"], r["index"]) for r in references]
        found += [f"{id_} is not rule {index}" for id_, index in named if rules[index] != id_]
    return found


def _object(value: Any, kind: str, path: str) -> Iterator[str]:
    if kind == "uri":
        if not isinstance(value, str) or not re.fullmatch(r"[\w\-.~%/:!$&'()*+,;=@]+", value, re.ASCII):
            yield f"{path}: no URI: {value!r}"
        return
    rules = {name.rstrip("!"): rule for name, rule in RULES[kind].items()}
    for name in RULES[kind]:
        if name.endswith("!") and name[:-1] not in value:
            yield f"{path}: no {name[:-1]}"
    for name, part in value.items():
        if name not in rules:
            yield f"{path}.{name}: unknown"
        else:
            yield from _value(part, rules[name], f"{path}.{name}")


def _value(value: Any, rule: Any, path: str) -> Iterator[str]:
    if isinstance(rule, str):
        yield from _object(value, rule, path)
    elif isinstance(rule, list):
        for at, part in enumerate(value):
            yield from _object(part, rule[0], f"{path}[{at}]")
    elif isinstance(rule, tuple):
        if value not in rule:
            yield f"{path}: {value!r} is none of {rule}"
    elif type(value) is not rule or (rule is str and not value):
        yield f"{path}: {value!r} is no {rule.__name__}"
