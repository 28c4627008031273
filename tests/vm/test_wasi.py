"""WASI functions: what a guest is given, and the errors that programs expect for what it is not."""

from __future__ import annotations

import struct

import pytest

from hlfuzz import AbiViolation, Exited, Guest, GuestExited, LinkError, Ok, Sandbox, UsageError, Wasi
from hlfuzz.sandbox.wasi.abi import GROUPS, SIGNATURES, Errno
from tests.wasi_guest import DATA, OUT, VECTORS, Calls, calls, forwarder

FILES = {"etc/app.conf": b"level=3\n", "etc/keys/a": b"A", "/readme": b"0123456789"}
START = 946_684_800 * 10**9


def test_args_and_environment_are_those_given_and_no_others(engine):
    with calls(engine, Wasi(["prog", "é"], {"A": "1", "B": "x=y"}, allow="all")) as (_, call):
        for kind, texts in (("args", [b"prog", "é".encode()]), ("environ", [b"A=1", b"B=x=y"])):
            assert call(f"{kind}_sizes_get", OUT, OUT + 4) is Errno.SUCCESS
            size = sum(len(t) + 1 for t in texts)
            assert (call.u32(OUT), call.u32(OUT + 4)) == (2, size)
            assert call(f"{kind}_get", OUT, DATA) is Errno.SUCCESS
            assert [call.u32(OUT), call.u32(OUT + 4)] == [DATA, DATA + len(texts[0]) + 1]
            assert call.context.read(DATA, size) == b"".join(t + b"\0" for t in texts)


def test_nothing_of_the_host_is_given_even_if_all_is_allowed(engine, monkeypatch):
    monkeypatch.setenv("SECRET", "1")
    with calls(engine, Wasi(allow="all")) as (_, call):
        call("args_sizes_get", OUT, OUT + 4)
        call("environ_sizes_get", OUT + 8, OUT + 12)
        assert call.context.read(OUT, 16) == bytes(16)
        assert call.read(0, 10) == (Errno.SUCCESS, b"")
        assert call("fd_prestat_get", 3, OUT) is Errno.BADF


def test_the_clock_starts_where_it_is_told_and_moves_when_asked_or_slept(engine):
    with calls(engine, Wasi(clock=5_000, clock_step=7, allow="all")) as (_, call):
        call("clock_time_get", 0, 0, OUT)
        first = call.u64(OUT)
        assert first == 5_007  # the guest looked once when it started
        call("clock_time_get", 1, 0, OUT)
        assert call.u64(OUT) == 10**9 + 14
        subscription = struct.pack("<QB7xI4xQQH6x", 99, 0, 1, 10**12, 0, 0)
        call.context.write(DATA, subscription)
        assert call("poll_oneoff", DATA, DATA + 100, 1, OUT) is Errno.SUCCESS
        assert call.u32(OUT) == 1
        assert struct.unpack("<QHB", call.context.read(DATA + 100, 11)) == (99, 0, 0)
        call("clock_time_get", 0, 0, OUT)
        assert call.u64(OUT) == 5_021 + 10**12
        assert call("clock_time_get", 4, 0, OUT) is Errno.INVAL
        assert call("clock_res_get", 0, OUT) is Errno.SUCCESS
        assert call.u64(OUT) == 7


def test_a_poll_returns_what_is_ready_before_time_passes(engine):
    clock = struct.pack("<QB7xI4xQQH6x", 1, 0, 1, 10**12, 0, 0)
    stdin = struct.pack("<QB7xI28x", 2, 1, 0)
    closed = struct.pack("<QB7xI28x", 3, 2, 77)
    with calls(engine, Wasi(stdin=b"abcdef", allow="all")) as (_, call):
        call.context.write(DATA, clock + stdin + closed)
        assert call("poll_oneoff", DATA, DATA + 200, 3, OUT) is Errno.SUCCESS
        events = [
            struct.unpack("<QHB5xQ", call.context.read(DATA + 200 + 32 * i, 24)) for i in range(call.u32(OUT))
        ]
        assert events == [(2, 0, 1, 4), (3, Errno.BADF, 2, 0)]
        assert call("poll_oneoff", DATA, DATA + 200, 0, OUT) is Errno.INVAL
        call("clock_time_get", 0, 0, OUT)
        assert call.u64(OUT) == START + 1_000


def test_random_bytes_follow_from_the_seed(engine):
    seen = []
    for seed in (0, 0, 1):
        with calls(engine, Wasi(random_seed=seed, allow="all")) as (_, call):
            assert call("random_get", DATA, 32) is Errno.SUCCESS
            first = call.context.read(DATA, 32)
            call("random_get", DATA, 32)
            assert call.context.read(DATA, 32) != first
            seen.append(first)
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) > 16


