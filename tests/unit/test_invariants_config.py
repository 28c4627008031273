"""hlfuzz.toml: what is wrong is named with its key; what is right changes the interface."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from hlfuzz.errors import UsageError
from hlfuzz.guest import Guest
from hlfuzz.invariants import (
    Config,
    HostMode,
    describe_interface,
    load_config,
    parse_host_option,
    refuse_missing,
)
from hlfuzz.invariants.settings.config import MethodConfig

WAT = """(module (import "env" "write" (func (param i32 i32))) (import "env" "log" (func (param i64)))
  (memory (export "memory") 1)
  (func (export "malloc") (param i32) (result i32) (i32.const 1024))
  (func (export "free") (param i32))
  (func (export "on_data") (param i32 i32))
  (func (export "peek") (param i32) (result i32) (local.get 0))
  (func (export "ping") (result i32) (i32.const 1)))"""


@pytest.fixture(scope="module")
def guest() -> Guest:
    return Guest.from_wasm(bytes(wasmtime.wat2wasm(WAT)), name="guest")


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "hlfuzz.toml"
    path.write_text(text)
    return load_config(path)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "version"),
        ("version = 2", "version"),
        ("version = 1\nhots = 1", "hots"),
        ("version = 1\n[host]\n'env.write' = 'zero'", "env.write"),
        ("version = 1\n[methods]\non_data = 1", "methods.on_data"),
        ("version = 1\n[methods.on_data]\nstateful = 'yes'", "methods.on_data.stateful"),
        ("version = 1\n[methods.on_data]\nstate = true", "methods.on_data.state"),
        ("version = 1\n[tenants]\nopen = 1", "tenants.open"),
        ("version = 1\nallocator = 0", "allocator"),
        ("version = [", "TOML"),
    ],
)
def test_an_error_names_its_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UsageError, match=named.replace(".", r"\.")):
        load(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        load_config(tmp_path / "nowhere.toml")


def test_the_signature_decides_what_nobody_configured(guest: Guest) -> None:
    interface = describe_interface(guest.info, Config())
    assert [m.name for m in interface.methods] == ["on_data", "peek", "ping"]
    assert [m.name for m in interface.vectors] == ["on_data"]
    # An i32 beside an allocator may be a pointer: not judged unless the configuration names the method.
    assert [m.name for m in interface.methods if m.judged] == ["on_data", "ping"]


def test_the_configuration_overrules_the_signature(guest: Guest) -> None:
    methods = {"peek": MethodConfig(), "on_data": MethodConfig(bytes=False), "ping": MethodConfig(skip=True)}
    interface = describe_interface(guest.info, Config(methods=methods))
    assert [(m.name, m.vector, m.judged) for m in interface.methods] == [
        ("on_data", False, True),
        ("peek", False, True),
    ]


@pytest.mark.parametrize(
    "config",
    [
        Config(methods={"on_date": MethodConfig()}),
        Config(tenant_open="open"),
        Config(host={"env.wirte": HostMode.RECORD}),
        Config(allocator="peak"),
        Config(methods={"ping": MethodConfig(bytes=True)}),
    ],
)
def test_names_that_the_module_has_not_are_refused(guest: Guest, config: Config) -> None:
    with pytest.raises(UsageError):
        describe_interface(guest.info, config)


def test_a_missing_host_function_is_refused_with_the_way_to_allow_it(guest: Guest) -> None:
    interface = describe_interface(guest.info, Config(host={"env.write": HostMode.BYTES}))
    with pytest.raises(UsageError, match=r"env\.log.*--host env\.log=record.*--stub-imports"):
        refuse_missing(guest.info, interface)
    refuse_missing(guest.info, describe_interface(guest.info, Config(), stub_imports=True))


@pytest.mark.parametrize("text", ["write=bytes", "env.write", "env.write=zero", "env.write=auto", "="])
def test_a_host_option_that_is_not_understood_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_host_option(text)


def test_a_host_option_is_a_name_and_a_mode() -> None:
    assert parse_host_option("env.write=bytes") == ("env.write", HostMode.BYTES)
