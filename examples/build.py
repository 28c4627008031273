"""Compiles the example guests to freestanding Wasm with PyPI's ziglang, once for each change."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent
SCHEMAS = EXAMPLES.parent / "schemas"
OUTPUT = EXAMPLES / "build"
FLAGS = (
    "--target=wasm32-freestanding",
    "-nostdlib",
    "-O2",
    "-g0",
    "-fno-builtin",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-function",
)
LINK_FLAGS = ("-Wl,--no-entry", "-Wl,-z,stack-size=16384", "-Wl,--strip-all")
C_FLAGS = ("-std=c11",)
CPP_FLAGS = ("-std=c++17", "-fno-exceptions", "-fno-rtti")
TYPED = {
    "filter_fbs": ("filter.c", "filter.fbs", ()),
    "filter_proto": ("filter.c", "filter.proto", ("-DFILTER_PROTO",)),
    "filter_cpp": ("filter_cpp.cpp", "filter.fbs", ()),
    "filter_raw": ("raw.c", "filter.toml", ()),
    "bench": ("bench.c", "bench.fbs", ()),
}
"""Guests over generated code, in typed-filter: source, schema, flags."""


@dataclass(frozen=True)
class Unit:
    """One guest: its source, the files generated from its schema, and flags of its own."""

    name: str
    source: Path
    generated: dict[str, str] = field(default_factory=dict[str, str])
    flags: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output: sources, headers, flags, the compiler."""
        fixed = (FLAGS, LINK_FLAGS, C_FLAGS, CPP_FLAGS, self.flags, metadata.version("ziglang"))
        digest = hashlib.sha256(repr(fixed).encode())
        for path in [self.source, *sorted(self.source.parent.glob("*.h"))]:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        for name, text in self.generated.items():
            digest.update(f"{name}\0{text}\0".encode())
        return digest.hexdigest()


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


def _zig(unit: Unit, *arguments: str) -> None:
    command = [sys.executable, "-m", "ziglang", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"cannot compile {unit.name} ({unit.source.name}):\n{done.stderr}")


def _compile(unit: Unit, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hlfuzz-example-") as temporary:
        folder = Path(temporary)
        for name, text in unit.generated.items():
            (folder / name).write_text(text, "utf-8")
        objects: list[str] = []
        for source in [unit.source, *sorted(folder.glob("*.c"))]:
            compiler, language = ("c++", CPP_FLAGS) if source.suffix == ".cpp" else ("cc", C_FLAGS)
            objects.append(str(folder / f"{source.stem}.o"))
            flags = (*FLAGS, *language, *unit.flags, "-I", str(folder))
            _zig(unit, compiler, *flags, "-c", "-o", objects[-1], str(source))
        wasm = folder / "guest.wasm"
        _zig(unit, "cc", *FLAGS, *LINK_FLAGS, "-o", str(wasm), *objects)
        _replace(target, wasm.read_bytes())


def _units(folder: Path) -> Iterator[Unit]:
    if folder.name != "typed-filter":
        yield from (Unit(source.stem, source) for source in sorted(folder.glob("*.c")))
        return
    from hlfuzz.generate.languages import generator
    from hlfuzz.schema.load import load

    for name, (source, schema, flags) in TYPED.items():
        loaded = load(SCHEMAS / schema)
        generated = generator("c")(loaded) | generator("cpp")(loaded)
        yield Unit(name, folder / source, generated, flags)


def build(example: str = "network-filter", *, force: bool = False) -> dict[str, Path]:
    """Builds every C and C++ guest of one example folder; the code of schemas is generated for it.

    Returns: the Wasm file of each guest by its name, for example {"filter": …/filter.wasm}: that of its
    source, in typed-filter those of `TYPED`. The example's hlfuzz.toml is put beside them.
    Raises: SystemExit with the compiler's message when a source does not compile; FileNotFoundError for an
    unknown example.
    """
    folder = EXAMPLES / example
    if not any(folder.glob("*.c")):
        raise FileNotFoundError(f"no C guest in {folder}")
    output = OUTPUT / example
    output.mkdir(parents=True, exist_ok=True)
    built: dict[str, Path] = {}
    for unit in _units(folder):
        wasm, stamp = output / f"{unit.name}.wasm", output / f".{unit.name}.stamp"
        digest = unit.digest
        if force or not wasm.exists() or not stamp.exists() or stamp.read_text() != digest:
            _compile(unit, wasm)
            _replace(stamp, digest.encode())
        built[unit.name] = wasm
    config = folder / "hlfuzz.toml"
    if config.exists():
        shutil.copyfile(config, output / config.name)
    return built


if __name__ == "__main__":
    for folder_name in ("network-filter", "typed-filter"):
        for guest, path in build(folder_name, force="--force" in sys.argv[1:]).items():
            print(f"{guest}: {path} ({path.stat().st_size} bytes)")