def test_standard_input_is_read_once_to_its_end(engine):
    with calls(engine, Wasi(stdin=b"xxhello world", allow="all")) as (_, call):
        assert call.read(0, 5) == (Errno.SUCCESS, b"hello")
        errno = call("fd_read", 0, *call.vectors((DATA, 1), (DATA + 10, 0), (DATA + 20, 100)), OUT)
        assert (errno, call.u32(OUT)) == (Errno.SUCCESS, 6)
        assert call.context.read(DATA, 1) + call.context.read(DATA + 20, 5) == b" world"
        assert call.read(0, 5) == (Errno.SUCCESS, b"")
        assert call.write(0, b"x")[0] is Errno.BADF


def test_output_is_kept_up_to_its_limit_and_then_refused(engine):
    with calls(engine, Wasi(stdout_limit=10, stderr_limit=3, allow="all")) as (box, call):
        assert call.write(1, b"hello ") == (Errno.SUCCESS, 6)
        assert call.write(1, b"world") == (Errno.SUCCESS, 4)
        assert call.write(1, b"!")[0] is Errno.NOSPC
        assert call.write(1, b"")[0] is Errno.SUCCESS
        errno = call("fd_write", 2, *call.vectors((DATA, 0), (DATA, 2), (DATA, 2)), OUT)
        assert (errno, call.u32(OUT)) == (Errno.SUCCESS, 3)
        assert (box.wasi.stdout, len(box.wasi.stderr)) == (b"hello worl", 3)
        assert box.wasi.refused == {"fd_write": 1}
        assert call.read(1, 1)[0] is Errno.BADF
        assert call("fd_seek", 1, 0, 0, OUT) is Errno.SPIPE


def test_files_are_read_at_positions(engine):
    with calls(engine, Wasi(files=FILES, allow="all")) as (_, call):
        number = call.open("readme", rights=(1 << 1) | (1 << 2) | (1 << 5) | (1 << 21))
        assert number == 4
        assert call.read(number, 4) == (Errno.SUCCESS, b"0123")
        assert call("fd_seek", number, -2, 2, OUT) is Errno.SUCCESS
        assert call.u64(OUT) == 8
        assert call.read(number, 4) == (Errno.SUCCESS, b"89")
        assert call("fd_seek", number, -11, 1, OUT) is Errno.INVAL
        assert call("fd_seek", number, 0, 3, OUT) is Errno.INVAL
        assert call("fd_pread", number, *call.vectors((DATA, 4)), 3, OUT) is Errno.SUCCESS
        assert call.context.read(DATA, 4) == b"3456"
        assert call("fd_pread", number, *call.vectors((DATA, 4)), 1 << 63, OUT) is Errno.SUCCESS
        assert call.u32(OUT) == 0
        assert call("fd_tell", number, OUT) is Errno.SUCCESS
        assert call.u64(OUT) == 10
        assert call("fd_filestat_get", number, DATA) is Errno.SUCCESS
        filetype, size = struct.unpack("<16xB15xQ", call.context.read(DATA, 40))
        assert (filetype, size) == (4, 10)
        assert call("fd_close", number) is Errno.SUCCESS
        assert call.read(number, 1)[0] is Errno.BADF


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("etc/app.conf", 4),
        ("./etc//keys/../app.conf", 4),
        ("etc", 4),
        ("etc/", 4),
        (".", 4),
        ("..", Errno.NOTCAPABLE),
        ("../readme", Errno.NOTCAPABLE),
        ("etc/../../readme", Errno.NOTCAPABLE),
        ("etc/keys/../../..", Errno.NOTCAPABLE),
        ("/readme", Errno.NOTCAPABLE),
        ("", Errno.NOENT),
        ("none", Errno.NOENT),
        ("etc/none/x", Errno.NOENT),
        ("none/../readme", Errno.NOENT),
        ("readme/", Errno.NOTDIR),
        ("readme/..", Errno.NOTDIR),
        ("readme/x", Errno.NOTDIR),
        (b"\xff", Errno.ILSEQ),
        ("a\0b", Errno.ILSEQ),
        ("a" * 5000, Errno.NAMETOOLONG),
    ],
)
def test_no_path_leads_out_of_the_directory(engine, path, answer):
    with calls(engine, Wasi(files=FILES, allow="all")) as (box, call):
        assert call.open(path) == answer
        assert bool(box.wasi.refused) == (answer is Errno.NOTCAPABLE)


