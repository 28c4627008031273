"""capability (platform): the guest reaches only the given host functions, with the declared types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from hlfuzz.errors import LinkError
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.guests.probing import (
    imports_known,
    judge_import,
    judge_neighbours,
    judge_table,
    misfits,
)
from hlfuzz.invariants.host import Recorder
from hlfuzz.invariants.observe import HostCall
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, FuncType, ValType, Value
from hlfuzz.sandbox import WASI, Provider, Sandbox
from hlfuzz.schema.ir import Format

MAX_IMPORTS_TRIED: Final = 32
UNKNOWN_IMPORT: Final = "hlfuzz.not-imported"
PROBE: Final = "hlfuzz.import:"
"""With an import's name behind it: a guest that imports it. Without: each of the known ones."""
TABLE: Final = "hlfuzz.table-of-nulls"
NEIGHBOURS: Final = "hlfuzz.two-sandboxes"


class Capability(Invariant):
    """Withholds each import in turn, offers providers of other kinds and one that nobody asked for: loading
    must fail. Checks that every host call was imported, with the types declared.

    Bundled guests try for more on the same engine: each imports one of many names that toolchains and
    runtimes know, and is given nothing (loading must fail before its start function runs); one walks through
    a table of nulls and calls every slot; two sandboxes of one guest get other host functions.

    A case whose only call is named like an import means: withhold that one, or with an argument: offer
    misfit number so-and-so in its place.
    """

    id: ClassVar[str] = "capability"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = (
        "only the given host functions are reachable; an import without a provider fails at load"
    )
    observes: ClassVar[str] = (
        "Whether sandboxes can be opened with providers that do not match the imports; every host call of "
        "the target, by name and types; what bundled guests reach."
    )
    blind: ClassVar[str] = (
        "What a given host function does with its arguments is the host's own affair. Names beyond the list "
        "are not tried."
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        imports = target.guest.info.imports[:MAX_IMPORTS_TRIED]
        for name in (*(i.key for i in imports), UNKNOWN_IMPORT, PROBE, TABLE, NEIGHBOURS):
            yield _single(name)
        for imported in imports:
            for at in range(len(misfits(imported))):
                yield _single(imported.key, at)
        if target.guest.info.functions_imported:
            while (case := generator.sequence()) is not None:
                yield case

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        call = case.calls[0]
        imports = {i.key for i in target.guest.info.imports}
        if len(case.calls) == 1 and (call.function == UNKNOWN_IMPORT or call.function in imports):
            return self._loads(target, case)
        if call.function.startswith(PROBE) or call.function in (TABLE, NEIGHBOURS):
            return self._reaches(target, call.function)
        declared = {i.key: i.type for i in target.guest.info.functions_imported}
        # raw stand-ins of a schema note values, not the numbers that crossed
        numbers = target.schema is None or target.schema.schema.format is not Format.RAW
        for called in target.run(case, strict=strict).calls:
            for host_call in called.host_calls:
                type_ = declared.get(host_call.function)
                if not isinstance(type_, FuncType):
                    return self._fault(case, f"reached {host_call.function}, which it does not import")
                if numbers and not _as_declared(host_call, type_):
                    what = f"called {host_call.function}{host_call.args}, which is declared as {type_}"
                    return self._fault(case, what)
        return None

    def _loads(self, target: Target, case: Case) -> Fault | None:
        (call,) = case.calls
        imported = next((i for i in target.guest.info.imports if i.key == call.function), None)
        providers: dict[str, Provider] = dict(target.recorder().providers)
        wasi = target.wasi
        if imported is None:
            providers[call.function] = Recorder.unused_function()
            what = f"with a provider for {call.function}, which it does not import"
        elif not call.args:
            providers.pop(call.function, None)
            wasi = None if imported.module == WASI else wasi
            what = f"without {call.function}"
        else:
            offered = list(misfits(imported).items())
            if call.args[0] not in range(len(offered)):
                return None
            misfit, providers[call.function] = offered[int(call.args[0])]
            what = f"with {misfit} for {call.function}"
        try:
            Sandbox(target.guest, providers, engine=target.engine, wasi=wasi).close()
        except LinkError:
            return None
        return self._fault(case, f"was loaded {what}")

    def _reaches(self, target: Target, name: str) -> Fault | None:
        if name == TABLE:
            problem = judge_table(target.engine)
        elif name == NEIGHBOURS:
            problem = judge_neighbours(target.engine)
        else:
            wanted = name.removeprefix(PROBE)
            for key in imports_known():
                if wanted in ("", key) and (problem := judge_import(target.engine, key)):
                    what = f"that imports {key} and is given nothing {problem}"
                    return self._fault(_single(PROBE + key), what)
            return None
        return self._fault(_single(name), problem) if problem else None

    def _fault(self, case: Case, what: str) -> Fault:
        function = case.calls[-1].function
        return self.violated(
            function=function,
            detail=what.split(" ")[0],
            title=f"the guest {what}" if not function.startswith("hlfuzz.") else f"a guest {what}",
            evidence=(),
            case=case,
        )


def _single(name: str, *arguments: int) -> Case:
    return Case((Call(name, arguments),), context=False)


def _as_declared(call: HostCall, type_: FuncType) -> bool:
    return len(type_.params) == len(call.args) and all(map(_fits, call.args, type_.params))


def _fits(value: Value, type_: ValType) -> bool:
    if type_ is ValType.V128:
        return isinstance(value, bytes) and len(value) == 16
    if type_ in (ValType.F32, ValType.F64):
        return isinstance(value, float)
    bits = 32 if type_ is ValType.I32 else 64
    return isinstance(value, int) and -(1 << (bits - 1)) <= value < 1 << (bits - 1)
