"""Guests that no checker may accuse: the examples, and modules of npm packages as people publish them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import guests
from planted import protobuf

from hlfuzz.bindings import Interface
from hlfuzz.guest import Guest
from hlfuzz.invariants import Config, Target, describe_interface, find_config, load_config
from hlfuzz.invariants.settings.config import MethodConfig
from hlfuzz.invariants.settings.seeds import read_seeds

ROOT = Path(__file__).resolve().parents[2]
for _folder in ("examples", "tests/modules"):
    if str(ROOT / _folder) not in sys.path:  # first: there is a package on PyPI whose name is build, too
        sys.path.insert(0, str(ROOT / _folder))

NPM = (
    "xxhash", "long", "es-module-lexer", "cjs-module-lexer", "llhttp", "llhttp-simd", "source-map",
    "as-sha256", "snappy", "farmhash", "hash-wasm/adler32", "hash-wasm/blake3", "hash-wasm/crc32",
    "hash-wasm/md5", "hash-wasm/ripemd160", "hash-wasm/sha512", "hash-wasm/sha1", "hash-wasm/sha3",
    "hash-wasm/xxhash64",
)  # fmt: skip
"""Of the modules in tests/modules/catalogue.py: those that need no host function that does something."""


@dataclass(frozen=True)
class Clean:
    """A guest without a fault. `native`: it runs in a micro-VM only."""

    name: str
    open: Callable[[], Target]
    native: bool = False


def _example(folder: str, name: str, corpus: str = "", compiler: str | None = None) -> Target:
    from build import build

    path = build(folder, only=(name,), compiler=compiler)[name]
    found = find_config(path)
    guest = Guest.load(path)
    interface = describe_interface(guest.info, load_config(found) if found else Config(), stub_imports=True)
    seeds = read_seeds(ROOT / "corpus" / corpus) if corpus else []
    return Target(guest, interface, deadline=0.2, seeds=seeds)


def _typed(name: str, schema: str) -> Target:
    """An example by its schema: typed calls, and host functions that answer."""
    from build import build

    guest = Guest.load(build("typed-filter", only=(name,))[name])
    loaded = Interface.load(ROOT / "schemas" / schema)
    return Target(guest, describe_interface(guest.info, Config()), deadline=0.2, schema=loaded)


def _native(export: str) -> Target:
    import native_leaks

    return native_leaks.target(export)


@cache
def _npm_modules() -> dict[str, bytes]:
    from catalogue import load_all
    from npm_install import installed

    return load_all(installed())


def _npm(name: str) -> Target:
    """All its functions are stateful: hashes and parsers are fed piece by piece, by design."""
    guest = Guest.from_wasm(_npm_modules()[name], name=name)
    methods = {e.name: MethodConfig(stateful=True) for e in guest.info.functions_exported}
    interface = describe_interface(guest.info, Config(methods=methods), stub_imports=True)
    return Target(guest, interface, deadline=0.2)


def _wat(text: str) -> Target:
    return guests.target(text, "auto", seeds=[b"hello", b"\x00\x04data"])


def _all() -> Iterator[Clean]:
    yield Clean("network-filter", partial(_example, "network-filter", "filter", "network-filter"))
    native = partial(_example, "native-filter", "native_filter", "network-filter")
    yield Clean("native-filter", native, native=True)
    yield Clean("native-careful", partial(_native, "careful"), native=True)
    for name in ("filter_raw", "filter_fbs"):
        yield Clean(f"native-{name}", partial(_example, "native-filter", name), native=True)
    for name in ("filter_raw", "filter_fbs", "filter_proto", "filter_cpp"):
        yield Clean(f"typed-{name}", partial(_example, "typed-filter", name))
    for name, schema in (("filter_raw", "toml"), ("filter_fbs", "fbs"), ("filter_proto", "proto")):
        yield Clean(f"schema-{name}", partial(_typed, name, f"filter.{schema}"))
    yield Clean("schema-broad-protobuf", partial(protobuf.target, "auto"))
    yield Clean("echo", partial(_wat, guests.CLEAN_ECHO))
    yield Clean("arithmetic", partial(_wat, guests.CLEAN_ARITHMETIC))
    yield Clean("pointers", partial(_wat, guests.CLEAN_POINTERS))
    for name in NPM:
        yield Clean(f"npm-{name.replace('/', '-')}", partial(_npm, name))


CLEAN = tuple(_all())
