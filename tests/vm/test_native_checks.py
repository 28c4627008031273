"""`check` and `fuzz` on native guests: a good one is not accused, a forgetful and a fragile one are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from native_build import Toolchain
from native_guests import examples
from steps import count_cases
from typer.testing import CliRunner

from hlfuzz.cli import app

FAULTY = """
#define HLFUZZ_GUEST_IMPLEMENTATION
#include "hlfuzz_guest.h"
HLG_ALLOCATOR;
HLG_IMPORT("env", "send", void, send, const uint8_t *, uint32_t);
static uint32_t calls;
static uint32_t on_data(const uint8_t *data, uint32_t len) {
    if (len > 2 && data[0] == 0xff) *(volatile uint8_t *)(uintptr_t)data[1] = 1;
    send(data, len);
    send((const uint8_t *)0x1000, 4); /* where it has no memory itself */
    return ++calls;
}
HLG_EXPORT(uint32_t, on_data, const uint8_t *, uint32_t);
"""


def document(*arguments: str | Path, exit_code: int) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"], catch_exceptions=False)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    return Toolchain("gcc", "c", "-O2").build(FAULTY, tmp_path)


def test_no_invariant_is_violated_by_the_example() -> None:
    guest = examples("gcc")["native_filter"]
    found = document("check", guest, "--time", "2s", "--host", "env.write=bytes", exit_code=0)
    verdicts = {row["invariant"]: row["verdict"] for row in found["rows"]}
    assert verdicts.pop("differential") == "not-applicable"
    # On a busy machine the time may not do for the last of them.
    assert verdicts["state-reset"] == "held"
    assert set(verdicts.values()) <= {"held", "not-applicable"}


def test_a_guest_that_remembers_is_accused(faulty: Path, tmp_path: Path) -> None:
    found = document(
        *("check", faulty, "--time", "60s", "--invariant", "context-dependence", "--stub-imports"),
        *("--store", tmp_path / "store"),
        exit_code=1,
    )
    (row,) = found["rows"]
    assert (row["verdict"], row["subject"]) == ("violated", "guest")
    finding = document("repro", row["finding"], exit_code=1)
    assert finding["reproduced"]


def test_a_campaign_finds_the_crash(faulty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_cases(monkeypatch)
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    (seeds / "one").write_bytes(b"\xff\x07abc")
    found = document(
        *("fuzz", faulty, "--time", "1s", "--host", "env.send=record", "--corpus", seeds),
        *("--store", tmp_path / "store"),
        exit_code=1,
    )
    assert any(f["kind"] == "trap" and "page-fault" in f["title"] for f in found["findings"])