def test_a_directory_opened_inside_confines_like_the_outermost(engine):
    with calls(engine, Wasi(files=FILES, allow="all")) as (_, call):
        inner = call.open("etc/keys", rights=(1 << 13) | (1 << 1))
        assert call.open("../app.conf", at=inner) is Errno.NOTCAPABLE
        number = call.open("a", at=inner)
        assert call.read(number, 5) == (Errno.SUCCESS, b"A")
        assert call("fd_prestat_get", inner, OUT) is Errno.BADF
        assert call.read(inner, 1)[0] is Errno.ISDIR
        assert call.open("x", at=number) is Errno.NOTDIR


def test_directories_are_listed_in_order_and_in_pieces(engine):
    with calls(engine, Wasi(files=FILES, allow="all")) as (_, call):
        names, cookie = [], 0
        for _ in range(10):
            assert call("fd_readdir", 3, DATA, 40, cookie, OUT) is Errno.SUCCESS
            listed = call.context.read(DATA, call.u32(OUT))
            if len(listed) < 24:
                break
            cookie, _, length, _ = struct.unpack_from("<QQIB", listed)
            names.append(listed[24 : 24 + length])
        assert names == [b".", b"..", b"etc", b"readme"]
        assert call("fd_readdir", 3, DATA, 0, 0, OUT) is Errno.SUCCESS
        assert call("fd_readdir", 3, DATA, 40, 1 << 63, OUT) is Errno.SUCCESS
        assert call.u32(OUT) == 0


def test_what_would_change_the_directory_is_refused_as_on_a_read_only_disk(engine):
    with calls(engine, Wasi(files=FILES, allow="all")) as (box, call):
        assert call.open("readme", rights=1 << 6) is Errno.ROFS
        assert call.open("readme", oflags=8) is Errno.ROFS
        assert call.open("new", oflags=1) is Errno.ROFS
        assert call.open("readme", oflags=1) == 4
        assert call.open("readme", oflags=5) is Errno.EXIST
        assert call.open("readme", oflags=2) is Errno.NOTDIR
        assert call.open("etc", rights=1 << 6) is Errno.ISDIR
        assert call.open("readme", oflags=16) is Errno.INVAL
        assert call.write(4, b"x")[0] is Errno.BADF
        new, old = call.path("new"), call.path("readme")
        assert call("path_unlink_file", 3, *old) is Errno.ROFS
        assert call("path_remove_directory", 3, *call.path("none")) is Errno.NOENT
        assert call("path_create_directory", 3, *call.path("new")) is Errno.ROFS
        assert call("path_create_directory", 3, *call.path("etc")) is Errno.EXIST
        assert call("path_filestat_set_times", 3, 0, *call.path("etc"), 0, 0, 0) is Errno.ROFS
        assert call("path_symlink", *call.path("new"), 3, *new) is Errno.ROFS
        assert call("path_rename", 3, *call.path("etc"), 3, *new) is Errno.ROFS
        assert call("path_link", 3, 0, *call.path("etc"), 3, *new) is Errno.EXIST
        assert call("path_readlink", 3, *call.path("etc"), OUT, 4, OUT) is Errno.INVAL
        assert call("fd_filestat_set_times", 4, 0, 0, 0) is Errno.ROFS
        assert call("fd_filestat_set_size", 4, 0) is Errno.BADF
        assert call("fd_allocate", 4, 0, 1) is Errno.BADF
        assert call("path_unlink_file", 3, *call.path("../x")) is Errno.NOTCAPABLE
        assert box.wasi.refused["path_open"] == 3
        assert box.wasi.refused["path_unlink_file"] == 2


def test_descriptors_are_renumbered_and_their_rights_only_shrink(engine):
    with calls(engine, Wasi(files=FILES, stdin=b"xxabc", allow="all")) as (_, call):
        number = call.open("readme")
        assert call("fd_renumber", number, 0) is Errno.SUCCESS
        assert call.read(0, 3) == (Errno.SUCCESS, b"012")
        assert call.read(number, 3)[0] is Errno.BADF
        assert call("fd_renumber", 0, 9) is Errno.BADF
        assert call("fd_fdstat_set_rights", 0, 1 << 1 | 1 << 6, 0) is Errno.NOTCAPABLE
        assert call("fd_fdstat_set_rights", 0, 1 << 1 | 1 << 40, 0) is Errno.NOTCAPABLE
        assert call("fd_fdstat_set_rights", 0, 0, 0) is Errno.SUCCESS
        assert call.read(0, 3)[0] is Errno.NOTCAPABLE
        assert call("fd_fdstat_get", 0, DATA) is Errno.SUCCESS
        assert struct.unpack("<BxHxxxxQQ", call.context.read(DATA, 24)) == (4, 0, 0, 0)
        assert call("fd_fdstat_set_flags", 1, 4) is Errno.SUCCESS
        assert call("fd_fdstat_set_flags", 1, 2) is Errno.NOTSUP
        assert call("fd_fdstat_set_flags", 1, 64) is Errno.INVAL


