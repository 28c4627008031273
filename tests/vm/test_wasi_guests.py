"""Guests that Go, wasi-libc and AssemblyScript make: commands, and reactors behind one schema, in both
engines."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

import pytest
from needs import missing

from hlfuzz import Exited, Guest, GuestExited, LinkError, Ok, Sandbox, StartError, Wasi
from hlfuzz.bindings import Interface, client_of

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "examples"))

INTERFACE = Interface.load(ROOT / "schemas" / "filter.toml")
CHUNKS = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x00\x05hello",
    b"",
    b"GET",
    b"ABCDEF",
    b"\x00\x01\x02\x03\x04",
    b"A" * 5000 + b" ",
    bytes(range(256)) * 20,
]
CONNECTIONS = [
    (1, b"good.example", 80),
    (2**64 - 1, b"x", 65535),
    (3, b"", 80),
    (4, b"x", 0),
    (5, b"x", 65536),
]
REFUSED = {"etc/refused": b"bad.example\nworse.example"}


@functools.cache
def guests(language: str) -> dict[str, Guest]:
    """The guests of one language by name, compiled."""
    if language == "plain":
        from build import build

        return {"filter": Guest.from_wasm(build("typed-filter")["filter_raw"])}
    import build_wasi

    try:
        built = getattr(build_wasi, f"build_{language}")()
    except build_wasi.CompilerUnavailable as error:
        missing(str(error))
    return {name: Guest.from_wasm(path) for name, path in built.items()}


class Host:
    """The other side of the filter: keeps what it is sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def log(self, level: int, text: bytes) -> None:
        self.seen.append(("log", level, text))

    def forward(self, data: bytes) -> int:
        self.seen.append(("forward", data))
        return len(data)


def opened(language: str, engine: str, host: Host, wasi: Wasi | None) -> Any:
    client = client_of(INTERFACE, "FilterGuest")
    options = {"engine": engine, "transport": "exit", "deadline": 10}
    return client.open(guests(language)["filter"], host=host, wasi=wasi, **options)


def answers(language: str, engine: str, wasi: Wasi | None) -> list[Any]:
    """Everything that a guest says to calls one by one, and to a connection's calls in one context."""
    host = Host()
    found: list[Any] = []
    with opened(language, engine, host, wasi) as client:
        for chunk in CHUNKS:
            found.append(client.invoke("on_data", chunk))
            found.append(client.invoke("summary", chunk))
        found += [client.invoke("on_new_connection", *c) for c in CONNECTIONS]
        with client.context() as connection:
            found.append(connection.invoke("on_new_connection", *CONNECTIONS[0]))
            found += [connection.invoke("on_data", chunk) for chunk in CHUNKS]
            found.append(connection.invoke("on_close"))
            connection.finish()
        found.append(client.invoke("on_close"))
    return [*found, *host.seen]


@functools.cache
def expected() -> list[Any]:
    """What the C guest that needs no WASI says."""
    found = answers("plain", "kvm", None)
    assert len(found) > 40
    return found


@pytest.mark.parametrize("language", ["c", "go", "assemblyscript"])
def test_a_typed_client_gets_the_answers_of_the_c_guest(engine, language):
    assert answers(language, engine, Wasi(allow="all")) == expected()


@pytest.mark.parametrize("language", ["c", "go", "assemblyscript"])
def test_a_guest_reads_its_files_and_its_complaints_are_kept(engine, language):
    with opened(language, engine, Host(), Wasi(files=REFUSED, allow="all")) as client:
        for _ in range(2):
            for name, verdict in ((b"bad.example", -1), (b"worse.example", -1), (b"bad", 1)):
                assert client.invoke("on_new_connection", 1, name, 80) == verdict
            assert client.invoke("on_data", b"ABCDEF") == -1
            assert client.sandbox.wasi.stderr == b"refused 6 bytes\n"
        assert client.sandbox.wasi.refused == {}


