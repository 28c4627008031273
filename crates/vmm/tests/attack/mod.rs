//! A guest that does harm, compiled from hostile.c, in the place of the runtime: how it is built, booted and asked.

// each test uses a part of it
#![allow(dead_code)]

pub mod code;

use hlfuzz_vmm::image::Spec;
use hlfuzz_vmm::*;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

pub const READ: u32 = 0;
pub const WRITE: u32 = 1;
pub const EXECUTE: u32 = 2;
pub const CALL_DATA: u32 = 3;
pub const RECURSE: u32 = 4;
pub const PORT: u32 = 5;
pub const HALT: u32 = 6;
pub const ANSWER: u32 = 7;
pub const POST: u32 = 8;
pub const LIE_MEMORY: u32 = 9;
pub const RING: u32 = 10;
pub const SILENT: u32 = 11;
pub const FORGE_HOSTCALL: u32 = 12;
pub const SEGMENTS: u32 = 13;
pub const VECTORS: u32 = 14;
pub const COUNT: u32 = 15;
pub const DIRTY: u32 = 16;
pub const PRIVILEGED: u32 = 17;
/// Loads 16 registers and jumps: 17 arguments.
pub const RUN: u32 = 18;
/// Every register at the moment the request was taken: 64 results.
pub const DUMP: u32 = 19;
pub const POISON: u32 = 20;
pub const ODD_BELL: u32 = 21;
pub const ODD_BELLS: u64 = 38;
pub const ODD_ANSWER: u32 = 22;
pub const ODD_ANSWERS: u64 = 11;
pub const FILL: u32 = 23;
pub const SCAN: u32 = 24;
pub const FLIP: u32 = 25;
pub const HOST_STATE: u32 = 26;

pub const PAGE_FAULT: u32 = 14;
pub const PROTECTION: u32 = 13;

/// Compiles hostile.c as a static ELF at the runtime's address.
pub fn guest() -> Vec<u8> {
    let dir = std::env::temp_dir().join(format!(
        "hlfuzz-hostile-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    std::fs::create_dir_all(&dir).unwrap();
    let script = dir.join("guest.ld");
    std::fs::write(
        &script,
        "ENTRY(_start) PHDRS { t PT_LOAD FLAGS(5); r PT_LOAD FLAGS(4); d PT_LOAD FLAGS(6); } SECTIONS { . = 0x200000; \
         .text : { *(.text.start) *(.text*) } :t . = ALIGN(4096); .rodata : { *(.rodata*) BYTE(1) } :r \
         . = 0x801000; .data : { *(.data*) *(.bss*) } :d /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame*) } }",
    )
    .unwrap();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attack/hostile.c");
    let out = dir.join("guest");
    let status = Command::new("cc")
        .args(["-O1", "-ffreestanding", "-nostdlib", "-static", "-fno-pic", "-no-pie", "-mcmodel=large"])
        .args([
            "-fno-stack-protector",
            "-fno-optimize-sibling-calls",
            "-fcf-protection=none",
            "-Wall",
            "-Werror",
        ])
        .args(["-Wno-infinite-recursion", "-Wl,--build-id=none,-z,max-page-size=4096,-z,noexecstack", "-T"])
        .arg(&script)
        .arg("-o")
        .args([&out, std::path::Path::new(source)])
        .status()
        .expect("a C compiler (gcc or clang)");
    assert!(status.success());
    let elf = std::fs::read(&out).unwrap();
    std::fs::remove_dir_all(&dir).unwrap();
    elf
}

pub fn template(tracking: Tracking) -> Template {
    let elf = guest();
    template_with(tracking, &elf, &elf, 24 << 20)
}

/// `artifact`: any ELF with a page-aligned text section.
pub fn template_with(tracking: Tracking, elf: &[u8], artifact: &[u8], arena: u64) -> Template {
    let spec = Spec {
        runtime: elf,
        artifact,
        heap: 1 << 20,
        arena,
        memory_limit: 1 << 20,
        table_limit: 0,
        wasm_stack: 64 << 10,
        grow_traps: false,
    };
    let mut exports = vec![Some((2, 1)); 27];
    (exports[RUN as usize], exports[DUMP as usize]) = (Some((17, 1)), Some((2, 64)));
    let interface = Interface { exports, imports: vec![Some((1, 1)), None] };
    let deadline = Deadline { cpu: Duration::from_secs(2), wall: Duration::from_secs(10) };
    let host = Arc::new(Host::open().expect("these tests need /dev/kvm"));
    let mut boot = Boot::new(host, &spec, Arc::new(interface), &[], tracking, deadline, None).unwrap();
    assert_eq!(boot.run(), Status::Done, "{:?}", boot.sandbox_ref().map(|it| it.message().to_owned()));
    boot.finish().unwrap()
}

pub fn open(template: &Template, transport: Transport, level: Level) -> Sandbox {
    let deadline = Deadline { cpu: Duration::from_millis(20), wall: Duration::from_secs(2) };
    let options = Options { transport, level, deadline, verify_every: 1, ..Options::default() };
    // another program of this machine may have claimed the CPU for a while
    for _ in 0..600 {
        match template.sandbox(options) {
            Err(error) if error.kind == Kind::Cpu => std::thread::sleep(Duration::from_millis(100)),
            result => return result.unwrap(),
        }
    }
    panic!("no second CPU for the spin transport within a minute");
}

pub fn call(it: &mut Sandbox, what: u32, a: u64, b: u64) -> Status {
    it.call(what, &[[a, 0], [b, 0]])
}

#[track_caller]
pub fn still_clean(it: &mut Sandbox) {
    assert_eq!(it.reset(), Status::Done, "{}", it.message());
    assert_eq!(call(it, COUNT, 0, 0), Status::Done, "{}", it.message());
    assert_eq!(it.results()[0][0], 8, "the counter is the snapshot's");
    assert_eq!(it.reset(), Status::Done, "{}", it.message());
}

#[track_caller]
pub fn faults(it: &mut Sandbox, what: u32, at: u64, vector: u32) {
    let status = call(it, what, at, 0);
    match it.trap() {
        Some(TrapCause::Exception(e)) if status == Status::Trap && e.vector == vector => {
            if vector == PAGE_FAULT && what <= EXECUTE {
                assert_eq!(e.address, at);
            }
        }
        other => panic!("attack {what} at {at:#x}: {status:?} {other:?} {}", it.message()),
    }
    still_clean(it);
}
