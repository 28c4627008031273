"""A finding's test over a schema has values as a person writes them, and makes the calls that were found."""

from __future__ import annotations

import ast
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from planted.typed import ROOT, parsed

import hlfuzz
from hlfuzz.bindings import Interface
from hlfuzz.fuzz.assertion import _call
from hlfuzz.invariants import (
    INVARIANTS,
    Case,
    Config,
    Fault,
    Kind,
    Subject,
    Target,
)
from hlfuzz.invariants.generate import Generator
from hlfuzz.invariants.typed import Typed, describe_typed
from hlfuzz.model import Call
from hlfuzz.report import as_test
from hlfuzz.report.typed_calls import typed_calls
from hlfuzz.schema.fbs import parse_text

FORMATS = {"fbs": "filter.fbs", "proto": "filter.proto", "raw": "filter.toml"}
ON_DATA = "net_FilterGuest_on_data"


@pytest.fixture
def built() -> Callable[[str], Path]:
    pytest.importorskip("ziglang")
    if str(ROOT / "examples") not in sys.path:
        sys.path.insert(0, str(ROOT / "examples"))
    from build import build

    return lambda name: build("typed-filter", only={name})[name]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the schemas in it, as the current one."""
    for name in FORMATS.values():
        (tmp_path / name).write_bytes((ROOT / "schemas" / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(module: Path, schema: str | Interface) -> Target:
    guest = hlfuzz.Guest.load(module, name="guest.wasm")
    typed = (
        Typed(schema) if isinstance(schema, Interface) else Typed(Interface.load(schema), path=Path(schema))
    )
    return Target(guest, describe_typed(guest, typed, Config()), engine="inprocess")


def fault_of(invariant: str, case: Case, title: str = "t") -> Fault:
    return Fault(Kind.VIOLATION, invariant, Subject.GUEST, case.calls[-1].function, "", title, (), case)


def run_tests(text: str) -> None:
    names: dict[str, Any] = {}
    exec(compile(text, "test_it.py", "exec"), names)
    for test in [value for name, value in names.items() if name.startswith("test_")]:
        test()


def calls_made(text: str, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The case that a test for `determinism` gives to its checker."""
    seen: list[Case] = []
    checker = type(INVARIANTS["determinism"])
    monkeypatch.setattr(checker, "probe", lambda self, target, case, strict=False: seen.append(case))
    run_tests(text)
    assert seen
    return seen[0]


@pytest.mark.parametrize("suffix", FORMATS)
def test_it_has_values_and_fails_until_the_guest_is_mended(
    suffix: str, folder: Path, built: Callable[[str], Path]
) -> None:
    with opened(built(f"buggy_{suffix}"), FORMATS[suffix]) as target:
        typed = target.interface.typed
        assert typed is not None
        make: Any = typed.interface.classes.definitions
        values = {
            "fbs": lambda: (
                (make["net.Connection"](peer=make["net.Address"](host="a")),),
                (make["net.Data"](),),
            ),
            "proto": lambda: ((make["net.Connection"](),), (make["net.Data"](bytes=b"GET /"),)),
            "raw": lambda: ((7, b"a", 0), (b"GET /",)),
        }[suffix]()
        methods = (typed.find("on_new_connection"), typed.find("on_data"))
        calls = tuple(m.encode(arguments) for m, arguments in zip(methods, values, strict=True))
        fault = INVARIANTS["context-dependence"].probe(target, Case(calls), strict=True)
        assert fault is not None
        text = as_test(target, fault, seed=4, module=Path("guest.wasm"))
    shown = {
        "fbs": ('("on_new_connection", Connection(peer=Address(host="a")))', '("on_data", Data())'),
        "proto": ('("on_new_connection", Connection())', '("on_data", Data(bytes=b"GET /"))'),
        "raw": ('("on_new_connection", 7, b"a", 0)', '("on_data", b"GET /")'),
    }[suffix]
    assert all(call in text for call in shown), text
    assert "test_context_dependence_on_data" in text
    (folder / "guest.wasm").write_bytes(built(f"buggy_{suffix}").read_bytes())
    with pytest.raises(hlfuzz.Finding) as raised:
        run_tests(text)
    assert raised.value.signature == fault.signature
    (folder / "guest.wasm").write_bytes(built(f"filter_{suffix}").read_bytes())
    run_tests(f"def test_of_the_user():\n    pass\n\n\n{text}")  # pasted below another one


