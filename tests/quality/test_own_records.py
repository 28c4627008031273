"""Damaged records of a target's own schema: those of Protobuf are held against rules that are read twice."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from planted import protobuf

from hlfuzz.bindings import Interface
from hlfuzz.invariants import INVARIANTS, Case, Subject
from hlfuzz.invariants.abi_conformity import OWN
from hlfuzz.invariants.lying.own import judge_own, own_records
from hlfuzz.invariants.lying.protobuf_rules import Reading
from hlfuzz.model import Call

PLANTS = {name: partial(protobuf.misses, name) for name in protobuf.BOUNDS} | {
    name: partial(protobuf.reads_tables, name) for name in protobuf.TABLES
}
BATCH = Case((Call(OWN, (0,)),), context=False)
CHECKER = INVARIANTS["abi-conformity"]


@pytest.mark.parametrize("plant", PLANTS.values(), ids=PLANTS)
def test_a_verifier_that_misses_a_bound_is_accused_itself(plant: Callable[[], Any]) -> None:
    with plant(), protobuf.target("inprocess") as target:
        fault = CHECKER.probe(target, BATCH)
        assert fault is not None
        assert fault.subject is Subject.PLATFORM
        assert CHECKER.probe(target, fault.case) is not None, "the one record shows it again"
    with protobuf.target("inprocess") as sound:
        assert CHECKER.probe(sound, fault.case) is None


def test_the_verifier_agrees_with_the_rules_on_every_record() -> None:
    interface = Interface(protobuf.broad())
    found = [(name, data) for batch in (0, 1, 5) for name, data in own_records(interface, batch)]
    assert [p for name, data in found if (p := judge_own(interface, name, data))] == []
    verdicts = {Reading(interface.schema, data).verdict(name) for name, data in found[::5]}
    assert {v.rule.name if v else "true" for v in verdicts} >= {
        "true",
        "BOUNDS",
        "MALFORMED",
        "UTF8",
        "DEPTH",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"\x20\x05",  # no member of a closed enum: passed over
        b"\x18\x05",  # no member of an open one: a number
        b"\x5a\x01a\x5a\x01b",  # one of a oneof twice: the last counts
        b"\x5a\x01a\x62\x02\x18\x01",  # two of a oneof
        b"\x0a\x02\x08\x05\x0a\x04\x0a\x02\x01\x02",  # parts of a message: merged
        b"\x52\x01\xff",  # a text that need not be UTF-8
        b"\xf8\xff\xff\xff\x0f\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",  # unknown, ten bytes
    ],
)
def test_what_the_format_allows_is_accused_by_nobody(data: bytes) -> None:
    interface = Interface(protobuf.broad())
    assert judge_own(interface, "b.All", data) == ""
    assert interface.codec.verify("b.All", data) is None


def test_a_raw_schema_has_no_records() -> None:
    from planted.typed import ROOT

    assert list(own_records(Interface.load(ROOT / "schemas" / "filter.toml"), 0)) == []
