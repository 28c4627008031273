"""The C library installs, and the programs that embed a guest do what they say, also under sanitizers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from c_library import CLibrary, compile_wasm, install
from native_build import Toolchain
from needs import require_kvm
from packages import ROOT

pytestmark = [
    pytest.mark.timeout(1200),  # the first of these tests may build the library
    pytest.mark.programs("gcc", "g++", "pkg-config"),
]
EXAMPLE = ROOT / "examples/c-embedder"
CRASHES = {
    "wasm": "wasm `unreachable` instruction executed",
    "native": "CPU exception 6 (error code 0x0) at ADDRESS, address 0x0 in text",  # #UD
}
PRINTED = """\
two a, one b: 490
one z: trap: not for sale
receipt: THANK YOU
served in the context: 2
served after it: 0
crash: trap: {crash}
spin: timeout
two b: 500
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> CLibrary:
    return install(tmp_path_factory.mktemp("prefix"))


@pytest.fixture(scope="module", params=["wasm", "native"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def guest(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's guest: one source for both kinds."""
    folder, source = tmp_path_factory.mktemp("guest"), EXAMPLE / "guest.c"
    if kind == "native":
        return Toolchain("gcc", "c", "-O2").build(source.read_text("utf-8"), folder)
    return compile_wasm(source, folder / "guest.wasm")


def assert_does_what_it_says(program: Path, guest: Path, kind: str) -> None:
    done = subprocess.run([program, guest], capture_output=True, text=True)
    printed = re.sub(r"at 0x[0-9a-f]+,", "at ADDRESS,", done.stdout)
    assert (printed, done.stderr, done.returncode) == (PRINTED.format(crash=CRASHES[kind]), "", 0)


@pytest.mark.parametrize("linking", ["static", "shared"])
@pytest.mark.parametrize("source", ["embedder.c", "embedder.cpp"])
def test_an_embedder_calls_a_guest_and_outlives_what_it_does(
    source: str, linking: str, library: CLibrary, kind: str, guest: Path, tmp_path: Path
) -> None:
    require_kvm()
    program = library.build(EXAMPLE / source, tmp_path / "embedder", linking)
    assert_does_what_it_says(program, guest, kind)


@pytest.mark.parametrize("source", ["embedder.c", "embedder.cpp"])
def test_sanitizers_find_nothing_in_an_embedder(
    source: str, library: CLibrary, kind: str, guest: Path, tmp_path: Path
) -> None:
    require_kvm()
    sanitize = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    program = library.build(EXAMPLE / source, tmp_path / "embedder", "static", *sanitize)
    assert_does_what_it_says(program, guest, kind)
    # The embedder itself is an ELF program, but none that is a native guest.
    for file, why in ((EXAMPLE / "guest.c", "not a Wasm module"), (program, "the native guest: not ")):
        bad = subprocess.run([program, file], capture_output=True, text=True)
        assert (bad.stdout, bad.returncode) == ("", 1)
        assert why in bad.stderr


def test_only_the_functions_of_the_header_are_exported(library: CLibrary) -> None:
    shared = library.prefix / "lib/libhlfuzz.so"
    listed = subprocess.check_output(["nm", "-D", "--defined-only", shared], text=True)
    exported = {line.split()[-1] for line in listed.splitlines()}
    header = (library.prefix / "include/hlfuzz.h").read_text(encoding="utf-8")
    declared = set(re.findall(r"^[a-z].*?\b(hl_\w+)\(", header, flags=re.MULTILINE))
    assert exported == declared


def test_the_shared_library_is_named_by_the_version_of_its_interface(library: CLibrary) -> None:
    header = (library.prefix / "include/hlfuzz.h").read_text(encoding="utf-8")
    (version,) = re.findall(r"#define HL_ABI_VERSION (\d+)", header)
    name = f"libhlfuzz.so.{version}"
    dynamic = subprocess.check_output(["readelf", "-d", library.prefix / "lib" / name], text=True)
    assert f"Library soname: [{name}]" in dynamic
    assert (library.prefix / "lib/libhlfuzz.so").resolve().name == name


def test_packagers_install_into_a_staging_folder(tmp_path: Path) -> None:
    install(Path("/usr"), f"DESTDIR={tmp_path}")
    installed = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert installed == {
        "usr/include/hlfuzz.h",
        "usr/include/hlfuzz.hpp",
        "usr/lib/libhlfuzz.a",
        "usr/lib/libhlfuzz.so",
        "usr/lib/libhlfuzz.so.1",
        "usr/lib/pkgconfig/hlfuzz.pc",
    }
    assert "prefix=/usr\n" in (tmp_path / "usr/lib/pkgconfig/hlfuzz.pc").read_text()
