"""Reads the code blocks of a Markdown file, so that what the documentation shows can be run."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packages import ROOT

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMISED = re.compile(r"print\(.*\)  # ([^\s:]+)")


@dataclass(frozen=True)
class Block:
    """One fenced block: its language and text."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, named from the repository's root, in order."""
    return [Block(*match.groups()) for match in _BLOCK.finditer((ROOT / page).read_text(encoding="utf-8"))]


def commands(block: Block) -> list[tuple[str, list[str]]]:
    """Each `$ command` of a console block with the output lines that the block shows under it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line:
            found[-1][1].append(line)
    return found


def promised_output(python: str) -> list[str]:
    """What the comments after `print(…)  # answer` say will be printed: the first word of each."""
    return _PROMISED.findall(python)