def test_descriptors_run_out(engine):
    with calls(engine, Wasi(files=FILES, allow="all")) as (_, call):
        opened = [call.open("readme") for _ in range(253)]
        assert opened == [*range(4, 256), Errno.NFILE]


def test_sockets_and_signals_are_refused(engine):
    with calls(engine, Wasi(allow="all")) as (box, call):
        assert call("sock_accept", 1, 0, OUT) is Errno.NOTSOCK
        assert call("sock_recv", 1, OUT, 0, 0, OUT, OUT) is Errno.NOTSOCK
        assert call("sock_send", 9, OUT, 0, 0, OUT) is Errno.BADF
        assert call("sock_shutdown", 0, 1) is Errno.NOTSOCK
        assert call("proc_raise", 9) is Errno.NOSYS
        assert call("sched_yield") is Errno.SUCCESS
        assert call("fd_sync", 1) is Errno.INVAL
        assert set(box.wasi.refused) == {"sock_accept", "sock_recv", "sock_shutdown", "proc_raise"}


PROBES = {
    "args": ("args_sizes_get", (OUT, OUT), Errno.NOSYS),
    "environ": ("environ_get", (OUT, OUT), Errno.NOSYS),
    "clock": ("clock_time_get", (0, 0, OUT), Errno.NOSYS),
    "random": ("random_get", (OUT, 4), Errno.NOSYS),
    "stdio": ("fd_write", (1, VECTORS, 0, OUT), Errno.BADF),
    "files": ("path_open", (3, 0, DATA, 1, 0, 2, 2, 0, OUT), Errno.BADF),
    "poll": ("sched_yield", (), Errno.NOSYS),
}
"""For each group but "exit" a call that succeeds with it, and its error without."""
PROBED = {**FILES, "a": b"A"}
CONTENT = {
    "args": {"args": ["prog"]},
    "environ": {"environ": {"A": "1"}},
    "stdio": {"stdin": b"x"},
    "files": {"files": PROBED},
}


def given(engine: str, wasi: Wasi) -> set[str]:
    """The groups that a guest is given. Every other is refused with its error, which the trace shows."""
    found: set[str] = set()
    refused: dict[str, int] = {}
    with calls(engine, wasi) as (box, call):
        call.context.write(DATA, b"a")
        for group, (name, args, error) in PROBES.items():
            if call(name, *args) is Errno.SUCCESS:
                found.add(group)
                continue
            refused[name] = 1
            assert str(box.wasi.trace[-1]) == f"{name}({', '.join(map(str, args))}) = {error.name} refused"
        assert box.wasi.refused == refused
        outcome = call.context.try_call("proc_exit", 3)
    if outcome == Exited(3):
        return found | {"exit"}
    assert "'exit' is not among" in outcome.message
    return found


def test_nothing_that_is_not_asked_for_is_given(engine):
    assert given(engine, Wasi()) == set()
    assert Wasi().allow == frozenset()
    limits = Wasi(clock=5, clock_step=7, random_seed=1, stdout_limit=10, stderr_limit=10)
    assert given(engine, limits) == set()
    assert given(engine, Wasi(args=[], environ={}, stdin=b"", files={})) == set()


@pytest.mark.parametrize("group", sorted(CONTENT))
def test_content_allows_its_own_group_and_no_other(engine, group):
    assert given(engine, Wasi(**CONTENT[group])) == {group}
    assert given(engine, Wasi(**CONTENT[group], allow=["clock", group])) == {group, "clock"}


@pytest.mark.parametrize("group", [g for g in GROUPS if g != "files"])
def test_a_group_that_is_named_is_given_and_no_other(engine, group):
    assert given(engine, Wasi(allow={group})) == {group}
    assert Wasi(allow=group) == Wasi(allow=(g for g in [group])) == Wasi(allow=[group, group])


def test_all_is_every_group_with_files_only_if_there_are_any(engine):
    assert given(engine, Wasi(allow="all")) == set(GROUPS) - {"files"}
    assert given(engine, Wasi(allow="all", files=PROBED)) == set(GROUPS)


def test_a_directory_that_is_allowed_may_be_empty(engine):
    with calls(engine, Wasi(allow={"files"})) as (box, call):
        assert call("fd_prestat_get", 3, OUT) is Errno.SUCCESS
        assert call.open("a") is Errno.NOENT
        assert box.wasi.refused == {}


