"""`hlfuzz stamp`: a module of any toolchain gets the handshake section."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import wasmtime
from typer.testing import CliRunner

from hlfuzz import Guest, LinkError
from hlfuzz.bindings import Interface, check_handshake
from hlfuzz.cli.app import app

SCHEMA = "namespace net; table T { n: int; } rpc_service FilterGuest { Judge(T): T; }"
WAT = '(module (memory (export "memory") 1) (func (export "f") (result i32) i32.const 7))'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.fbs").write_text(SCHEMA)
    (tmp_path / "other.fbs").write_text(SCHEMA.replace("n: int", "n: long"))
    (tmp_path / "guest.wasm").write_bytes(bytes(wasmtime.wat2wasm(WAT)))
    return tmp_path


def stamp(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["stamp", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.stdout + result.stderr


def test_a_stamped_module_passes_the_handshake_and_an_unstamped_one_does_not(folder: Path):
    schema = Interface.load(folder / "net.fbs").schema
    with pytest.raises(LinkError):
        check_handshake(schema, Guest.from_wasm(folder / "guest.wasm"))
    code, said = stamp(folder / "net.fbs", folder / "guest.wasm", "--out", folder / "stamped.wasm")
    assert code == 0
    assert Interface.load(folder / "net.fbs").id in said
    check_handshake(schema, Guest.from_wasm(folder / "stamped.wasm"))
    with pytest.raises(LinkError):
        check_handshake(schema, Guest.from_wasm(folder / "guest.wasm"))


def test_a_second_stamp_takes_the_place_of_the_first(folder: Path):
    for name in ("other.fbs", "net.fbs", "net.fbs"):
        assert stamp(folder / name, folder / "guest.wasm")[0] == 0
    guest = Guest.from_wasm(folder / "guest.wasm")
    check_handshake(Interface.load(folder / "net.fbs").schema, guest)
    assert [s.name for s in guest.info.custom_sections].count("hlfuzz.v1") == 1


def test_others_may_read_a_stamped_module_as_the_umask_allows(folder: Path):
    before = os.umask(0o027)
    try:
        assert stamp(folder / "net.fbs", folder / "guest.wasm")[0] == 0
    finally:
        os.umask(before)
    assert (folder / "guest.wasm").stat().st_mode & 0o777 == 0o640


def test_what_is_no_module_or_no_schema_is_an_error_and_nothing_is_written(folder: Path):
    (folder / "junk.wasm").write_bytes(b"junk")
    for schema, module in (("net.fbs", "junk.wasm"), ("junk.wasm", "guest.wasm"), ("none.fbs", "guest.wasm")):
        assert stamp(folder / schema, folder / module, "--out", folder / "out.wasm")[0] == 2
    assert not (folder / "out.wasm").exists()
    assert not list(folder.glob(".tmp-*"))
