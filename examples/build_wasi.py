"""Compiles the example guests that need WASI, once for each change: C, Go, AssemblyScript."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
SCHEMA = EXAMPLES.parent / "schemas" / "filter.toml"
OUTPUT = EXAMPLES / "build"
C_FLAGS = (
    "--target=wasm32-wasi",
    "-std=c11",
    "-O2",
    "-g0",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
)
C_LINK_FLAGS = ("-Wl,--strip-all",)
REACTOR = ("-mexec-model=reactor",)
GO_FLAGS = ("-trimpath", "-ldflags=-s -w")
GO_REACTOR = ("-buildmode=c-shared",)
GO_ENVIRONMENT = {"GOOS": "wasip1", "GOARCH": "wasm", "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}


class CompilerUnavailable(Exception):
    """A compiler is not installed."""


def build_c() -> dict[str, Path]:
    """The C guests: "hello", a command, and "filter", a reactor over code generated from the schema.

    Raises: SystemExit with the compiler's message when a source does not compile.
    """
    from hlfuzz.generate.languages import generator
    from hlfuzz.schema.load import load

    folder = EXAMPLES / "wasi-c"
    generated = generator("c")(load(SCHEMA))
    version = metadata.version("ziglang")

    def compile(name: str, temporary: Path) -> Path:
        sources = [folder / f"{name}.c"]
        flags: tuple[str, ...] = ()
        if name == "filter":
            for file, text in generated.items():
                (temporary / file).write_text(text, "utf-8")
            sources += sorted(temporary.glob("*.c"))
            flags = (*REACTOR, "-I", str(temporary))
        wasm = temporary / "guest.wasm"
        _run([sys.executable, "-m", "ziglang", "cc", *C_FLAGS, *C_LINK_FLAGS, *flags, "-o", wasm, *sources])
        return wasm

    parts = (C_FLAGS, C_LINK_FLAGS, REACTOR, version, generated)
    return {n: _built(folder, n, [folder / f"{n}.c"], parts, compile) for n in ("hello", "filter")}


def build_go() -> dict[str, Path]:
    """The Go guests: "hello", a command, and "filter", a reactor, stamped with its schema.

    Raises: `CompilerUnavailable`; SystemExit with the compiler's message when a source does not compile.
    """
    go = shutil.which("go")
    if go is None:
        raise CompilerUnavailable("no go was found: install Go 1.24 or newer")
    folder = EXAMPLES / "wasi-go"

    def compile(name: str, temporary: Path) -> Path:
        wasm = temporary / "guest.wasm"
        mode = GO_REACTOR if name == "filter" else ()
        _run([go, "build", *GO_FLAGS, *mode, "-o", wasm, f"./{name}"], folder, GO_ENVIRONMENT)
        return _stamped(wasm) if name == "filter" else wasm

    parts = (GO_FLAGS, GO_REACTOR, _run([go, "version"]), SCHEMA.read_text())
    return {
        n: _built(folder, n, [folder / "go.mod", *sorted((folder / n).glob("*.go"))], parts, compile)
        for n in ("hello", "filter")
    }


def build_assemblyscript() -> dict[str, Path]:
    """The AssemblyScript guest "filter", a reactor in all but name, stamped with its schema.

    Raises: `CompilerUnavailable`; SystemExit with the compiler's message when the source does not compile.
    """
    sys.path.insert(0, str(EXAMPLES / "assemblyscript-filter"))
    import build_assemblyscript as compiler

    folder = EXAMPLES / "wasi-assemblyscript"
    try:
        plain = compiler.build(folder)
    except compiler.CompilerUnavailable as error:
        raise CompilerUnavailable(str(error)) from None

    def stamp(name: str, temporary: Path) -> Path:
        return _stamped(Path(shutil.copyfile(plain, temporary / "guest.wasm")))

    return {"filter": _built(folder, "stamped", [plain], (SCHEMA.read_text(),), stamp)}


def _built(
    folder: Path, name: str, sources: list[Path], parts: object, compile: Callable[[str, Path], Path]
) -> Path:
    """The Wasm file, made anew when a source or one of `parts` has changed."""
    output = OUTPUT / folder.name
    output.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(repr(parts).encode())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    wasm, stamp = output / f"{name}.wasm", output / f".{name}.stamp"
    with _locked(output):
        if not wasm.exists() or not stamp.exists() or stamp.read_text() != digest.hexdigest():
            with tempfile.TemporaryDirectory(dir=output, prefix=".tmp-") as temporary:
                compile(name, Path(temporary)).replace(wasm)
            stamp.write_text(digest.hexdigest())
    return wasm


@contextmanager
def _locked(output: Path) -> Iterator[None]:
    """Two test runs at once wait for each other."""
    with (output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _stamped(wasm: Path) -> Path:
    """`wasm` with the handshake of the schema in it: what `hlfuzz stamp` does."""
    from hlfuzz.bindings.handshake import SECTION, section_text
    from hlfuzz.guest.sections import with_custom_section
    from hlfuzz.schema.load import load

    wasm.write_bytes(with_custom_section(wasm.read_bytes(), SECTION, section_text(load(SCHEMA)).encode()))
    return wasm


def _run(
    command: list[str | Path], folder: Path | None = None, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command, cwd=folder, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=600
    )
    if done.returncode != 0:
        raise SystemExit(f"cannot compile ({' '.join(map(str, command))}):\n{done.stderr}{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    for language in (build_c, build_go, build_assemblyscript):
        try:
            for guest, path in language().items():
                print(f"{guest}: {path} ({path.stat().st_size} bytes)")
        except CompilerUnavailable as error:
            print(error)
