"""The languages that code is generated for, each a module that is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from hlfuzz.errors import UsageError
from hlfuzz.schema.diagnostics import did_you_mean
from hlfuzz.schema.ir import Schema

Generator: TypeAlias = Callable[[Schema], dict[str, str]]
"""Turns a schema into files, name → text, without the comment that says who wrote them."""

_MODULES: Final = {
    "python": "hlfuzz.generate.python",
    "c": "hlfuzz.generate.c",
    "cpp": "hlfuzz.generate.cpp",
    "rust": "hlfuzz.generate.rust",
}

LANGUAGES: Final = tuple(_MODULES)
"""Names that `--lang` knows."""

DEFAULT_LANGUAGE: Final = "python"


def generator(language: str) -> Generator:
    """The generator of a language. Raises `UsageError` for an unknown one."""
    if language not in _MODULES:
        known = f"known are {', '.join(LANGUAGES)}"
        raise UsageError(
            f"unknown language {language!r} (--lang): {did_you_mean(language, LANGUAGES, known)}"
        )
    return importlib.import_module(_MODULES[language]).generate


def parse_languages(texts: Iterable[str]) -> tuple[str, ...]:
    """Languages of `--lang python,c --lang rust`, each once, in the order given.

    Raises: UsageError for an unknown language or an empty list.
    """
    names = [part.strip() for text in texts for part in text.split(",")]
    for name in names:
        if name not in _MODULES:
            generator(name)
    if not names:
        raise UsageError(f"no language given (--lang): known are {', '.join(LANGUAGES)}")
    return tuple(dict.fromkeys(names))
