"""A guest that attacks WASI: any answer is an errno, in bounded memory, and nothing else happens."""

from __future__ import annotations

import random
import struct

import pytest

from hlfuzz import Exited, Ok, Sandbox, Wasi
from hlfuzz.model import ValType
from hlfuzz.sandbox.wasi.abi import SIGNATURES, Errno
from hlfuzz.sandbox.wasi.activity import TRACE_LIMIT
from tests.wasi_guest import DATA, OUT, SIZE, Calls, calls, forwarder

FILES = {"a": b"A" * 5000, "d/e": b"E", "d/f/g": b"G"}
WASI = Wasi(
    ["prog", "x" * 100],
    {"A": "1"},
    stdin=b"s" * 300,
    files=FILES,
    stdout_limit=2000,
    stderr_limit=10,
    allow="all",
)
NASTY = [
    0,
    1,
    2,
    3,
    4,
    8,
    77,
    OUT,
    DATA,
    SIZE - 8,
    SIZE - 1,
    SIZE,
    SIZE + 1,
    1 << 16,
    1 << 31,
    2**32 - 1,
    2**32 - 8,
]
NASTY_WIDE = [*NASTY, 1 << 32, 1 << 63, 2**64 - 1]


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def nasty_call(rng: random.Random) -> tuple[str, list[int]]:
    """A function with numbers that are addresses, descriptors, lengths, or none of these."""
    name = rng.choice(sorted(SIGNATURES))
    args = [
        signed(rng.choice(NASTY), 32) if t is ValType.I32 else signed(rng.choice(NASTY_WIDE), 64)
        for t in SIGNATURES[name].params
    ]
    if args and name.startswith(("fd_", "path_")) and rng.random() < 0.7:
        args[0] = rng.randrange(6)
    return name, args


def nasty_memory(rng: random.Random) -> bytes:
    """Buffer lists, subscriptions and paths, most of them wrong."""
    words = [struct.pack("<I", rng.choice(NASTY)) for _ in range(64)]
    paths = [b"a", b"d/e", b"../a", b"d/../../a", b"/a", b"\xff\xfe", b"a\0b", b"d//f/./g", bytes(40)]
    return b"".join(words) + b"".join(rng.sample(paths, len(paths)))


def test_nonsense_gets_an_errno_and_leaves_the_sandbox_as_it_was(engine):
    rng = random.Random(7)
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI) as box:

        def state() -> object:
            with box.context() as context:
                call = Calls(context)
                seen = call("random_get", DATA, 8), context.read(DATA, 8), call.read(0, 50), call.open("a")
                context.finish()
            return seen

        first = state()
        outcomes: set[Errno] = set()
        for _ in range(30):
            with box.context() as context:
                for place in (0, OUT, DATA, SIZE - 400):
                    context.write(place, nasty_memory(rng))
                for _ in range(60):
                    name, args = nasty_call(rng)
                    outcome = context.try_call(name, *args)
                    if name == "proc_exit":
                        assert outcome == Exited(args[0] & 0xFFFF_FFFF)
                        break
                    assert isinstance(outcome, Ok), (name, args, outcome)
                    outcomes.add(Errno(outcome.values[0]))  # none that programs do not know
                activity = box.wasi
                assert len(activity.stdout) <= 2000
                assert len(activity.stderr) <= 10
                context.finish()
            assert state() == first
        assert {Errno.SUCCESS, Errno.BADF, Errno.FAULT, Errno.INVAL, Errno.NOTCAPABLE} <= outcomes


POINTERS = {
    "args_get": lambda at: (at, OUT),
    "args_sizes_get": lambda at: (OUT, at),
    "environ_get": lambda at: (OUT, at),
    "clock_res_get": lambda at: (0, at),
    "clock_time_get": lambda at: (0, 0, at),
    "random_get": lambda at: (at, 8),
    "fd_fdstat_get": lambda at: (1, at),
    "fd_filestat_get": lambda at: (1, at),
    "fd_prestat_get": lambda at: (3, at),
    "fd_prestat_dir_name": lambda at: (3, at, 1),
    "fd_read": lambda at: (0, at, 1, OUT),
    "fd_write": lambda at: (1, at, 1, OUT),
    "fd_readdir": lambda at: (3, at, 100, 0, OUT),
    "path_open": lambda at: (3, 0, at, 1, 0, 2, 2, 0, OUT),
    "path_filestat_get": lambda at: (3, 0, at, 1, OUT),
    "poll_oneoff": lambda at: (at, DATA, 1, OUT),
}
RESULTS = {
    "fd_read": lambda at: (0, OUT + 8, 1, at),
    "fd_write": lambda at: (1, OUT + 8, 1, at),
    "path_open": lambda at: (3, 0, DATA, 1, 0, 2, 2, 0, at),
    "fd_readdir": lambda at: (3, DATA, 100, 0, at),
    "poll_oneoff": lambda at: (DATA + 64, DATA, 1, at),
}


@pytest.mark.parametrize("at", [SIZE, SIZE + 8, 2**31, 2**32 - 1, 2**32 - 8])
def test_a_pointer_outside_memory_is_a_fault_and_nothing_has_happened(engine, at):
    with calls(engine, WASI) as (box, call):
        call.context.write(OUT + 8, struct.pack("<II", DATA + 128, 4))
        call.context.write(DATA, b"a")
        for table in (POINTERS, RESULTS):
            for name, arguments in table.items():
                args = arguments(signed(at, 32))
                assert call(name, *args) is Errno.FAULT, (name, args)
        assert box.wasi.stdout == b""
        assert call.open("a") == 4
        assert call.read(0, 3)[1] == b"sss"
        call("random_get", DATA, 8)
        call("clock_time_get", 1, 0, OUT)
        assert call.u64(OUT) == 10**9 + 1_000


