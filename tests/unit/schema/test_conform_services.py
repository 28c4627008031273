"""Evolution of raw interfaces: a function that is gone, or takes or gives something else, breaks calls."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hlfuzz.schema.conform import conform
from hlfuzz.schema.ir import (
    Bytes,
    Direction,
    Format,
    Method,
    Number,
    Parameter,
    ResultForm,
    Scalar,
    Schema,
    Service,
)

METHOD = Method(
    "f",
    Direction.GUEST,
    "f",
    parameters=(Parameter("a", Number(Scalar.I32)), Parameter("b", Bytes(), out=True, capacity=16)),
    results=(Scalar.I64,),
    form=ResultForm.PACKED,
)


def interface(*methods: Method) -> Schema:
    return Schema("raw", Format.RAW, services=(Service("raw", Direction.GUEST, methods),))


@pytest.mark.parametrize(
    ("now", "rule"),
    [
        (METHOD, ""),
        (replace(METHOD, doc="new"), ""),
        (replace(METHOD, parameters=(replace(METHOD.parameters[0], name="x"), METHOD.parameters[1])), ""),
        (replace(METHOD, name="g"), "method-removed"),
        (replace(METHOD, parameters=METHOD.parameters[:1]), "method-parameters-changed"),
        (
            replace(METHOD, parameters=(METHOD.parameters[0], replace(METHOD.parameters[1], capacity=8))),
            "method-parameters-changed",
        ),
        (
            replace(METHOD, parameters=(Parameter("a", Number(Scalar.I64)), METHOD.parameters[1])),
            "method-parameters-changed",
        ),
        (replace(METHOD, results=(Scalar.I32,)), "method-results-changed"),
        (replace(METHOD, form=ResultForm.NONE), "method-results-changed"),
        (replace(METHOD, symbol="f2"), "method-symbol-changed"),
    ],
)
def test_a_changed_function_is_reported(now: Method, rule: str) -> None:
    assert [b.rule for b in conform(interface(METHOD), interface(now))] == ([rule] if rule else [])
