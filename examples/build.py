"""Compiles the example guests: to freestanding Wasm with ziglang, to native programs with gcc or ziglang."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path

from hlfuzz.guest import native_include

EXAMPLES = Path(__file__).resolve().parent
SCHEMAS = EXAMPLES.parent / "schemas"
OUTPUT = EXAMPLES / "build"
WASM = (
    "--target=wasm32-freestanding",
    "-nostdlib",
    "-O2",
    "-g0",
    "-fno-builtin",
    "-Wno-unused-function",
)
WASM_LINK = ("-Wl,--no-entry", "-Wl,-z,stack-size=16384", "-Wl,--strip-all")
NATIVE = (
    "-ffreestanding",
    "-fno-stack-protector",
    "-ffunction-sections",
    "-nostdlib",
    "-static",
    "-O2",
    "-g",
)
GCC = ("-fcf-protection=none", "-fno-pie", "-no-pie")
# zig's linker looks for unused host functions by itself, GNU's has to be told.
GCC_LINK = ("-Wl,--gc-sections", "-Wl,-z,start-stop-gc", "-Wl,--build-id=none")
ZIG = ("--target=x86_64-freestanding-none", "-mcpu=x86_64_v2", "-fno-sanitize=undefined")
WARNINGS = ("-Wall", "-Wextra", "-Werror")
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
_PLANTED = ("LEAK", "NEEDS_OPEN", "STALE", "BAD_ENUM", "BAD_TEXT", "BAD_REQUEST")
BUGGY = {
    "buggy_fbs": ("filter_buggy.c", "filter.fbs", ("-DLEAK", "-DNEEDS_OPEN")),
    "buggy_proto": ("filter_buggy.c", "filter.proto", ("-DLEAK", "-DNEEDS_OPEN")),
    "buggy_raw": ("raw_buggy.c", "filter.toml", ()),
} | {
    f"{fault.lower()}_{suffix}": ("filter_buggy.c", f"filter.{suffix}", (f"-D{fault}",))
    for fault in _PLANTED
    for suffix in ("fbs", "proto")
}
"""As `TYPED`, with planted faults; only made when they are asked for by name, and for Wasm only."""


@dataclass(frozen=True)
class Unit:
    """One guest: its source, the files generated from its schema, and flags of its own.

    `compiler` is "wasm", or for a native guest "gcc" or "zig"; `more`: a source that is compiled with it.
    """

    name: str
    source: Path
    generated: dict[str, str] = field(default_factory=dict[str, str])
    flags: tuple[str, ...] = ()
    compiler: str = "wasm"
    more: Path | None = None

    @property
    def all_flags(self) -> tuple[str, ...]:
        """Of every step."""
        if self.compiler == "wasm":
            return (*WARNINGS, *WASM, *self.flags)
        target = GCC if self.compiler == "gcc" else ZIG
        return (*WARNINGS, *NATIVE, *target, *self.flags, "-I", str(native_include()))

    @property
    def link_flags(self) -> tuple[str, ...]:
        """Of the last step."""
        return {"wasm": WASM_LINK, "gcc": GCC_LINK, "zig": ("-Wl,--gc-sections",)}[self.compiler]

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output: sources, headers, flags, the compiler."""
        version = _gcc_version() if self.compiler == "gcc" else metadata.version("ziglang")
        fixed = (self.all_flags, self.link_flags, C_FLAGS, CPP_FLAGS, self.compiler, version)
        digest = hashlib.sha256(repr(fixed).encode())
        headers = sorted(self.source.parent.glob("*.h"))
        if self.compiler != "wasm":
            headers += sorted(native_include().iterdir())
        for path in [self.source, *headers]:
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        for name, text in self.generated.items():
            digest.update(f"{name}\0{text}\0".encode())
        return digest.hexdigest()

    def run(self, language: str, *arguments: str) -> None:
        """The compiler or linker of `language` ("c", "cpp"). Raises SystemExit with its message."""
        if self.compiler == "gcc":
            command = ["gcc" if language == "c" else "g++"]
        else:
            command = [sys.executable, "-m", "ziglang", "cc" if language == "c" else "c++"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"cannot compile {self.name} ({self.source.name}):\n{done.stderr}")


@cache
def _gcc_version() -> str:
    return subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True).stdout


def _replace(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)


