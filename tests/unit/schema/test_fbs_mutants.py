"""Schemas changed at random, token by token: flatc and our parser give the same verdict and structure."""

from __future__ import annotations

import random
import re
from pathlib import Path

from fbs_facts import facts_of_binary, facts_of_schema
from fbs_invalid import INVALID
from fbs_valid import VALID
from flatc import compile_schemas, read_binary_schema

from hlfuzz.schema.diagnostics import SchemaError
from hlfuzz.schema.fbs import parse

COUNT = 250
STRICTER = (
    *("contains itself", "tables, not structs", "root type must be", "nested FlatBuffer must be"),
    *("tags of type", "data in a schema", "is streaming", "cannot hold a struct"),
)
"""What only we refuse, by a part of the message (see fbs_invalid.STRICTER)."""

_TOKEN = re.compile(r'"[^"\n]*"|[A-Za-z_]\w*|[\d.]+\w*|\s+|.', re.DOTALL)
_CORPUS = [text for text in VALID.values() if len(text) < 2_000]
_WORDS = [
    token
    for text in (*_CORPUS, *(t for t, _ in INVALID.values() if len(t) < 2_000))
    for token in _TOKEN.findall(text)
    if not token.isspace()
]


def _kind(token: str) -> str:
    if token[0].isalpha() or token[0] == "_":
        return "name"
    return "number" if token[0].isdigit() or token[0] in ".+-" else token[0]


def _mutant(source: random.Random) -> str:
    """A valid schema with one to three tokens replaced by others, mostly of the same kind."""
    tokens = _TOKEN.findall(source.choice(_CORPUS))
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at = source.randrange(len(tokens))
        match source.randrange(10):
            case 0:
                tokens[at] = source.choice(_WORDS)
            case 1 if len(tokens) > 1:
                del tokens[at]
            case 2:
                tokens.insert(at, source.choice(_WORDS))
            case _:
                same = [w for w in source.choices(_WORDS, k=20) if _kind(w) == _kind(tokens[at])]
                tokens[at] = same[0] if same else tokens[at]
    return "".join(tokens)


def test_changed_schemas_have_the_same_verdict_and_structure(tmp_path: Path) -> None:
    source = random.Random(20_251_219)
    accepted = refused = 0
    file, binary = tmp_path / "mutant.fbs", tmp_path / "mutant.bfbs"
    for _ in range(COUNT):
        text = _mutant(source)
        file.write_text(text, newline="")
        good, said = compile_schemas([file], tmp_path)
        try:
            schema = parse(file)
        except SchemaError as error:
            if any(reason in str(error) for reason in STRICTER):
                continue
            assert not good, f"{text}\n{error}"  # noqa: PT017
            refused += 1
            continue
        assert good, f"{text}\n{said}"
        assert facts_of_schema(schema) == facts_of_binary(read_binary_schema(binary.read_bytes())), text
        accepted += 1
    assert accepted > COUNT // 10
    assert refused > COUNT // 10
