"""A guest with every kind of state that Wasm has, ways to change each, and looks at all of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hlfuzz import Caller, CallFailed, Outcome, Sandbox
from hlfuzz.errors import HlfuzzError

WAT = """(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (type $number (func (result i32)))
  (type $box (struct (field (mut i32))))
  (memory $memory (export "memory") 2)
  (memory $second (export "second") 1)
  (table $table (export "table") 4 100 funcref)
  (table $things (export "things") 2 20 externref)
  (global $i32 (export "i32") (mut i32) (i32.const 5))
  (global $i64 (export "i64") (mut i64) (i64.const -6))
  (global $f64 (export "f64") (mut f64) (f64.const nan:0x8000000000007))
  (global $v128 (export "v128") (mut v128) (v128.const i64x2 1 2))
  (global $hidden (mut i32) (i32.const 0))
  (global $function (mut funcref) (ref.null func))
  (global $object (mut (ref null $box)) (ref.null $box))
  (elem (table $table) (i32.const 1) func $one $two)
  (elem $passive func $one $two $one)
  (data (memory $memory) (i32.const 1000) "initial data")
  (data $bytes "passive bytes")
  (tag $ball (param i32))
  (func $one (result i32) i32.const 1)
  (func $two (result i32) i32.const 2)

  (func (export "look_sizes") (result i32 i32 i32 i32)
    (memory.size $memory) (memory.size $second) (table.size $table) (table.size $things))
  (func (export "look_hidden") (result i32) (global.get $hidden))
  (func (export "look_function") (result i32) (ref.is_null (global.get $function)))
  (func (export "look_object") (result i32) (ref.is_null (global.get $object)))
  (func (export "look_table") (result i32 i32)
    (call_indirect $table (type $number) (i32.const 1)) (call_indirect $table (type $number) (i32.const 2)))
  (func (export "look_slot") (result i32 i32)
    (ref.is_null (table.get $table (i32.const 0))) (ref.is_null (table.get $table (i32.const 3))))
  (func (export "look_grown_slot") (result i32) (ref.is_null (table.get $table (i32.const 5))))
  (func (export "look_grown_page") (result i32) (i32.load $memory (i32.const 0x30000)))
  (func (export "look_data") (result i64)
    (memory.init $memory $bytes (i32.const 64) (i32.const 0) (i32.const 8)) (i64.load $memory (i32.const 64)))
  (func (export "look_elements") (result i32)
    (table.init $table $passive (i32.const 0) (i32.const 1) (i32.const 1))
    (call_indirect $table (type $number) (i32.const 0)))
  (func (export "look_new_memory") (result i32)
    (drop (memory.grow $memory (i32.const 40))) (i32.load $memory (i32.const 0x1f0000)))
  (func (export "look_new_slots") (result i32)
    (drop (table.grow $table (ref.null func) (i32.const 30)))
    (ref.is_null (table.get $table (i32.const 20))))

  (func $globals (export "set_globals")
    (global.set $i32 (i32.const 99)) (global.set $i64 (i64.const 99)) (global.set $f64 (f64.const 9.9))
    (global.set $v128 (v128.const i64x2 9 9)) (global.set $hidden (i32.const 99)))
  (func (export "set_references")
    (global.set $function (ref.func $two)) (global.set $object (struct.new $box (i32.const 9))))
  (func $memory (export "write_memory")
    (i32.store $memory (i32.const 1000) (i32.const -1)) (i32.store $memory (i32.const 0x1fffc) (i32.const -1))
    (i32.store $second (i32.const 0) (i32.const -1)) (i32.store $second (i32.const 0xfffc) (i32.const -1)))
  (func (export "fill_memory")
    (memory.fill $memory (i32.const 0) (i32.const 0xee) (i32.const 0x20000))
    (memory.copy $second $memory (i32.const 0) (i32.const 0) (i32.const 0x10000)))
  (func $grow (export "grow_memory")
    (if (i32.ne (memory.grow $memory (i32.const 30)) (i32.const 2)) (then (unreachable)))
    (memory.fill $memory (i32.const 0x20000) (i32.const 0xdd) (i32.const 0x1e0000))
    (if (i32.ne (memory.grow $second (i32.const 3)) (i32.const 1)) (then (unreachable)))
    (i32.store $second (i32.const 0x3fffc) (i32.const -1)))
  (func $tables (export "set_table")
    (table.set $table (i32.const 0) (ref.func $two)) (table.set $table (i32.const 1) (ref.func $two))
    (table.set $table (i32.const 2) (ref.null func)) (table.set $table (i32.const 3) (ref.func $one)))
  (func (export "grow_table")
    (if (i32.ne (table.grow $table (ref.func $one) (i32.const 50)) (i32.const 4)) (then (unreachable)))
    (if (i32.ne (table.grow $things (ref.null extern) (i32.const 5)) (i32.const 2)) (then (unreachable))))
  (func (export "fill_table") (table.fill $table (i32.const 0) (ref.func $two) (i32.const 4)))
  (func (export "drop_segments") (data.drop $bytes) (elem.drop $passive))
  (func (export "init_table") (table.init $table $passive (i32.const 0) (i32.const 0) (i32.const 3)))
  (func $deep (param i64 i64 i64 i64) (param $n i32) (result i64)
    (if (result i64) (local.get $n)
      (then (i64.add (local.get 3)
        (call $deep (local.get 1) (local.get 2) (local.get 3) (i64.const -1)
          (i32.sub (local.get $n) (i32.const 1)))))
      (else (local.get 0))))
  (func (export "use_stack") (drop (call $deep (i64.const -1) (i64.const -1) (i64.const -1) (i64.const -1)
    (i32.const 2000))))
  (func (export "make_garbage") (local $n i32)
    (loop $next
      (global.set $object (struct.new $box (local.get $n)))
      (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20000)))))
  (func $everything (call $globals) (call $memory) (call $grow) (call $tables)
    (data.drop $bytes) (elem.drop $passive) (global.set $function (ref.func $one)))
  (func (export "everything") (call $everything))
  (func (export "then_trap") (call $everything) unreachable)
  (func (export "then_overflow") (call $everything)
    (drop (call $deep (i64.const 1) (i64.const 1) (i64.const 1)
    (i64.const 1) (i32.const -1))))
  (func (export "then_throw") (call $everything) (throw $ball (i32.const 7)))
  (func (export "then_catch") (call $everything)
    (block $caught (result i32)
      (try_table (catch $ball $caught) (throw $ball (i32.const 7))) (i32.const 0)) drop)
  (func (export "then_loop") (call $everything) (loop br 0))
  (func (export "then_host") (call $everything) (drop (call $host (i32.const 0))))
  (func (export "then_host_fails") (call $everything) (drop (call $host (i32.const 1))))
  (func (export "then_host_loops") (call $everything) (loop (drop (call $host (i32.const 0))) (br 0)))
  (func (export "then_nested") (call $everything) (drop (call $host (i32.const 2))))
  (func (export "then_nested_trap") (call $everything) (drop (call $host (i32.const 3))))
  (func (export "trap") unreachable))"""


def host(caller: Caller, what: int) -> int:
    """The guest's import: writes guest memory, and by `what` fails, or calls back."""
    caller.write(500, b"written by the host")
    caller.globals["i64"] = 77
    if what == 1:
        raise LookupError("the host function fails")
    if what == 2:
        caller.call("fill_memory")
    if what == 3:
        try:
            caller.call("trap")
        except CallFailed:
            caller.call("write_memory")
    return 1