def _compile(unit: Unit, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="hlfuzz-example-") as temporary:
        folder = Path(temporary)
        for name, text in unit.generated.items():
            (folder / name).write_text(text, "utf-8")
        objects: list[str] = []
        more = () if unit.more is None else (unit.more,)
        for source in [unit.source, *more, *sorted(folder.glob("*.c"))]:
            language, flags = ("cpp", CPP_FLAGS) if source.suffix == ".cpp" else ("c", C_FLAGS)
            objects.append(str(folder / f"{source.stem}.o"))
            flags = (*unit.all_flags, *flags, "-I", str(folder))
            unit.run(language, *flags, "-c", "-o", objects[-1], str(source))
        made = folder / "guest"
        unit.run("c", *unit.all_flags, *unit.link_flags, "-o", str(made), *objects)
        _replace(target, made.read_bytes())


def _typed(folder: Path, compiler: str = "wasm") -> Iterator[Unit]:
    from hlfuzz.generate.languages import generator
    from hlfuzz.schema.load import load

    native = compiler != "wasm"
    for name, (source, schema, flags) in (TYPED if native else TYPED | BUGGY).items():
        loaded = load(SCHEMAS / schema)
        generated = generator("c")(loaded) | generator("cpp")(loaded)
        more = native_include() / "hlfuzz_guest.c" if native else None
        yield Unit(name, folder / source, generated, flags, compiler, more)


def _units(folder: Path, compiler: str) -> Iterator[Unit]:
    if folder.name == "native-filter":
        sources = sorted((*folder.glob("*.c"), *folder.glob("*.cpp")))
        yield from (Unit(f"native_{source.stem}", source, compiler=compiler) for source in sources)
        yield from _typed(EXAMPLES / "typed-filter", compiler)
    elif folder.name == "typed-filter":
        yield from _typed(folder)
    else:
        yield from (Unit(source.stem, source) for source in sorted(folder.glob("*.c")))


def native_compilers() -> tuple[str, ...]:
    """The compilers for native guests that are here: "gcc" with g++, "zig"."""
    gcc = shutil.which("gcc") is not None and shutil.which("g++") is not None
    zig = importlib.util.find_spec("ziglang") is not None
    return (*(("gcc",) if gcc else ()), *(("zig",) if zig else ()))


def build(
    example: str = "network-filter",
    *,
    compiler: str | None = None,
    only: Collection[str] | None = None,
    force: bool = False,
) -> dict[str, Path]:
    """Builds every C and C++ guest of one example folder; the code of schemas is generated for it.

    `compiler` is for native-filter: "gcc" or "zig", the first of those that is there when left out. `only`:
    names of guests, all but those of `BUGGY` when left out.
    Returns: the file of each guest by its name, for example {"filter": …/filter.wasm}: that of its source, in
    typed-filter those of `TYPED`, in native-filter both (native_filter, native_filter_cpp, and `TYPED`). The
    example's hlfuzz.toml is put beside them.
    Raises: SystemExit with the compiler's message when a source does not compile, or without a compiler for
    native guests; FileNotFoundError for an unknown example.
    """
    folder = EXAMPLES / example
    if not any(folder.glob("*.c")):
        raise FileNotFoundError(f"no C guest in {folder}")
    output, suffix, chosen = OUTPUT / example, "wasm", "wasm"
    if example == "native-filter":
        chosen = compiler or next(iter(native_compilers()), "")
        if not chosen:
            raise SystemExit("no compiler for native guests: install gcc and g++, or `pip install ziglang`")
        output, suffix = output / chosen, "elf"
    output.mkdir(parents=True, exist_ok=True)
    built: dict[str, Path] = {}
    for unit in _units(folder, chosen):
        if unit.name not in only if only is not None else unit.name in BUGGY:
            continue
        # The hlfuzz.toml is for the folder's own guests, and would be taken for that of the others.
        place = output / "typed" if suffix == "elf" and unit.name in TYPED else output
        place.mkdir(exist_ok=True)
        made, stamp = place / f"{unit.name}.{suffix}", place / f".{unit.name}.stamp"
        digest = unit.digest
        if force or not made.exists() or not stamp.exists() or stamp.read_text() != digest:
            _compile(unit, made)
            _replace(stamp, digest.encode())
        built[unit.name] = made
    config = folder / "hlfuzz.toml"
    if config.exists():
        shutil.copyfile(config, output / config.name)
    return built


if __name__ == "__main__":
    for folder_name in ("network-filter", "typed-filter", "native-filter"):
        for guest, path in build(folder_name, force="--force" in sys.argv[1:]).items():
            print(f"{guest}: {path} ({path.stat().st_size} bytes)")
