"""Reads the table of one function of a raw interface."""

from __future__ import annotations

import re
from typing import Any, Final, cast

from hlfuzz.schema.diagnostics import Collector, did_you_mean
from hlfuzz.schema.ir import Bytes, CString, Direction, Method, Number, Parameter, ResultForm, Scalar
from hlfuzz.schema.raw.places import Path, Places
from hlfuzz.schema.raw.types import IDENTIFIER, Misspelt, ParameterType, parameter, scalar, short

MAX_VALUES: Final = 1000
"""Parameters, and results, of a Wasm function (WebAssembly JavaScript Interface, implementation-defined
limits); engines refuse more."""

_KEYS: Final = ("params", "result", "form", "stateful", "doc", "name")
_BYTES_RESULTS: Final = {
    ResultForm.PACKED: (Scalar.U64,),
    ResultForm.PAIR: (Scalar.U32, Scalar.U32),
    ResultForm.INPLACE: (Scalar.U32,),
}
"""What the Wasm function returns for each form of bytes."""
_FORMS: Final = ", ".join(f'"{f.value}"' for f in _BYTES_RESULTS)


class MethodReader:
    """Reads the table `[guest.key]` or `[host."key"]`."""

    def __init__(self, places: Places, collector: Collector, direction: Direction, key: str) -> None:
        self._places = places
        self._collector = collector
        self._direction = direction
        self._key = key
        self._path: Path = (direction.value, key)
        self._failed = False

    def read(self, table: Any) -> Method | None:
        """The method; None when something is wrong with it, which the collector has."""
        if not isinstance(table, dict):
            self._fail("a function is a table", (), f"write [{self._direction.value}.{self._key}]")
            return None
        values = cast("dict[str, Any]", table)
        if not self._named_well(values):
            return None
        for key, value in values.items():
            if key not in _KEYS:
                listing = f"the keys are {', '.join(_KEYS)}"
                self._fail(
                    f"unknown key {short(key)}", (key,), did_you_mean(key, _KEYS, listing), at_key=True
                )
            elif key in ("doc", "name") and not isinstance(value, str):
                self._fail(f"{key!r} is no text", (key,), f'as in {key} = "..."')
            elif key == "stateful" and not isinstance(value, bool):
                self._fail("'stateful' is neither true nor false", (key,), "write stateful = true")
        name = self._name(values.get("name"))
        parameters = self._parameters(values.get("params", []))
        results, form = self._results(values, parameters)
        if values.get("stateful") is True and self._direction is Direction.HOST:
            self._fail("only functions of the guest are stateful", ("stateful",), "remove it", at_key=True)
        if self._failed:
            return None
        return Method(
            name=name,
            direction=self._direction,
            symbol=self._key,
            parameters=parameters,
            results=results,
            form=form,
            stateful=values.get("stateful", False),
            doc=values.get("doc", ""),
            position=self._places.key(self._path),
        )

    def _fail(
        self, message: str, path: Path, suggestion: str = "", *, at_key: bool = False, inside: int = 0
    ) -> None:
        self._failed = True
        full = (*self._path, *path)
        position = self._places.key(full) if at_key else self._places.value(full, inside)
        self._collector.add(message, position, suggestion=suggestion, source=self._places.source(position))

    def _named_well(self, values: dict[str, Any]) -> bool:
        """Whether the key can be a symbol; dots without quotes make tables inside tables."""
        host = self._direction is Direction.HOST
        inner = next((k for k, v in values.items() if isinstance(v, dict) and k not in _KEYS), None)
        if inner is not None and len(values) == 1:
            fixed = f"{self._key}.{inner}"
            self._fail(
                f"{self._direction.value}.{short(fixed)[1:-1]} is a table in a table",
                (inner,),
                f'put the name in quotes: [{self._direction.value}."{fixed}"]',
                at_key=True,
            )
            return False
        if host and "." not in self._key:
            self._fail(
                f"import {short(self._key)} has no module",
                (),
                f'write module and name, as in [host."env.{self._key}"]',
                at_key=True,
            )
            return False
        return True

    def _name(self, given: Any) -> str:
        if given is None:
            name = default_name(self._key, self._direction)
            if name is not None:
                return name
            self._fail(
                f"no name can be made of {short(self._key)}", (), 'give one: name = "..."', at_key=True
            )
        elif isinstance(given, str) and not (IDENTIFIER.fullmatch(given) and given.strip("_")):
            self._fail("the name is no identifier", ("name",), "use letters, digits and _, a letter first")
        return str(given)

    def _parameters(self, given: Any) -> tuple[Parameter, ...]:
        if not isinstance(given, list):
            self._fail("'params' is no list", ("params",), 'as in params = ["data: bytes", "flags: u32"]')
            return ()
        found: list[Parameter] = []
        taken: set[str] = set()
        for index, text in enumerate(cast("list[Any]", given)):
            path: Path = ("params", index)
            if not isinstance(text, str):
                self._fail("a parameter is no text", path, 'write "name: type", as in "data: bytes"')
                continue
            try:
                name, type_, offset = parameter(text)
            except Misspelt as error:
                self._fail(str(error), path, error.suggestion, inside=error.offset)
                continue
            if name in taken:
                self._fail(f"two parameters of the name {short(name)}", path, "give each its own")
            taken.add(name)
            self._check_out(type_, path, offset, found)
            position = self._places.value((*self._path, *path))
            found.append(Parameter(name, type_.type, type_.out, type_.capacity, position))
        if sum(wasm_parameters(p) for p in found) > MAX_VALUES:
            self._fail(f"more than {MAX_VALUES} Wasm parameters", ("params",), "no engine takes more")
        return tuple(found)

    def _check_out(self, type_: ParameterType, path: Path, offset: int, before: list[Parameter]) -> None:
        if not type_.out:
            return
        if any(p.out for p in before):
            self._fail("a second out parameter", path, "a function fills one byte vector", inside=offset)
        if self._direction is Direction.GUEST and not type_.capacity:
            suggestion = 'say how many bytes the host makes room for: "out bytes(4096)"'
            self._fail("out bytes without a capacity", path, suggestion, inside=offset)

    def _results(
        self, values: dict[str, Any], parameters: tuple[Parameter, ...]
    ) -> tuple[tuple[Scalar, ...], ResultForm]:
        given, form = values.get("result", []), values.get("form")
        if given == "bytes":
            return self._bytes(form, parameters)
        if form is not None:
            self._fail(
                "'form' is for results that are bytes",
                ("form",),
                'write result = "bytes" or remove it',
                at_key=True,
            )
        single = isinstance(given, str)
        if not single and not isinstance(given, list):
            self._fail("'result' is no type", ("result",), 'as in result = "i32" or result = ["i32", "i64"]')
            return (), ResultForm.NONE
        results: list[Scalar] = []
        for index, text in enumerate(cast("list[Any]", [given] if single else given)):
            path: Path = ("result",) if single else ("result", index)
            if not isinstance(text, str) or (text == "bytes" and not single):
                self._fail(
                    "a result is no number", path, 'bytes come back alone: result = "bytes" and a form'
                )
                continue
            try:
                results.append(scalar(text))
            except Misspelt as error:
                self._fail(str(error), path, error.suggestion)
        if len(results) > MAX_VALUES:
            self._fail(f"more than {MAX_VALUES} results", ("result",), "no engine takes more")
        if any(p.out for p in parameters) and results[-1:] != [Scalar.I32]:
            self._fail(
                "out bytes without a length",
                ("result",),
                "the last result must be i32: how many bytes were written, or a negative error code",
            )
        return tuple(results), ResultForm.NONE

    def _bytes(self, form: Any, parameters: tuple[Parameter, ...]) -> tuple[tuple[Scalar, ...], ResultForm]:
        found = next((f for f in _BYTES_RESULTS if f.value == form), None)
        if found is None:
            what = "no form for the bytes" if form is None else f"unknown form {short(str(form))}"
            self._fail(what, ("result",) if form is None else ("form",), f"add form = one of {_FORMS}")
            return (), ResultForm.NONE
        if any(p.out for p in parameters):
            self._fail("bytes both as result and as out parameter", ("result",), "choose one of them")
        if found is ResultForm.INPLACE and not any(isinstance(p.type, Bytes) for p in parameters):
            self._fail("no bytes that the result could replace", ("form",), 'add a parameter, "data: bytes"')
        return _BYTES_RESULTS[found], found


def default_name(symbol: str, direction: Direction) -> str | None:
    """The name of a method that gives none: the export's, or the import's after its module, as an identifier.
    None when nothing of it is left."""
    last = symbol.rpartition(".")[2] if direction is Direction.HOST else symbol
    name = re.sub(r"[^A-Za-z0-9_]", "_", last)
    if not name.strip("_"):
        return None
    return f"_{name}" if name[:1].isdigit() else name


def wasm_parameters(parameter: Parameter) -> int:
    """How many parameters of the Wasm function a parameter takes."""
    return 1 if isinstance(parameter.type, Number | CString) else 2
