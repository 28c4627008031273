"""Bad input gets a typed error that says what, where and the next step; process and sandbox go on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bad_modules import GOOD, MODULES, Bad, wasm

from hlfuzz import (
    AbiViolation,
    Guest,
    HlfuzzError,
    HostFunctionError,
    Limits,
    LinkError,
    ModuleError,
    Sandbox,
    UsageError,
)


def open_bad(data: bytes, bad: Bad, engine: str) -> Sandbox:
    guest = Guest.from_wasm(data, name="bad-one", limits=Limits(**bad.limits))
    return Sandbox(guest, bad.host, engine=engine)


@pytest.mark.parametrize("name", MODULES)
def test_a_bad_module_is_refused_and_the_process_goes_on(engine, name):
    bad = MODULES[name]
    data = bad.module if isinstance(bad.module, bytes) else wasm(bad.module)
    for _ in range(2):  # a refusal leaves nothing in any cache
        with pytest.raises(HlfuzzError) as caught:
            open_bad(data, bad, engine)
        assert type(caught.value) is bad.error, caught.value
        text = str(caught.value)
        if bad.reason:
            assert caught.value.reason == bad.reason  # type: ignore[attr-defined]
        for named in (*bad.names, "e." if bad.error is LinkError and "e." in str(bad.host) else "bad-one"):
            assert named in text
        assert ":" in text or ";" in text, "no next step"
    with Sandbox(Guest.from_wasm(wasm(GOOD)), engine=engine) as box:
        assert box.call("seven") == 7


class NotAnIndex:
    def __index__(self) -> int:
        raise RuntimeError("no index today")


CALLS: dict[str, tuple[Callable[[Sandbox], object], str]] = {
    "unknown export": (lambda b: b.call("sevn"), "seven"),
    "no name": (lambda b: b.call(""), "no exported func"),
    "a memory": (lambda b: b.call("memory"), "memory"),
    "too few": (lambda b: b.call("add", 1), "add"),
    "too many": (lambda b: b.call("add", 1, 2, 3), "add"),
    "text": (lambda b: b.call("add", "1", 2), "argument 1"),
    "float for an integer": (lambda b: b.call("add", 1, 2.0), "argument 2"),
    "None": (lambda b: b.call("add", None, 2), "argument 1"),
    "a list": (lambda b: b.call("add", [1], 2), "argument 1"),
    "over i32": (lambda b: b.call("add", 1 << 32, 0), "argument 1"),
    "under i32": (lambda b: b.call("add", -(1 << 31) - 1, 0), "argument 1"),
    "over i64": (lambda b: b.call("add", 0, 1 << 64), "argument 2"),
    "under i64": (lambda b: b.call("add", 0, -(1 << 63) - 1), "argument 2"),
    "astronomic": (lambda b: b.call("add", 1 << 100_000, 0), "argument 1"),
    "f32 too large": (lambda b: b.call("one", 1e300), "argument 1"),
    "short vector": (lambda b: b.call("vector", bytes(15)), "16 bytes"),
    "vector as number": (lambda b: b.call("vector", 5), "argument 1"),
    "bytes without an allocator": (lambda b: b.call("bytes", b"abc"), "allocator"),
    "bytes for one integer": (lambda b: b.call("add", b"abc", 1), "argument 1"),
    "result form": (lambda b: b.call_bytes("bytes", b"abc", result="json"), "pair"),  # type: ignore[arg-type]
    "read outside": (lambda b: b.memory().read(65530, 7), "0..65536"),
    "read far outside": (lambda b: b.memory().read(1 << 70, 1), "0..65536"),
    "negative length": (lambda b: b.memory().read(0, -1), "0..65536"),
    "write outside": (lambda b: b.memory().write(65536, b"x"), "0..65536"),
    "unknown memory": (lambda b: b.memory("memroy"), "memory"),
    "unknown global": (lambda b: b.globals["h"], "'g'"),
    "global out of range": (lambda b: b.globals.__setitem__("g", 1 << 33), "'g'"),
    "global of a wrong type": (lambda b: b.globals.__setitem__("g", "x"), "'g'"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_call_is_refused_and_changes_nothing(engine, name):
    use, named = CALLS[name]
    with Sandbox(Guest.from_wasm(wasm(GOOD), name="good"), engine=engine) as box:
        box.globals["g"] = 41
        box.memory().write(0, b"kept")
        with pytest.raises(UsageError) as caught:
            use(box)
        assert named in str(caught.value)
        assert box.globals["g"] == 41
        assert box.memory().read(0, 4) == b"kept"
        assert box.call("add", -1, 8) == 7


def test_an_argument_that_raises_raises_through(engine):
    with Sandbox(Guest.from_wasm(wasm(GOOD)), engine=engine) as box:
        with pytest.raises(RuntimeError, match="no index today"):
            box.call("add", NotAnIndex(), 1)
        assert box.call("add", 1, 1) == 2


ALLOCATORS = {
    "null": "i32.const 0",
    "the end": "i32.const 65536",
    "past the end": "i32.const 65535",
    "negative": "i32.const -1",
    "two gigabytes": "i32.const 0x7fffffff",
}


@pytest.mark.parametrize("name", ALLOCATORS)
def test_an_allocator_that_returns_nonsense_is_a_violation(engine, name):
    text = f"""(module (memory (export "memory") 1) (global (export "ran") (mut i32) (i32.const 0))
      (func (export "malloc") (param i32) (result i32) {ALLOCATORS[name]})
      (func (export "take") (param i32 i32) (global.set 0 (i32.const 1))))"""
    with Sandbox(Guest.from_wasm(wasm(text)), engine=engine) as box, box.context() as context:
        with pytest.raises(AbiViolation, match="malloc"):
            context.call("take", b"0123456789")
        assert box.globals["ran"] == 0
        context.finish()


@pytest.mark.parametrize("pages", [1, 2, 16])
def test_memory_grows_to_its_limit_and_the_next_call_starts_small(engine, pages):
    text = """(module (memory (export "memory") 1) (func (export "grow") (result i32) (local $n i32)
      (loop $more (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then
        (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $more)))) (local.get $n)))"""
    guest = Guest.from_wasm(wasm(text), limits=Limits(memory_bytes=pages << 16))
    with Sandbox(guest, engine=engine) as box:
        assert [box.call("grow") for _ in range(3)] == [pages - 1] * 3
        assert box.memory().size == 1 << 16


ODD_NAMES = [
    "",
    "\0",
    "a\0b",
    "\U0001f600",
    "é\u0301",
    "\u202egnp.exe",
    "a" * 50_000,
    "\n\r\t",
    "'\"\\",
    "../x",
]


def quoted(name: str) -> str:
    return '"' + "".join(f"\\{byte:02x}" for byte in name.encode()) + '"'


def test_odd_names_are_names_like_others(engine):
    imports = "".join(
        f"(import {quoted(n)} {quoted(n)} (func $i{i} (result i32)))" for i, n in enumerate(ODD_NAMES)
    )
    exports = "".join(
        f"(func (export {quoted(n)}) (result i32) (call $i{i}))" for i, n in enumerate(ODD_NAMES)
    )
    guest = Guest.from_wasm(wasm(f"(module {imports} {exports})"))
    host = {f"{n}.{n}": (lambda value: lambda: value)(i) for i, n in enumerate(ODD_NAMES)}
    with Sandbox(guest, host, engine=engine) as box:
        assert [box.call(n) for n in ODD_NAMES] == list(range(len(ODD_NAMES)))
        with pytest.raises(UsageError):
            box.call("\0\0")
    with pytest.raises(LinkError):
        Sandbox(guest, engine=engine)

    def fails() -> int:
        raise ValueError("\0\ud800")

    with Sandbox(guest, host | {"\0.\0": fails}, engine=engine) as box:
        with pytest.raises(HostFunctionError):
            box.call("\0")
        assert box.call("a\0b") == 2


def test_a_hundred_thousand_exports_open_and_are_called(engine):
    exports = "".join(f'(export "f{i}" (func {i % 3}))' for i in range(100_000))
    functions = "".join(f"(func (result i32) i32.const {i})" for i in range(3))
    guest = Guest.from_wasm(wasm(f"(module {functions} {exports})"))
    assert len(guest.info.exports) == 100_000
    with Sandbox(guest, engine=engine) as box:
        assert [box.call(f"f{i}") for i in (0, 50_000, 99_999)] == [0, 50_000 % 3, 0]
        with pytest.raises(UsageError) as caught:
            box.call("f100000")
        assert len(str(caught.value)) < 1000


def test_thousands_of_missing_imports_are_named_without_end(engine):
    imports = "".join(f'(import "m" "f{i}" (func))' for i in range(5000))
    with pytest.raises(LinkError, match="5000 imports"):
        Sandbox(Guest.from_wasm(wasm(f"(module {imports})")), engine=engine)


SIZES = {
    "a thousand parameters": "(module (func (export \"f\") (param" + " i32" * 1000 + ")))",
    "a thousand results": f"""(module (func (export "f") (result{' i32' * 1000}){' i32.const 1' * 1000}))""",
    "four gigabytes": '(module (memory (export "memory") 65536) (func (export "f")))',
    "a terabyte": '(module (memory i64 16777216) (func (export "f")))',
    "sixteen exabytes": '(module (memory i64 0x1000000000000) (func (export "f")))',
    "four billion elements": '(module (table 0xffffffff funcref) (func (export "f")))',
    "50000 locals": '(module (func (export "f") (local' + " i64" * 49_999 + ")))",
    "deep blocks": '(module (func (export "f")' + " (block" * 900 + ")" * 900 + "))",
    "20000 functions": "(module " + '(func)' * 20_000 + '(func (export "f")))',
    "a hundred memories": "(module " + "(memory 1 1)" * 100 + '(func (export "f")))',
}  # fmt: skip


def open_huge(data: bytes, engine: str) -> str:
    """ "works", or why the module was refused."""
    try:
        guest = Guest.from_wasm(data, name="huge")
        params = next(e for e in guest.info.exports if e.name == "f").type.params
        with Sandbox(guest, engine=engine) as box:
            box.try_call("f", *(1 for _ in params))
    except ModuleError as e:
        return e.reason
    return "works"


BEYOND_A_VM = ("four gigabytes", "a terabyte")
"""Memory that this process can reserve and a micro-VM cannot have."""


@pytest.mark.parametrize("name", SIZES)
def test_extreme_sizes_work_or_are_refused(name):
    """Neither engine may crash or hang; and where one refuses, so does the other."""
    found = {engine: open_huge(wasm(SIZES[name]), engine) for engine in ("kvm", "inprocess")}
    if name in BEYOND_A_VM:
        assert found["kvm"] == "limit"
    else:
        assert found["kvm"] == found["inprocess"]
    with Sandbox(Guest.from_wasm(wasm(GOOD)), engine="kvm") as box:
        assert box.call("seven") == 7
