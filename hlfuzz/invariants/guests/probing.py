"""Guests that try to reach more than they were given, and what must become of them: for `capability`."""

from __future__ import annotations

from functools import cache
from inspect import Parameter, Signature
from typing import Final, Literal

from hlfuzz.errors import EnvironmentProblem, LinkError
from hlfuzz.guest import Guest
from hlfuzz.invariants.observe import outcome_text
from hlfuzz.model import ExternKind, FuncType, Import, Ok, Trap, ValType, Value
from hlfuzz.sandbox import WASI, EngineName, Global, HostFunction, Memory, Provider, Sandbox, Table
from hlfuzz.sandbox.wasi.abi import SIGNATURES

DEADLINE_SECONDS: Final = 2.0
SLOTS: Final = 16
_ANY: Final = FuncType((ValType.I32,), (ValType.I32,))

FUNCTIONS: Final[tuple[str, ...]] = (
    *(f"wasi_snapshot_preview1.{name}" for name in (
        "fd_write", "fd_read", "path_open", "proc_exit", "environ_get", "args_get", "random_get",
        "clock_time_get", "sock_accept", "poll_oneoff",
    )),
    *(f"wasi_unstable.{name}" for name in ("fd_write", "path_open", "proc_exit")),
    *(f"env.{name}" for name in (
        "abort", "emscripten_run_script", "emscripten_memcpy_big", "emscripten_resize_heap", "invoke_ii",
        "__syscall_openat", "__cxa_throw", "dlopen", "system", "malloc", "memcpy", "printf", "trace", "seed",
        "proxy_log", "exit",
    )),
    "wasi.thread-spawn",
    "wasi:cli/run@0.2.0.run",
    "go.runtime.wasmExit",
    "gojs.syscall/js.valueCall",
    "__wbindgen_placeholder__.__wbindgen_throw",
    "a.a",
    "hlfuzz.alloc",
    "host.host",
    "..",
    " .x",
    "ENV.abort",
)  # fmt: skip
"""What toolchains and runtimes import, as "module.name": none exists unless it is given."""
OTHERS: Final[dict[str, str]] = {
    "env.memory": '(import "env" "memory" (memory 1))',
    "env.__indirect_function_table": '(import "env" "__indirect_function_table" (table 1 funcref))',
    "env.__stack_pointer": '(import "env" "__stack_pointer" (global (mut i32)))',
}
"""Imports that are no functions."""


def imports_known() -> tuple[str, ...]:
    """The names that bundled guests try to import, as "module.name"."""
    return (*FUNCTIONS, *OTHERS)


def judge_import(engine: Literal["auto"] | EngineName, key: str) -> str:
    """Loads a guest that imports `key` and is given nothing; what is wrong with what became of it, or "". Its
    start function would trap: when it runs, the import was not missed in time."""
    module, _, name = key.partition(".")
    # a host that gives WASI unasked would do so for the right types only
    type_ = SIGNATURES.get(name, _ANY) if module == WASI else _ANY
    signature = " ".join(("(param", *type_.params, ") (result", *type_.results, ")"))
    imported = OTHERS.get(key, f'(import "{module}" "{name}" (func {signature}))')
    guest = _guest(f'(module {imported} (func $start unreachable) (func (export "run")) (start $start))')
    try:
        Sandbox(guest, engine=engine, deadline=DEADLINE_SECONDS).close()
    except LinkError:
        return ""
    except EnvironmentProblem:
        raise
    except Exception as error:
        return f"was not refused for its import, but ended as {type(error).__name__}: {error}"
    return "was loaded"


_WALKER: Final = f"""(module
  (import "env" "given" (func $given (param i32)))
  (import "env" "table" (table {SLOTS} funcref))
  (type $nothing (func))
  (func (export "filled") (result i32) (local $i i32) (local $n i32)
    (loop
      (if (i32.eqz (ref.is_null (table.get (local.get $i)))) (then
        (local.set $n (i32.add (local.get $n) (i32.const 1)))))
      (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (table.size))))
    (local.get $n))
  (func (export "call_slot") (param i32) (call_indirect (type $nothing) (local.get 0)))
  (func (export "call_given") (param i32) (call $given (local.get 0))))"""


def judge_table(engine: Literal["auto"] | EngineName) -> str:
    """Has a guest walk through the table that it was given and call every slot: nothing is there."""
    reached: list[int] = []
    host: dict[str, Provider] = {"env.given": HostFunction(reached.append), "env.table": Table()}
    with Sandbox(_guest(_WALKER), host, engine=engine, deadline=DEADLINE_SECONDS) as box:
        if (found := box.try_call("filled")) != Ok((0,)):
            return f"looked for functions in a table of nulls, and {outcome_text(found)}"
        for slot in (*range(SLOTS), SLOTS, -1):
            outcome = box.try_call("call_slot", slot)
            wanted = "indirect-call-to-null" if 0 <= slot < SLOTS else "table-out-of-bounds"
            if not isinstance(outcome, Trap) or outcome.code != wanted:
                return f"called slot {slot} of a table of nulls, and {outcome_text(outcome)}"
    return f"reached a host function through a table, with {reached}" if reached else ""


def judge_neighbours(engine: Literal["auto"] | EngineName) -> str:
    """Opens two sandboxes of one guest with other host functions: each reaches its own."""
    heard: dict[str, list[int]] = {"first": [], "second": []}
    boxes: list[Sandbox] = []
    try:
        for name in heard:
            host: dict[str, Provider] = {"env.given": HostFunction(heard[name].append), "env.table": Table()}
            boxes.append(Sandbox(_guest(_WALKER), host, engine=engine, deadline=DEADLINE_SECONDS))
        for number, box in ((1, boxes[0]), (2, boxes[1]), (3, boxes[0])):
            box.call("call_given", number)
    finally:
        for box in boxes:
            box.close()
    if heard == {"first": [1, 3], "second": [2]}:
        return ""
    return f"reached the host functions of another sandbox: calls 1, 2, 3 arrived as {heard}"


def misfits(imported: Import) -> dict[str, Provider]:
    """Providers that do not fit an import, by what they are: of every other kind, and a function that takes
    one argument more."""
    fitting = {ExternKind.MEMORY: Memory, ExternKind.TABLE: Table, ExternKind.GLOBAL: Global}
    given: dict[str, Provider] = {"a memory": Memory(), "a table": Table(), "a global": Global(0)}
    wrong = {what: p for what, p in given.items() if type(p) is not fitting.get(imported.kind)}
    count = len(imported.type.params) if isinstance(imported.type, FuncType) else 0
    return {**wrong, f"a function of {count + 1} arguments": _taking(count + 1)}


def _taking(count: int) -> HostFunction:
    def take(*arguments: Value) -> None:
        pass

    names = [f"argument_{at}" for at in range(count)]
    parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
    setattr(take, "__signature__", Signature(parameters))  # noqa: B010 - pyright knows no such attribute
    return HostFunction(take)


@cache
def _guest(wat: str) -> Guest:
    import wasmtime

    return Guest.from_wasm(bytes(wasmtime.wat2wasm(wat)), name="prober")