@pytest.mark.parametrize("language", ["c", "go", "assemblyscript"])
def test_both_engines_see_the_same_calls_of_a_guest(language):
    def seen(engine: str) -> Any:
        with opened(language, engine, Host(), Wasi(files=REFUSED, allow="all")) as client:
            client.invoke("on_new_connection", 1, b"bad.example", 80)
            return client.sandbox.wasi

    assert seen("kvm") == seen("inprocess")


NEEDED = {"c": [], "go": ["args", "environ", "clock"], "assemblyscript": []}
"""The groups that docs/wasi.md says a language's runtime needs."""


@pytest.mark.parametrize("language", ["c", "go", "assemblyscript"])
def test_a_guest_needs_no_groups_but_those_that_the_page_names(language):
    host = Host()
    with opened(language, "kvm", host, Wasi(allow=NEEDED[language])) as client:
        assert client.invoke("on_new_connection", 1, b"good.example", 80) == 1
        assert client.invoke("on_data", b"ABCDEF") == -1
        assert client.sandbox.wasi.stderr == b""
        assert client.sandbox.wasi.refused == {"fd_write": 1}


@pytest.mark.parametrize("missing", NEEDED["go"])
def test_go_says_which_of_its_groups_is_missing(missing):
    wasi = Wasi(allow={*NEEDED["go"], "stdio", "exit"} - {missing})
    with pytest.raises(StartError) as caught:
        opened("go", "kvm", Host(), wasi)
    assert f"fatal error: {missing}_" in caught.value.__notes__[0]


def test_without_wasi_such_a_guest_cannot_be_linked():
    with pytest.raises(LinkError, match=r'wasi=hlfuzz\.Wasi\(allow="all"\)'):
        opened("c", "kvm", Host(), None)


HELLO = Wasi(
    ["hello", "Ada", "Bob"],
    {"GREETING": "good day"},
    stdin=b"from stdin\n",
    files={"etc/motd": b"motd\n"},
    allow="all",
)


@pytest.mark.parametrize("language", ["c", "go"])
def test_a_command_runs_as_often_as_it_is_called(language):
    guest = guests(language)["hello"]
    with Sandbox(guest, engine="kvm", transport="exit", wasi=HELLO, deadline=10, verify=1) as box:
        for _ in range(3):
            assert box.call("_start") is None
            assert box.wasi.stdout == b"good day, Ada\ngood day, Bob\nfrom stdin\nmotd\n"
            assert (box.wasi.stderr, box.wasi.refused) == (b"", {})


@pytest.mark.parametrize("language", ["c", "go"])
def test_a_command_that_fails_says_so_with_its_code(language):
    guest = guests(language)["hello"]
    with Sandbox(
        guest, engine="kvm", transport="exit", wasi=Wasi(["hello"], allow="all"), deadline=10
    ) as box:
        assert box.try_call("_start") == Exited(2)
        with pytest.raises(GuestExited, match="code 2"):
            box.call("_start")
        assert box.wasi.exit_code == 2
    full = Wasi(["hello", "Ada"], stdin=b"x" * 100, stdout_limit=20, allow="all")
    with Sandbox(guest, engine="kvm", transport="exit", wasi=full, deadline=10) as box:
        assert box.try_call("_start") == Exited(1)
        assert box.wasi.stderr.startswith(b"hello:")
        assert b"No space left" in box.wasi.stderr
        assert len(box.wasi.stdout) == 20
        assert box.wasi.refused["fd_write"] >= 1


def test_a_small_command_gives_the_same_in_both_engines():
    found = []
    for engine in ("kvm", "inprocess"):
        with Sandbox(guests("c")["hello"], engine=engine, transport="exit", wasi=HELLO) as box:
            found.append((box.try_call("_start"), box.wasi))
    assert found[0] == found[1]
    assert found[0][0] == Ok()


def test_the_example_of_the_page_runs(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs" / "wasi.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    assert "hlfuzz.Wasi(" in program
    (tmp_path / "hello.wasm").write_bytes(guests("c")["hello"].wasm)
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "wasi.md", "exec"), {})
    assert capsys.readouterr().out == "b'hello, --fast\\ninput'\n"
