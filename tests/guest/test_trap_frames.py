"""A trap says where it happened: function, file and line, the same on both engines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime
from needs import require_kvm

from hlfuzz import Frame, Guest, GuestTrap, Sandbox, StartError
from hlfuzz.sandbox.engines.base import EngineName
from hlfuzz.vmm import Symbols

MakeGuest = Callable[..., Guest]

HTTP_C = """\
static int depth;
__attribute__((noinline)) int parse_header(int *at, int n) {
  depth++;
  if (n == 7)
    __builtin_trap();
  return at[n];
}
__attribute__((export_name("on_data"))) int on_data(int n) {
  int one = parse_header(&depth, n) + 1;
  return one;
}
"""


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def compiled(folder: Path, *options: str) -> bytes:
    pytest.importorskip("ziglang")
    source, out = folder / "http.c", folder / "http.wasm"
    source.write_text(HTTP_C)
    compiler = [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-freestanding", "-nostdlib", "-O1"]
    subprocess.run([*compiler, "-Wl,--no-entry", *options, "-o", out, source], check=True, timeout=300)
    return out.read_bytes()


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compiled(tmp_path_factory.mktemp("http"), "-g")


def opened(guest: Guest, engine: EngineName, **options: object) -> Sandbox:
    return Sandbox(guest, engine=engine, transport="exit", **options)  # type: ignore[arg-type]


def test_a_trap_names_function_file_and_line_of_each_call(http: bytes, engine: EngineName) -> None:
    with opened(Guest.from_wasm(http), engine) as box, pytest.raises(GuestTrap) as raised:
        box.call("on_data", 7)
    assert "in parse_header (http.c:5)" in str(raised.value)
    frames = raised.value.outcome.frames
    assert [(f.name, Path(f.file).name, f.line) for f in frames] == [
        ("parse_header", "http.c", 5), ("on_data", "http.c", 9)
    ]  # fmt: skip
    assert all(f.start < f.offset < len(http) for f in frames)


def test_each_engine_reports_the_same_frames(http: bytes) -> None:
    require_kvm()
    frames: list[tuple[Frame, ...]] = []
    for engine in ("kvm", "inprocess"):
        with opened(Guest.from_wasm(http), engine) as box:
            frames += [box.try_call("on_data", n).frames for n in (7, -99_999_999)]  # type: ignore[union-attr]
    assert frames[:2] == frames[2:]
    assert frames[0] != frames[1]


def test_without_debug_information_a_frame_has_a_name_and_an_offset(
    tmp_path: Path, engine: EngineName
) -> None:
    wasm = compiled(tmp_path, "-g0")
    with opened(Guest.from_wasm(wasm), engine) as box:
        trap = box.try_call("on_data", 7)
    first = trap.frames[0]  # type: ignore[union-attr]
    assert (first.name, first.file, first.line) == ("parse_header", "", 0)
    assert wasm[first.offset] == 0  # the opcode of `unreachable`
    assert trap.message.endswith(f"in parse_header ({first.offset:#x})")  # type: ignore[union-attr]


BARE = '(module (func $inner unreachable) (func (export "run") call $inner) (func (export "ok")))'


def test_without_names_exports_name_functions_and_others_are_numbers(
    guest: MakeGuest, engine: EngineName
) -> None:
    named = wat(BARE)
    bare = named[: named.rindex(b"\x04name") - 2]
    with opened(guest(bare), engine) as box:
        trap = box.try_call("run")
    assert [str(f).split(" ")[0] for f in trap.frames] == ["wasm-function[0]", "run"]  # type: ignore[union-attr]


def test_frames_of_a_module_with_a_start_function_lie_in_the_guests_own_file(engine: EngineName) -> None:
    source = (
        '(module (global $n (mut i32) (i32.const 0)) (func $go (global.set $n (i32.const 1))) (start $go) \
        (func (export "run") (result i32) global.get $n unreachable))'
    )
    wasm = wat(source)
    with opened(Guest.from_wasm(wasm), engine) as box:
        trap = box.try_call("run")
    (frame,) = trap.frames  # type: ignore[union-attr]
    assert wasm[frame.offset] == 0
    assert frame.function_index == 1


def test_the_frames_of_one_trap_are_not_those_of_the_next(guest: MakeGuest) -> None:
    require_kvm()
    source = """(module (func $deep (param i32) (if (local.get 0)
        (then (call $deep (i32.sub (local.get 0) (i32.const 1)))) (else unreachable)))
        (func (export "run") (param i32) local.get 0 call $deep))"""
    with opened(guest(source), "kvm") as box:
        lengths = [len(box.try_call("run", n).frames) for n in (1000, 0, 3)]  # type: ignore[union-attr]
    assert lengths[1:] == [2, 5]
    assert lengths[0] == 32


def test_a_failed_host_function_and_a_timeout_have_no_frames_of_an_earlier_trap(guest: MakeGuest) -> None:
    require_kvm()
    source = """(module (import "env" "f" (func $f)) (func (export "trap") unreachable)
        (func (export "host") call $f) (func (export "spin") (loop br 0)))"""

    def fail() -> None:
        raise ValueError("no")

    with opened(guest(source), "kvm", host={"env.f": fail}, deadline=0.05) as box:
        assert box.try_call("trap").frames  # type: ignore[union-attr]
        assert not hasattr(box.try_call("host"), "frames")
        assert not hasattr(box.try_call("spin"), "frames")


def test_a_start_function_that_traps_is_named(guest: MakeGuest) -> None:
    require_kvm()
    source = "(module (func $begin unreachable) (start $begin))"
    with pytest.raises(StartError, match="begin"):
        opened(guest(source), "kvm")


def test_debug_information_that_is_damaged_costs_only_itself(http: bytes, engine: EngineName) -> None:
    at = http.index(b".debug_line") + len(b".debug_line")
    broken = http[:at] + b"\xff" * 40 + http[at + 40 :]
    with opened(Guest.from_wasm(broken), engine) as box:
        trap = box.try_call("on_data", 7)
    assert [f.name for f in trap.frames] == ["parse_header", "on_data"]  # type: ignore[union-attr]
    assert {f.line for f in trap.frames} == {0}  # type: ignore[union-attr]


def test_control_characters_in_names_do_not_reach_a_terminal(guest: MakeGuest) -> None:
    symbols = Symbols(wat('(module (func (export "a\\1b[31mb") unreachable))').replace(b"a\x1b", b"a\x1b"))
    (frame,) = symbols.frames([(0, -1)]).frames
    assert "\x1b" not in frame.name
