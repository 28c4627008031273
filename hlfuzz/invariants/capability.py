"""capability (platform): the guest reaches only the given host functions, with the declared types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

from hlfuzz.errors import LinkError
from hlfuzz.invariants.base import Fault, Invariant, Subject
from hlfuzz.invariants.case import Case
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.host import Recorder
from hlfuzz.invariants.target import Target
from hlfuzz.model import Call, FuncType, ValType, Value
from hlfuzz.sandbox import Sandbox

MAX_IMPORTS_TRIED: Final = 32
UNKNOWN_IMPORT: Final = "hlfuzz.not-imported"


class Capability(Invariant):
    """Withholds each import in turn (loading must fail), offers one that nobody asked for, and checks every
    host call.

    A case whose only call is named like an import means: withhold that one.
    """

    id: ClassVar[str] = "capability"
    subject: ClassVar[Subject] = Subject.PLATFORM
    doc: ClassVar[str] = (
        "only the given host functions are reachable; an import without a provider fails at load"
    )

    def cases(self, target: Target, generator: Generator) -> Iterator[Case]:
        for import_ in target.guest.info.imports[:MAX_IMPORTS_TRIED]:
            yield Case((Call(import_.key),), context=False)
        yield Case((Call(UNKNOWN_IMPORT),), context=False)
        if target.guest.info.functions_imported:
            while (case := generator.sequence()) is not None:
                yield case

    def probe(self, target: Target, case: Case, *, strict: bool = False) -> Fault | None:
        name = case.calls[0].function
        imports = {i.key for i in target.guest.info.imports}
        if len(case.calls) == 1 and (name == UNKNOWN_IMPORT or name in imports):
            return self._loads(target, case, name)
        declared = {i.key: i.type for i in target.guest.info.functions_imported}
        for observation in target.session("strict" if strict else "memory").run(case):
            for call in observation.host_calls:
                type_ = declared.get(call.function)
                if not isinstance(type_, FuncType):
                    return self._fault(case, f"reached {call.function}, which it does not import")
                if len(type_.params) != len(call.args) or not all(map(_fits, call.args, type_.params)):
                    return self._fault(
                        case, f"called {call.function}{call.args}, which is declared as {type_}"
                    )
        return None

    def _loads(self, target: Target, case: Case, name: str) -> Fault | None:
        providers = dict(target.recorder().providers)
        if providers.pop(name, None) is None:
            providers[name] = Recorder.unused_function()
        try:
            Sandbox(target.guest, providers, engine=target.engine).close()
        except LinkError:
            return None
        return self._fault(case, f"was loaded although the providers did not match its imports ({name})")

    def _fault(self, case: Case, what: str) -> Fault:
        function = case.calls[-1].function
        return self.violated(
            function=function,
            detail=what.split(" ")[0],
            title=f"the guest {what}",
            evidence=(),
            case=case,
        )


def _fits(value: Value, type_: ValType) -> bool:
    if type_ is ValType.V128:
        return isinstance(value, bytes) and len(value) == 16
    if type_ in (ValType.F32, ValType.F64):
        return isinstance(value, float)
    bits = 32 if type_ is ValType.I32 else 64
    return isinstance(value, int) and -(1 << (bits - 1)) <= value < 1 << (bits - 1)