@pytest.mark.parametrize("suffix", FORMATS)
def test_it_makes_the_very_calls_that_were_found_valid_or_not(
    suffix: str, folder: Path, built: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(built(f"filter_{suffix}"), FORMATS[suffix]) as target:
        generator = Generator(target.interface, Random(6))
        cases = [generator.sequence() for _ in range(16)]
        case = Case(tuple(call for one in cases if one for call in one.calls))
        text = as_test(target, fault_of("determinism", case), module=built(f"filter_{suffix}"))
        tenants = generator.tenants()
        assert tenants is not None
        secret = as_test(target, fault_of("determinism", tenants), module=built(f"filter_{suffix}"))
    code = "".join(line for line in text.splitlines(keepends=True) if not line.lstrip().startswith("#"))
    assert code.isascii()
    assert max(map(len, text.splitlines())) <= 110
    if suffix != "raw":
        assert text.count("# no valid net.") > 0
        assert text.count('"net_FilterGuest_') == text.count("# no valid net.") + text.count(
            "# the encoding of "
        )
        assert text.count('("on_data", Data(') > 5
    made = calls_made(text, monkeypatch).calls
    assert [repr(c) for c in made] == [repr(c) for c in case.calls]
    assert "offset" not in secret  # its two values say where it is
    assert calls_made(secret, monkeypatch).variants() == tenants.variants()


def test_generated_classes_are_imported(
    folder: Path, built: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "strategies")
    from filter_hl import INTERFACE, Data

    case = Case((Call(ON_DATA, (INTERFACE.message("net.Data").encode(Data(bytes=b"x" * 100)),)),))
    with opened(built("filter_fbs"), INTERFACE) as target:
        text = as_test(target, fault_of("determinism", case), module=built("filter_fbs"))
    assert "from filter_hl import INTERFACE, Data\n" in text
    assert '("on_data", Data(bytes=b"x" * 100)),\n' in text
    assert "schema=INTERFACE," in text
    assert calls_made(text, monkeypatch) == case


ODD = """
namespace odd;
union Any { Secret, None }
table Secret { any: [Any]; list: [Secret]; text: string; number: double; }
table None { text: string; }
rpc_service OddGuest { ask(Secret): None; other(None): None; }
"""


def odd_calls() -> tuple[Typed, Any, Any]:
    typed = Typed(Interface(parse_text(ODD, name="odd")))
    make: Any = typed.interface.classes.definitions
    return typed, make["odd.Secret"], make["odd.None"]


def source_of(typed: Typed, *calls: tuple[str, Any]) -> tuple[str, tuple[Call, ...]]:
    made = tuple(typed.find(name).encode((value,)) for name, value in calls)
    written = typed_calls(typed, Case(made))
    setup = written.setup.replace('Interface.load("odd.fbs")', "typed.interface")
    listed = ",\n".join(written.calls)
    return f"{setup}calls = [\n{listed}\n]", made


def test_whatever_is_in_a_value_its_text_makes_it_or_it_stays_bytes() -> None:
    typed, secret, none = odd_calls()
    deep = secret(text="bottom")
    for _ in range(60):  # 180 brackets in each other, with those round it more than Python reads
        deep = secret(any=[typed.interface.classes.variants["odd.Any", 1](deep)])
    (odd_nan,) = struct.unpack("<d", b"\1\0\0\0\0\0\xf8\x7f")
    calls = [
        ("ask", secret(text='"""\\\n\u202e\u0430\x00' * 40, number=float("nan"))),
        ("ask", secret(text="\u20ac" * 5000, number=float("-inf"))),
        ("ask", secret(list=[secret(text=f"{n}") for n in range(40)], number=-0.0)),
        ("other", none(text="x")),
        ("ask", deep),
        ("ask", secret(number=odd_nan)),
    ]
    text, made = source_of(typed, *calls)
    assert all(line.isascii() for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert "'" * 3 not in text
    names: dict[str, Any] = {"typed": typed}
    exec(text, names)
    written = [(call[0], type(call[1]).__name__) for call in names["calls"]]
    assert written[:4] == [("ask", "Secret")] * 3 + [("other", "None_")]
    assert written[4:] == [("odd_OddGuest_ask", "bytes")] * 2
    assert tuple(_call(call, typed) for call in names["calls"]) == made


def test_names_that_no_file_could_hold_are_replaced_or_stay_bytes() -> None:
    """A finding's file may carry any schema: its names are no identifiers because it says so."""
    typed, secret, none = odd_calls()
    secret.__name__ = "x):\n    import os  #"
    text, _ = source_of(typed, ("ask", secret(text="a")), ("other", none()))
    assert isinstance(ast.parse(text), ast.Module)
    names: dict[str, Any] = {"typed": typed}
    exec(text, names)
    assert "import os" not in text
    assert [c[0] for c in names["calls"]] == ["ask", "other"]


@pytest.mark.parametrize(
    "secret",
    [(b"a", b"bb"), (b"", b""), (b"missing", b"gnissim"), (b"e", b"x")],
    ids=["length", "none", "lost", "twice"],
)
def test_a_secret_that_is_not_in_the_calls_once_is_a_usage_error(
    secret: tuple[bytes, bytes], built: Callable[[str], Path]
) -> None:
    with pytest.raises(hlfuzz.UsageError, match=r"secret .* is not found"):
        hlfuzz.assert_holds("determinism", built("filter_raw"), [("on_data", b"see")], secret=secret)


def test_a_typed_call_is_no_bytes_by_mistake() -> None:
    """Bytes for a record are an error where the method is named, and sent as they are to its export."""
    typed = Typed(Interface(parsed("fbs")))
    with pytest.raises(hlfuzz.UsageError, match="is no Data"):
        _call(("on_data", b"GET /"), typed)
    assert _call((ON_DATA, b"GET /"), typed) == Call(ON_DATA, (b"GET /",))
