"""Raw interfaces: a TOML file that names functions of numbers and byte vectors (docs/schema-raw.md)."""

from __future__ import annotations

from hlfuzz.schema.raw.parse import MAX_BYTES, VERSION, parse, parse_text

__all__ = ["MAX_BYTES", "VERSION", "parse", "parse_text"]
