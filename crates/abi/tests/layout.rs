//! The layout that host and guest share, against a committed fixture: a change of it is a change of the ABI and must be
//! seen in review. `HLFUZZ_WRITE_LAYOUT=1 cargo test -p hlfuzz-abi --test layout` writes the fixture anew.

use hlfuzz_abi::*;
use std::fmt::Write;
use std::mem::{offset_of, size_of};

fn layout() -> String {
    let mut text = String::new();
    let mut line =
        |name: &str, value: u64| writeln!(text, "{name} {value:#x}").expect("a string takes everything");
    macro_rules! offsets {
        ($($ty:ident . $($field:ident).+),+ $(,)?) => {
            $(line(concat!(stringify!($ty), $(".", stringify!($field)),+), offset_of!($ty, $($field).+) as u64);)+
        };
    }
    macro_rules! sizes {
        ($($ty:ident),+) => { $(line(concat!("size of ", stringify!($ty)), size_of::<$ty>() as u64);)+ };
    }
    macro_rules! constants {
        ($($($part:ident)::+),+ $(,)?) => { $(line(stringify!($($part)::+), u64::from($($part)::+));)+ };
    }
    sizes!(
        Mailbox,
        ToGuest,
        FromGuest,
        Control,
        Text,
        PostedHeader,
        VectorHead,
        VectorArea,
        Windows,
        Boot,
        Value
    );
    line("MAX_FRAMES", MAX_FRAMES as u64);
    line("WINDOWS", WINDOWS as u64);
    offsets!(
        Windows.count,
        Windows.memories,
        Mailbox.to_guest,
        Mailbox.from_guest,
        Mailbox.control,
        Mailbox.text,
        Mailbox.posted_modes,
        Mailbox.posted,
        Mailbox.vector,
        VectorHead.alloc,
        VectorHead.n_alloc,
        VectorHead.at,
        VectorHead.len,
        VectorHead.scratch,
        VectorHead.alloc_args,
        VectorHead.reserved,
        VectorArea.data,
        ToGuest.word,
        ToGuest.index,
        ToGuest.n,
        ToGuest.values,
        FromGuest.word,
        FromGuest.aux,
        FromGuest.n,
        FromGuest.posted,
        FromGuest.memory,
        FromGuest.memory_len,
        FromGuest.values,
        Control.transport,
        Control.idle_ticks,
        Text.len,
        Text.bytes,
        PostedHeader.import,
        PostedHeader.n,
        PostedHeader.bytes,
        Boot.heap,
        Boot.heap_len,
        Boot.artifact,
        Boot.artifact_len,
        Boot.arena,
        Boot.arena_len,
        Boot.memory_limit,
        Boot.table_limit,
        Boot.wasm_stack,
        Boot.flags,
    );
    constants!(
        map::PML4,
        map::GDT,
        map::IDT,
        map::TSS,
        map::STUBS,
        map::RING0_STACK,
        map::TABLE_POOL,
        map::TABLE_POOL_END,
        map::BOOT,
        map::RUNTIME,
        map::RUNTIME_DATA,
        map::HOT_STACK,
        map::STACK_MAX,
        map::MAILBOX,
        map::DOORBELL,
        map::EXCEPTION_PORT,
        op::CALL,
        op::RESUME,
        op::FAIL,
        op::MEMORY,
        op::GLOBAL_GET,
        op::GLOBAL_SET,
        op::NOP,
        op::BYTES,
        answer::DONE,
        answer::HOSTCALL,
        answer::TRAP,
        answer::HOST_FAILED,
        answer::REFUSED,
        answer::FATAL,
        answer::LINK_FAILED,
        answer::NO_ROOM,
        NO_ALLOCATOR,
        bell::ANSWER,
        bell::IDLE,
        bell::FATAL,
        trap::EXCEPTION,
        trap::OTHER,
        trap::MEMORY_LIMIT,
        trap::TABLE_LIMIT,
        boot_flag::GROW_TRAPS,
        transport::SPIN,
        transport::EXIT,
    );
    line("TEXT_BYTES", TEXT_BYTES as u64);
    line("VECTOR_BYTES", VECTOR_BYTES as u64);
    line("VECTOR_ALLOC_ARGS", VECTOR_ALLOC_ARGS as u64);
    text
}

#[test]
fn the_layout_is_the_committed_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layout.txt");
    let fresh = layout();
    if std::env::var_os("HLFUZZ_WRITE_LAYOUT").is_some() {
        std::fs::write(path, &fresh).expect("writing the fixture");
    }
    let committed = std::fs::read_to_string(path).expect("the fixture");
    assert_eq!(
        fresh, committed,
        "the ABI of host and guest changed; if that is meant, write the fixture anew"
    );
}
