"""The npm modules under test: where each one is in its package, and what its imports are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import inlined

from hlfuzz import Caller, Global
from hlfuzz.sandbox import Provider

Answer = Callable[..., Any]
"""A host function: `(caller, *arguments)`. It must be deterministic: each engine gets the same."""


@dataclass(frozen=True)
class Source:
    """A module. `file` is below node_modules; a JavaScript file carries it inside.

    `answers` are the host functions that must do more than return zero, by import name; `given` are
    providers of imported globals.
    """

    file: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    given: Mapping[str, Provider] = field(default_factory=dict)

    def load(self, packages: Path) -> bytes:
        path = packages / self.file
        if path.suffix == ".wasm":
            return path.read_bytes()
        return inlined.modules(path.read_text(encoding="utf-8"))[0]


class Aborted(Exception):
    """What the modules' own `abort` and `throw` imports raise."""


def _abort(caller: Caller, *args: int) -> None:
    raise Aborted(args)


def _copy(caller: Caller, to: int, source: int, length: int) -> None:
    caller.write(to, caller.read(source, length))


def _copied(caller: Caller, to: int, source: int, length: int) -> int:
    _copy(caller, to, source, length)
    return to


OPTIONS = 1028
"""Handle of an options object that lives in the host; a wasm-bindgen module asks for its JSON."""
_OTHER = 1029
_JSON = b'{"quality": 5}'


def _handle(caller: Caller, *args: int) -> int:
    return _OTHER


def _serialize(caller: Caller, back: int, handle: int) -> None:
    """As wasm-bindgen's glue: the text goes to memory that the guest allocates, in a call back."""
    address = caller.call("__wbindgen_malloc", len(_JSON))
    assert isinstance(address, int)
    caller.write(address, _JSON)
    caller.write(back, address.to_bytes(4, "little") + len(_JSON).to_bytes(4, "little"))


_BINDGEN = "__wbindgen_placeholder__."
_HASHES = "hash-wasm/dist/index.umd.js"

SOURCES: dict[str, Source] = {
    "xxhash": Source("xxhash-wasm/cjs/xxhash-wasm.cjs"),
    "long": Source("long/umd/index.js"),
    "es-module-lexer": Source("es-module-lexer/dist/lexer.cjs"),
    "cjs-module-lexer": Source("cjs-module-lexer/dist/lexer.js"),
    "llhttp": Source("undici/lib/llhttp/llhttp-wasm.js"),
    "llhttp-simd": Source("undici/lib/llhttp/llhttp_simd-wasm.js"),
    "source-map": Source("source-map/lib/mappings.wasm"),
    "as-sha256": Source("@chainsafe/as-sha256/build/optimized.wasm", {"env.abort": _abort}),
    "as-sha256-simd": Source("@chainsafe/as-sha256/build/optimized.simd.wasm", {"env.abort": _abort}),
    "secp256k1": Source(
        "tiny-secp256k1/lib/secp256k1.wasm",
        {"./rand.js.generateInt32": lambda caller: 0x5EED, "./validate_error.js.throwError": _abort},
    ),
    "snappy": Source("snappy-wasm/cjs/snappy_bg.wasm", {_BINDGEN + "__wbindgen_error_new": _handle}),
    "brotli": Source(
        "brotli-wasm/pkg.node/brotli_wasm_bg.wasm",
        {
            _BINDGEN + "__wbindgen_is_object": lambda caller, handle: int(handle == OPTIONS),
            _BINDGEN + "__wbindgen_json_serialize": _serialize,
            _BINDGEN + "__wbindgen_error_new": _handle,
            _BINDGEN + "__wbindgen_string_new": _handle,
            _BINDGEN + "__wbindgen_throw": _abort,
        },
    ),
    "farmhash": Source("farmhash-modern/bin/nodejs/farmhash_modern_bg.wasm"),
    "png": Source(
        "@jsquash/png/codec/pkg/squoosh_png_bg.wasm",
        {"wbg.__wbindgen_throw": _abort, "wbg.__wbindgen_memory": _handle},
    ),
    "qoi-encoder": Source("@jsquash/qoi/codec/enc/qoi_enc.wasm", {"a.l": _abort}),
    "qoi-decoder": Source("@jsquash/qoi/codec/dec/qoi_dec.wasm", {"a.q": _abort}),
    "zstd": Source("@bokuweb/zstd-wasm/dist/common/zstd.wasm", {"a.a": _abort, "a.b": _abort}),
    "argon2-browser": Source("argon2-browser/dist/argon2.wasm", {"a.a": _copied}),
    "argon2-browser-simd": Source("argon2-browser/dist/argon2-simd.wasm", {"a.a": _copied}),
    "tree-sitter-json": Source(
        "tree-sitter-json/tree-sitter-json.wasm",
        given={"env.__memory_base": Global(1024), "env.__table_base": Global(0)},
    ),
    "oniguruma": Source("vscode-oniguruma/release/onig.wasm", {"env.emscripten_memcpy_big": _copy}),
}

HASHES = (
    "adler32", "argon2", "bcrypt", "blake2b", "blake2s", "blake3", "crc32", "crc64", "md4", "md5",
    "ripemd160", "scrypt", "sha1", "sha256", "sha3", "sha512", "sm3", "whirlpool", "xxhash128",
    "xxhash3", "xxhash32", "xxhash64",
)  # fmt: skip
"""Modules inside hash-wasm; here they are called "hash-wasm/md5" and so on."""

NAMES = (*SOURCES, *(f"hash-wasm/{name}" for name in HASHES))


def load_all(packages: Path) -> dict[str, bytes]:
    """Every module by its name here."""
    hashes = inlined.named_modules((packages / _HASHES).read_text(encoding="utf-8"))
    loaded = {name: source.load(packages) for name, source in SOURCES.items()}
    return loaded | {f"hash-wasm/{name}": hashes[name] for name in HASHES}
