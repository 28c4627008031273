"""Faults of guests with a schema, and of the stand-ins that answer them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pytest

from hlfuzz.bindings import Interface
from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, Subject, Target, describe_interface
from hlfuzz.invariants.typed.answers import Answers
from hlfuzz.schema.ir import Schema
from hlfuzz.schema.load import load
from planted import Planted

ROOT = Path(__file__).resolve().parents[3]


@cache
def parsed(suffix: str) -> Schema:
    return load(ROOT / "schemas" / f"filter.{suffix}")


def schema(suffix: str) -> Interface:
    """A new one each time: its codec may have been made while a fault was planted in codecs."""
    return Interface(parsed(suffix))


def target(name: str) -> Target:
    """A guest of examples/typed-filter, with the schema that its name ends in."""
    pytest.importorskip("ziglang")
    if str(ROOT / "examples") not in sys.path:
        sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    guest = Guest.from_wasm(build("typed-filter", only={name})[name])
    interface = describe_interface(guest.info, Config())
    return Target(guest, interface, engine="kvm", schema=schema(name.rpartition("_")[2]))


@contextmanager
def answers_by_chance() -> Iterator[Target]:
    """The stand-in for a lookup counts, and answers the count."""
    asked, record = count(), Answers.record

    def changing(self: Answers, name: str, rng: Random) -> Any:
        value = record(self, name, rng)
        if name == "net.Setting":
            value.value = str(next(asked))
        return value

    with patch.object(Answers, "record", changing), target("filter_fbs") as opened:
        yield opened


def fault(guest: str, invariant: str, what: str, subject: Subject = Subject.GUEST) -> Planted:
    return Planted(f"typed-{guest.replace('_', '-')}", invariant, subject, what, partial(target, guest))


LEAKS = "a text field of a response holds what another tenant's request said"
NEEDS = "a typed method answers otherwise when an earlier call's state was wiped"
COUNTS = "a number in a response counts what earlier calls sent"
FAULTS = (
    fault("leak_fbs", "tenant-independence", f"{LEAKS} (FlatBuffers)"),
    fault("leak_proto", "tenant-independence", f"{LEAKS} (Protobuf)"),
    fault("needs_open_fbs", "context-dependence", f"{NEEDS} (FlatBuffers)"),
    fault("needs_open_proto", "context-dependence", f"{NEEDS} (Protobuf)"),
    fault("stale_proto", "context-dependence", f"{COUNTS} (Protobuf)"),
    fault("bad_enum_fbs", "abi-conformity", "an enum in a response has a value that is no member"),
    fault("bad_text_fbs", "abi-conformity", "a text in a response is no UTF-8 (FlatBuffers)"),
    fault("bad_text_proto", "abi-conformity", "a text in a response is no UTF-8 (Protobuf)"),
    fault("bad_request_proto", "abi-conformity", "a text in a request to a host function is no UTF-8"),
    Planted(
        "typed-answers-by-chance",
        "determinism",
        Subject.PLATFORM,
        "a host function answers the same request with another record each time",
        answers_by_chance,
    ),
)
