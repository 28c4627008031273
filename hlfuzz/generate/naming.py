"""Names of generated files: every schema has a stem that is an identifier in every language."""

from __future__ import annotations

import re

from hlfuzz.schema.ir import Schema


def stem(schema: Schema) -> str:
    """ "my-filter" → "my_filter": the schema's name with everything but letters, digits and underscores
    replaced. Generated files start with it."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", schema.name)
    return name if name[:1].isalpha() or name[:1] == "_" else f"s{name}"


def source(schema: Schema) -> str:
    """What generated files call their schema: its file name, safe in a comment of any language."""
    suffix = {"raw": "toml"}.get(schema.format.value, schema.format.value)
    return f"{re.sub(r'[^A-Za-z0-9_. -]', '_', schema.name)}.{suffix}"
