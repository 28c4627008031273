"""Writes the raw interface of a module as far as the module itself tells (docs/schema-raw.md).

Wasm says that a parameter is an i32, not that it is a pointer. So numbers stay numbers, except where the
module's name section calls two of them pointer and length; what may well be bytes is suggested in a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from hlfuzz.errors import UsageError
from hlfuzz.guest.allocator import find_allocator
from hlfuzz.guest.parameter_names import ParameterNames
from hlfuzz.guest.toolchain import is_runtime_export
from hlfuzz.model import FuncType, ModuleInfo, ValType
from hlfuzz.schema.ir import Direction
from hlfuzz.schema.raw import MAX_BYTES, VERSION
from hlfuzz.schema.raw.method import default_name

_NUMBERS: Final = frozenset({ValType.I32, ValType.I64, ValType.F32, ValType.F64})
_POINTER: Final = re.compile(
    r"(.*?)_?(?:ptr|pointer|data|buf|buffer|bytes|addr|address|src|str|string|base)", re.I
)
_LENGTH: Final = re.compile(r"(?:.*?_?)(?:len|length|size|num_?bytes|byte_?length)", re.I)
_PAIR: Final = (ValType.I32, ValType.I32)


def raw_text(info: ModuleInfo, *, name: str = "guest", names: ParameterNames | None = None) -> str:
    """A raw interface (TOML) that the module fits: every exported function but a toolchain's own, every
    imported one.

    `name` becomes the interface's, `names` are the parameters' of `parameter_names`. Raises `UsageError` when
    there is no function, or more than a file may hold.
    """
    names = names or ParameterNames()
    allocator = find_allocator(info)
    own = allocator.export.name if allocator is not None else None
    guest = [
        (e.name, e.type, names.exports.get(e.name, ()))
        for e in info.functions_exported
        if isinstance(e.type, FuncType) and e.name != own and not is_runtime_export(e.name)
    ]
    host: dict[str, tuple[str, FuncType, tuple[str, ...]]] = {}
    for i in info.imports:
        if isinstance(i.type, FuncType):
            host.setdefault(i.key, (i.key, i.type, names.imports.get(i.key, ())))
    text = _head(info, name, own)
    tables = [
        *_tables(guest, Direction.GUEST, allocator is not None),
        *_tables(list(host.values()), Direction.HOST, True),
    ]
    if not any(t.startswith("[") for t in tables):
        raise UsageError(
            f"the module has no functions to describe ({name}): it exports and imports none whose values are "
            "numbers, besides a toolchain's own"
        )
    text = "\n".join([text, *tables])
    if len(text.encode()) > MAX_BYTES:
        raise UsageError(
            f"the interface of {len(guest) + len(host)} functions is larger than the {MAX_BYTES} bytes of a "
            f"raw schema ({name}): write one for the functions that matter"
        )
    return text


def _head(info: ModuleInfo, name: str, allocator: str | None) -> str:
    lines = [
        "# Written from the module's own exports and imports, which do not tell numbers from pointers:",
        "# where two i32 are pointer and length, write bytes (docs/schema-raw.md).",
        f"version = {VERSION}",
        f"name = {quoted(_identifier(name))}",
    ]
    if allocator is not None:
        lines.append(f"allocator = {quoted(allocator)}")
    else:
        lines.append("# no allocator was found; for bytes name an export, or an address of scratch memory:")
        lines.append("# allocator = 65536")
    for other in (i for i in info.imports if not isinstance(i.type, FuncType)):
        lines.append(
            f"# not part of a raw interface: the module imports the {other.kind} {quoted(other.key)}"
        )
    return "\n".join(lines) + "\n"


def _tables(
    functions: Sequence[tuple[str, FuncType, tuple[str, ...]]], direction: Direction, bytes_fit: bool
) -> list[str]:
    """The table of each function. `bytes_fit`: bytes can be passed."""
    taken: set[str] = set()
    tables: list[str] = []
    for symbol, type_, names in functions:
        key = symbol if re.fullmatch(r"[A-Za-z0-9_-]+", symbol) else quoted(symbol)
        title = f"[{direction.value}.{key}]"
        if direction is Direction.HOST:
            title = f"[{direction.value}.{quoted(symbol)}]"
        if not {*type_.params, *type_.results} <= _NUMBERS:
            tables.append(f"# {title} is {type_}: only numbers and bytes can cross\n")
            continue
        wanted = default_name(symbol, direction)
        name = wanted or "function"
        while name in taken:
            name += "_"
        taken.add(name)
        lines = [title]
        if name != wanted:
            lines.append(f"name = {quoted(name)}")
        tables.append(
            "\n".join([*lines, *_params(type_, names, bytes_fit), *_result(type_, bytes_fit)]) + "\n"
        )
    return tables


def _params(type_: FuncType, names: tuple[str, ...], bytes_fit: bool) -> list[str]:
    if not type_.params:
        return []
    words = _parameter_words(type_, names)
    known = _pairs(type_, lambda at: bytes_fit and _named_like_bytes(names, at))
    lines = [f"params = [{', '.join(_listed(type_, words, names, known))}]"]
    likely = _pairs(type_, lambda at: bytes_fit)
    if likely and not known:
        told = ", ".join(f"{words[at]} and {words[at + 1]}" for at in likely)
        listed = ", ".join(_listed(type_, words, (), likely))
        lines.append(f"# if {told} are pointer and length:")
        lines.append(f"# params = [{listed}]")
    return lines


def _result(type_: FuncType, bytes_fit: bool) -> list[str]:
    results = [quoted(t.value) for t in type_.results]
    if not results:
        return []
    listed = ", ".join(results)
    lines = [f"result = {listed}" if len(results) == 1 else f"result = [{listed}]"]
    form = "packed" if type_.results == (ValType.I64,) else "pair" if type_.results == _PAIR else None
    if form is not None and bytes_fit:
        told = "pointer << 32 | length" if form == "packed" else "pointer and length"
        lines += [f"# if it is {told}:", '# result = "bytes"', f'# form = "{form}"']
    return lines


def _pairs(type_: FuncType, fits: Callable[[int], bool]) -> list[int]:
    """Positions of parameters that begin a pair of i32."""
    found: list[int] = []
    at = 0
    while at + 1 < len(type_.params):
        if type_.params[at : at + 2] == _PAIR and fits(at):
            found.append(at)
            at += 1
        at += 1
    return found


def _named_like_bytes(names: tuple[str, ...], at: int) -> bool:
    if at + 1 >= len(names):
        return False
    first, second = names[at], names[at + 1]
    return bool(_POINTER.fullmatch(first) and _LENGTH.fullmatch(second) and not _LENGTH.fullmatch(first))


def _listed(type_: FuncType, words: list[str], names: tuple[str, ...], pairs: list[int]) -> list[str]:
    """The parameters as text, with a byte vector for each of `pairs`."""
    taken = set(words)
    listed: list[str] = []
    at = 0
    while at < len(words):
        if at in pairs:
            word = _vector_word(words[at], bool(names))
            while word in taken and word != words[at]:
                word += "_"
            taken.add(word)
            listed.append(quoted(f"{word}: bytes"))
            at += 2
        else:
            listed.append(quoted(f"{words[at]}: {type_.params[at].value}"))
            at += 1
    return listed


def _vector_word(word: str, named: bool) -> str:
    """ "request_ptr" → "request"; "data" without a better name."""
    if not named:
        return "data"
    match = _POINTER.fullmatch(word)
    stem = match[1] if match is not None else ""
    return stem if stem.strip("_") else word


def _parameter_words(type_: FuncType, names: tuple[str, ...]) -> list[str]:
    """A name for each parameter: its own as an identifier, else a letter; no two alike."""
    found: list[str] = []
    for position in range(len(type_.params)):
        given = names[position] if position < len(names) else ""
        word = re.sub(r"[^A-Za-z0-9_]", "_", given)
        if not word.strip("_") or word[:1].isdigit():
            word = "abcdefghijklmnopqrstuvwxyz"[position] if position < 26 else f"p{position}"
        while word in found:
            word += "_"
        found.append(word)
    return found


def _identifier(name: str) -> str:
    word = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return word if word[:1].isalpha() else f"guest_{word}".rstrip("_")


def quoted(text: str) -> str:
    """A TOML basic string; what does not print is escaped."""
    shown = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in shown) + '"'