def test_without_standard_streams_and_files_no_descriptor_is_open(engine):
    with calls(engine, Wasi(allow={"clock"})) as (box, call):
        for number in range(5):
            assert call.write(number, b"x")[0] is Errno.BADF
            assert call.open("readme", at=number) is Errno.BADF
        assert call("fd_prestat_get", 3, OUT) is Errno.BADF  # guests ask all numbers in turn
        assert box.wasi.refused == {"fd_write": 4, "path_open": 4}


def test_a_descriptor_that_the_guest_has_closed_is_not_refused(engine):
    with calls(engine, Wasi(files=FILES, allow={"stdio"})) as (box, call):
        for number in (1, 3):
            assert call("fd_close", number) is Errno.SUCCESS
            assert call("fd_close", number) is Errno.BADF
        assert box.wasi.refused == {}


def test_an_exit_is_an_outcome_with_its_code_and_the_sandbox_goes_on(engine):
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=Wasi(allow="all")) as box:
        assert box.try_call("proc_exit", 7) == Exited(7)
        assert (box.wasi.exit_code, box.wasi.trace[-1].function) == (7, "proc_exit")
        with pytest.raises(GuestExited, match="code 0") as caught:
            box.call("proc_exit", 0)
        assert caught.value.outcome == Exited(0)
        assert box.try_call("sched_yield") == Ok((0,))
        assert box.wasi.exit_code is None
        with pytest.raises(GuestExited, match="code 4294967295"):
            box.call("proc_exit", -1)


def test_an_exit_that_is_not_allowed_is_a_violation(engine):
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=Wasi(allow={"stdio"})) as box:
        with pytest.raises(AbiViolation, match="'exit' is not among"):
            box.call("proc_exit", 3)
        assert box.wasi.refused == {"proc_exit": 1}
        assert box.call("sched_yield") == Errno.NOSYS


def test_a_command_that_exits_with_0_has_returned(engine, guest):
    wat = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (func (export "_start") (call $exit (i32.load (i32.const 0)))))"""
    with Sandbox(guest(wat), engine=engine, transport="exit", wasi=Wasi(allow="all")) as box:
        assert box.call("_start") is None
        assert box.try_call("_start") == Exited(0)
        box.memory().write(0, b"\x05")
        with pytest.raises(GuestExited, match="code 5"):
            box.call("_start")


def test_imports_that_preview_1_does_not_have_are_refused_by_name(guest):
    def imports(name: str, type_: str) -> Guest:
        return guest(f'(module (import "wasi_snapshot_preview1" "{name}" (func {type_})))')

    with pytest.raises(LinkError, match="did you mean 'fd_read'"):
        Sandbox(imports("fd_reed", ""), wasi=Wasi(allow="all"))
    with pytest.raises(LinkError, match="another type"):
        Sandbox(imports("fd_read", "(param i32)"), wasi=Wasi(allow="all"))
    with pytest.raises(LinkError, match=r'wasi=hlfuzz\.Wasi\(allow="all"\)'):
        Sandbox(imports("fd_read", "(param i32 i32 i32 i32) (result i32)"))


def test_a_provider_of_the_users_own_comes_before_wasi(engine):
    own = {"wasi_snapshot_preview1.random_get": lambda pointer, length: 0}
    with Sandbox(forwarder(), own, engine=engine, transport="exit", wasi=Wasi(allow="all")) as box:
        with box.context() as context:
            assert Calls(context)("random_get", DATA, 8) is Errno.SUCCESS
            assert context.read(DATA, 8) == bytes(8)
            context.finish()
        assert "random_get" not in {c.function for c in box.wasi.trace}


def test_all_functions_of_preview_1_can_be_linked(engine):
    assert len(SIGNATURES) == 46
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=Wasi(allow="all")) as box:
        assert len(box.guest.info.functions_imported) == 46


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"allow": {"network"}}, "unknown group"),
        ({"allow": ["all"]}, "or allow='all'"),
        ({"files": {"../x": b""}}, "no path of a file"),
        ({"files": {"a//b": b""}}, "no path of a file"),
        ({"files": {"a": b"", "a/b": b""}}, "a file and a directory"),
        ({"files": {"a": b"", "/a": b""}}, "a file and a directory"),
        ({"args": ["a\0"]}, "NUL"),
        ({"environ": {"A=": "1"}}, "no name of a variable"),
        ({"clock": -1}, "out of range"),
        ({"stdout_limit": -1}, "out of range"),
    ],
)
def test_wrong_settings_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        Wasi(**options)
