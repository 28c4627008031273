"""Finds Wasm modules that JavaScript carries inside: as base64 text, or as an array of bytes."""

from __future__ import annotations

import base64
import re

_BASE64 = re.compile(r"""["'`](AGFzbQEAAA[A-Za-z0-9+/]+)=*["'`]""")
_BYTES = re.compile(r"\[\s*(0,\s*97,\s*115,\s*109,\s*1,[\d,\s]+)\]")
_NAMED = re.compile(r'name[$\w]*\s*=\s*"(\w+)";\s*var data[$\w]*\s*=\s*"(AGFzbQ[A-Za-z0-9+/]+)=*"')


def modules(javascript: str) -> list[bytes]:
    """All modules in the order of the text."""
    found = [(m.start(), _decode(m[1])) for m in _BASE64.finditer(javascript)]
    found += [(m.start(), bytes(map(int, _numbers(m[1])))) for m in _BYTES.finditer(javascript)]
    return [wasm for _, wasm in sorted(found)]


def named_modules(javascript: str) -> dict[str, bytes]:
    """Modules that are written as `name = "md5"; var data = "AGFzb..."` (hash-wasm), by name."""
    return {m[1]: _decode(m[2]) for m in _NAMED.finditer(javascript)}


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def _numbers(text: str) -> list[str]:
    return [n for n in re.split(r"[,\s]+", text) if n]