HOST = {"env.host": host}

LOOKS = (
    "look_sizes", "look_hidden", "look_function", "look_object", "look_table", "look_slot", "look_grown_slot",
    "look_grown_page", "look_data", "look_elements", "look_new_memory", "look_new_slots",
)  # fmt: skip


@dataclass(frozen=True)
class Sight:
    """All that can be seen of a guest: memories, globals, and what its looks answer."""

    memories: tuple[bytes, ...]
    globals: dict[str, object]
    looks: tuple[Outcome, ...]


def sight(box: Sandbox) -> Sight:
    memories = tuple(m.read(0, m.size) for m in (box.memory("memory"), box.memory("second")))
    return Sight(memories, dict(box.globals), tuple(box.try_call(look) for look in LOOKS))


def differences(before: Sight, after: Sight) -> list[str]:
    """What of `before` is not the same in `after`."""
    found = [
        f"memory {i}" for i, (a, b) in enumerate(zip(before.memories, after.memories, strict=True)) if a != b
    ]
    found += [f"global {name}" for name, value in before.globals.items() if after.globals[name] != value]
    looks = zip(LOOKS, before.looks, after.looks, strict=True)
    return found + [f"{look}: {a} became {b}" for look, a, b in looks if a != b]


Mess = Callable[[Sandbox], object]


def _call(function: str) -> Mess:
    return lambda box: box.try_call(function)


def _context(box: Sandbox) -> None:
    with box.context() as context:
        context.call("everything")
        context.write(100, b"from the context")
        context.call("fill_memory")
        context.finish()


def _poisoned_context(box: Sandbox) -> None:
    with box.context() as context:
        context.call("drop_segments")
        context.try_call("then_trap")
        context.finish()


def _host_writes(box: Sandbox) -> None:
    box.memory().write(0, b"\xaa" * 0x20000)
    box.memory("second").write(7, b"\xbb")
    box.globals["i32"] = 1
    box.globals["v128"] = b"\xcc" * 16
    box.reset()


MESSES: dict[str, Mess] = {
    name: _call(name)
    for name in (
        "set_globals", "set_references", "write_memory", "fill_memory", "grow_memory", "set_table",
        "grow_table", "fill_table", "drop_segments", "init_table", "use_stack", "make_garbage",
        "everything", "then_trap",
        "then_overflow", "then_throw", "then_catch", "then_loop", "then_host", "then_host_fails",
        "then_host_loops", "then_nested", "then_nested_trap", "trap",
    )
} | {"context": _context, "poisoned context": _poisoned_context, "host writes": _host_writes}  # fmt: skip


def leftovers(box: Sandbox, before: Sight, mess: Mess) -> list[str]:
    """What of a mess can be seen after the reset; the sandbox giving up counts too."""
    try:
        mess(box)
        return differences(before, sight(box))
    except HlfuzzError as e:
        return [f"{type(e).__name__}: {e}"]
