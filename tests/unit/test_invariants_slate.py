"""The bundled slate guest is what its source says, and keeps notes as the checkers take for granted."""

from __future__ import annotations

import pytest
import wasmtime

from hlfuzz.invariants.experiments.lab import Lab
from hlfuzz.invariants.experiments.slate import WASM, WAT, Place


def test_the_slate_is_what_its_source_says() -> None:
    compiled = bytes(wasmtime.wat2wasm(WAT))
    assert compiled.startswith(WASM)
    assert b"name" in compiled[len(WASM) :]  # only the name section is cut


@pytest.mark.parametrize("place", Place)
def test_each_place_keeps_its_own_note(engine: str, place: Place) -> None:
    with Lab(engine, "strict").open() as box, box.context() as context:  # type: ignore[arg-type]
        context.call("write", place, 5)
        assert [context.call("read", p) for p in Place] == [5 if p is place else 0 for p in Place]
        context.finish()