@pytest.mark.parametrize("bad", [(DATA, SIZE), (SIZE - 2, 3), (2**32 - 1, 2**32 - 1), (SIZE, 1)])
def test_one_bad_buffer_spoils_the_whole_list(engine, bad):
    with calls(engine, WASI) as (box, call):
        call.context.write(DATA, b"ok")
        for spans in ([(DATA, 2), bad], [bad, (DATA, 2)]):
            assert call("fd_write", 1, *call.vectors(*spans), OUT) is Errno.FAULT
            assert call("fd_read", 0, *call.vectors(*spans), OUT) is Errno.FAULT
        assert box.wasi.stdout == b""
        errno, data = call.read(0, 400)
        assert (errno, len(data)) == (Errno.SUCCESS, 298)


def test_counts_and_lengths_are_bounded(engine):
    with calls(engine, WASI) as (box, call):
        assert call("fd_write", 1, 0, 1025, OUT) is Errno.INVAL
        assert call("fd_read", 0, 0, -1, OUT) is Errno.INVAL
        assert call("poll_oneoff", 0, 0, 1025, OUT) is Errno.INVAL
        assert call("random_get", 0, SIZE + 1) is Errno.FAULT
        # a thousand buffers that overlap: as much as the limit allows, and no more
        call.context.write(DATA, struct.pack("<II", 0, SIZE) * 1024)
        assert call("fd_write", 1, DATA, 1024, OUT) is Errno.SUCCESS
        assert call.u32(OUT) == len(box.wasi.stdout) == 2000
        assert call("fd_write", 1, DATA, 1024, OUT) is Errno.NOSPC
        assert call("path_open", 3, 0, 0, SIZE, 0, 2, 2, 0, OUT) is Errno.NAMETOOLONG


def test_a_long_request_for_random_bytes_is_refused_before_any_are_made(engine, guest):
    wat = """(module (import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))
      (memory (export "memory") 64) (func (export "f") (param i32) (result i32)
        (call $r (i32.const 0) (local.get 0))))"""
    with Sandbox(guest(wat), engine=engine, transport="exit", wasi=Wasi(allow="all")) as box:
        assert box.call("f", 1 << 20) == Errno.SUCCESS
        assert box.call("f", (1 << 20) + 1) == Errno.INVAL


def test_a_guest_without_memory_gets_faults(engine, guest):
    wat = """(module
      (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
      (func (export "f") (result i32)
        (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))"""
    with Sandbox(guest(wat), engine=engine, transport="exit", wasi=Wasi(allow="all")) as box:
        assert box.call("f") == Errno.FAULT


def test_a_flood_of_calls_does_not_fill_the_trace(engine, guest):
    wat = """(module (import "wasi_snapshot_preview1" "proc_raise" (func $f (param i32) (result i32)))
      (memory (export "memory") 1)
      (func (export "flood") (param i32) (loop (drop (call $f (i32.const 9)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1))) (br_if 0 (local.get 0)))))"""
    count = TRACE_LIMIT + 50
    with Sandbox(guest(wat), engine=engine, transport="exit", wasi=Wasi(allow="all"), deadline=20) as box:
        box.call("flood", count)
        found = box.wasi
        assert (len(found.trace), found.dropped, found.refused) == (TRACE_LIMIT, 50, {"proc_raise": count})


def test_no_path_of_random_parts_leaves_the_directory(engine):
    rng = random.Random(3)
    parts = [b"..", b".", b"", b"d", b"f", b"a", b"e", b"g", b"..a", b"...", b"\xc2\xb7\xc2\xb7", b"%2e%2e"]
    with calls(engine, WASI) as (_, call):
        for _ in range(150):
            chosen = rng.choices(parts, k=rng.randrange(1, 7))
            found = call.open(b"/".join(chosen), rights=2)
            if isinstance(found, Errno):
                continue
            depth = 0
            for part in chosen:
                depth += {b"..": -1, b".": 0, b"": 0}.get(part, 1)
                assert depth >= 0, chosen
            call("fd_close", found)


def test_what_one_tenant_reads_opens_and_writes_is_not_seen_by_the_next(engine):
    """The secret-canary check for the host's side of WASI."""
    with Sandbox(forwarder(), engine=engine, transport="exit", wasi=WASI) as box:

        def tenant(secret: bytes | None) -> object:
            with box.context() as context:
                call = Calls(context)
                seen = [call.write(1, b""), call.read(4, 1), call.read(0, 7), call("fd_tell", 3, OUT)]
                call("clock_time_get", 0, 0, OUT)
                seen.append(call.u64(OUT))
                seen.append(box.wasi.stdout)
                if secret is not None:
                    number = call.open("a")
                    call.write(1, secret)
                    call.read(number, len(secret))
                    call("fd_renumber", number, 0)
                    call("random_get", DATA, len(secret))
                context.finish()
            return seen

        first = tenant(None)
        for secret in (b"x", b"secret" * 20):
            tenant(secret)
            assert tenant(None) == first
