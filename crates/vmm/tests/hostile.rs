//! Attacks from inside the VM: native code that the runtime would never run tries to leave its place, to change what
//! the host relies on, and to lie in the mailbox. Each attempt ends as data, and the next call finds a clean guest.

#![cfg(not(loom))]

use hlfuzz_abi::map;
use hlfuzz_vmm::image::Spec;
use hlfuzz_vmm::*;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const READ: u32 = 0;
const WRITE: u32 = 1;
const EXECUTE: u32 = 2;
const CALL_DATA: u32 = 3;
const RECURSE: u32 = 4;
const PORT: u32 = 5;
const HALT: u32 = 6;
const ANSWER: u32 = 7;
const POST: u32 = 8;
const LIE_MEMORY: u32 = 9;
const RING: u32 = 10;
const SILENT: u32 = 11;
const FORGE_HOSTCALL: u32 = 12;
const SEGMENTS: u32 = 13;
const VECTORS: u32 = 14;
const COUNT: u32 = 15;
const DIRTY: u32 = 16;
const PRIVILEGED: u32 = 17;

const PAGE_FAULT: u32 = 14;
const PROTECTION: u32 = 13;

/// Compiles hostile.c as a static ELF at the runtime's address.
fn guest() -> Vec<u8> {
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
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile.c");
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

fn template(tracking: Tracking) -> Template {
    let elf = guest();
    let spec = Spec {
        runtime: &elf,
        artifact: &elf, // any ELF with a page-aligned text section
        heap: 1 << 20,
        arena: 24 << 20,
        memory_limit: 1 << 20,
        table_limit: 0,
        wasm_stack: 64 << 10,
    };
    let interface = Interface { exports: vec![Some((2, 1)); 18], imports: vec![Some((1, 1)), None] };
    let deadline = Deadline { cpu: Duration::from_secs(2), wall: Duration::from_secs(10) };
    let host = Arc::new(Host::open().expect("these tests need /dev/kvm"));
    let mut boot = Boot::new(host, &spec, Arc::new(interface), &[], tracking, deadline, None).unwrap();
    assert_eq!(boot.run(), Status::Done, "{:?}", boot.sandbox_ref().map(|it| it.message().to_owned()));
    boot.finish().unwrap()
}

fn open(template: &Template, transport: Transport, level: Level) -> Sandbox {
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

fn call(it: &mut Sandbox, what: u32, a: u64, b: u64) -> Status {
    it.call(what, &[[a, 0], [b, 0]])
}

#[track_caller]
fn still_clean(it: &mut Sandbox) {
    assert_eq!(it.reset(), Status::Done, "{}", it.message());
    assert_eq!(call(it, COUNT, 0, 0), Status::Done, "{}", it.message());
    assert_eq!(it.results()[0][0], 8, "the counter is the snapshot's");
    assert_eq!(it.reset(), Status::Done, "{}", it.message());
}

#[track_caller]
fn faults(it: &mut Sandbox, what: u32, at: u64, vector: u32) {
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

/// Every place that must not be touched, in the way that must not be.
fn attack_memory(it: &mut Sandbox) {
    let layout = it.layout().clone();
    let (text, artifact) = (layout.text[0].clone(), layout.artifact.clone());
    for at in [0, 8, 0xfff] {
        faults(it, READ, at, PAGE_FAULT);
        faults(it, WRITE, at, PAGE_FAULT);
    }
    // supervisor pages: tables, descriptors, stubs, ring-0 stack
    for at in [map::PML4, map::GDT, map::IDT, map::TSS, map::STUBS, map::RING0_STACK, map::TABLE_POOL] {
        faults(it, READ, at, PAGE_FAULT);
        faults(it, WRITE, at + 16, PAGE_FAULT);
        faults(it, EXECUTE, at, PAGE_FAULT);
    }
    // read-only: boot record, text of the runtime, artifact with its text
    for at in [map::BOOT, text.start, text.end - 1, layout.text[1].start, artifact.start, artifact.end - 1] {
        assert_eq!(call(it, READ, at, 0), Status::Done, "{at:#x} is readable");
        faults(it, WRITE, at, PAGE_FAULT);
    }
    // nothing writable is executable
    faults(it, CALL_DATA, 0, PAGE_FAULT);
    for at in [layout.heap.start, layout.stack.start, layout.arena.start, map::MAILBOX + 0xb000, map::BOOT] {
        faults(it, EXECUTE, at, PAGE_FAULT);
    }
    // guard pages round stack, heap and arena
    for range in [&layout.stack, &layout.heap, &layout.arena] {
        faults(it, WRITE, range.start - 1, PAGE_FAULT);
        if range != &layout.stack {
            faults(it, WRITE, range.end, PAGE_FAULT); // the stack grows down; above it is the runtime's own page
        }
        assert_eq!(call(it, WRITE, range.start, 0), Status::Done);
        if range != &layout.stack {
            assert_eq!(call(it, WRITE, range.end - 1, 0), Status::Done);
        }
    }
    still_clean(it);
    faults(it, RECURSE, 0, PAGE_FAULT); // ends in the guard page below the stack
    // beyond RAM, between the regions, above the canonical line
    for at in [layout.whole.end, 0x8000_0000, map::MAILBOX + (1 << 20), map::DOORBELL + 4096] {
        faults(it, WRITE, at, PAGE_FAULT);
    }
    faults(it, WRITE, 0x8000_0000_0000_0000, PROTECTION);
    // privileged instructions
    faults(it, PORT, 0, PROTECTION);
    faults(it, HALT, 0, PROTECTION);
}

fn attack_mailbox(it: &mut Sandbox) {
    for word in [0, 8, 255, u64::from(u32::MAX)] {
        let status = call(it, ANSWER, word, 0);
        let expected = if word == 0 { Status::Timeout } else { Status::Trap };
        assert_eq!(status, expected, "answer {word}");
        still_clean(it);
    }
    for import in [1, 2, 0xffff_ffff] {
        assert_eq!(call(it, FORGE_HOSTCALL, import, 0), Status::Trap, "import {import}");
        assert!(matches!(it.trap(), Some(TrapCause::Abi(_))), "{:?}", it.trap());
        still_clean(it);
    }
    for used in [1, 15, 16, 64 << 10, (64 << 10) + 1, 0xffff_ffff] {
        assert_eq!(call(it, POST, used, 0), Status::Trap, "posted {used}");
        assert!(matches!(it.trap(), Some(TrapCause::Abi(_))), "{:?}", it.trap());
        still_clean(it);
    }
    let layout = it.layout().clone();
    for (base, len) in [
        (0, 1),
        (map::PML4, 4096),
        (map::RUNTIME, 16),
        (layout.artifact.start, 1),
        (layout.arena.start, u64::MAX),
        (u64::MAX, 2),
        (layout.whole.end, 1),
        (layout.whole.end - 1, 2),
    ] {
        assert_eq!(call(it, LIE_MEMORY, base, len), Status::Done);
        assert_eq!(it.view(None, 0, 1), Err(Status::Trap), "memory at {base:#x} with {len:#x} bytes");
        still_clean(it);
    }
    assert_eq!(call(it, LIE_MEMORY, layout.arena.start, 4096), Status::Done);
    assert!(it.view(None, 0, 4096).unwrap().is_some());
    assert!(it.view(None, 1, 4096).unwrap().is_none());
    assert!(it.view(None, u64::MAX, 2).unwrap().is_none());
    still_clean(it);
    for what in [SILENT, RING] {
        assert_eq!(call(it, what, 1, 0), Status::Timeout);
        still_clean(it);
    }
    assert_eq!(call(it, RING, 77, 0), Status::Trap, "a doorbell value that does not exist");
    still_clean(it);
}

/// SYSCALL, SYSENTER, INT, MSRs, control registers, descriptor tables, I/O, cache control: see hostile.c.
fn attack_privileges(it: &mut Sandbox) {
    for which in 0..17 {
        let status = call(it, PRIVILEGED, which, 0);
        match it.trap() {
            Some(TrapCause::Exception(_)) if status == Status::Trap => {}
            other => panic!("instruction {which}: {status:?} {other:?} {}", it.message()),
        }
        still_clean(it);
    }
}

#[test]
fn privileged_instructions_end_as_exceptions_and_the_sandbox_lives() {
    let template = template(Tracking::Auto);
    attack_privileges(&mut open(&template, Transport::Exit, Level::Strict));
    attack_privileges(&mut open(&template, Transport::Spin, Level::Memory));
}

#[test]
fn memory_attacks_end_as_exceptions_and_the_sandbox_lives() {
    let template = template(Tracking::Auto);
    attack_memory(&mut open(&template, Transport::Exit, Level::Strict));
    attack_memory(&mut open(&template, Transport::Spin, Level::Memory));
}

#[test]
fn mailbox_lies_end_as_violations_and_the_sandbox_lives() {
    for tracking in [Tracking::Ring, Tracking::Log] {
        let template = template(tracking);
        attack_mailbox(&mut open(&template, Transport::Exit, Level::Strict));
        attack_mailbox(&mut open(&template, Transport::Spin, Level::Strict));
    }
}

#[test]
fn a_strict_reset_restores_segments_vectors_and_mxcsr() {
    let template = template(Tracking::Auto);
    for transport in [Transport::Exit, Transport::Spin] {
        let mut it = open(&template, transport, Level::Strict);
        let mut first = None;
        for _ in 0..3 {
            assert_eq!(call(&mut it, SEGMENTS, 0, 0), Status::Done, "{}", it.message());
            let selector = it.results()[0][0];
            assert_eq!(call(&mut it, VECTORS, 0xdead_beef, 0x7f80), Status::Done, "{}", it.message());
            let vectors = it.results()[0][0];
            let seen = (selector, vectors);
            assert_eq!(*first.get_or_insert(seen), seen, "a register survived the reset");
            assert_eq!(call(&mut it, VECTORS, 0, 0x1f80), Status::Done);
            assert_eq!(it.results()[0][0], 0xdead_beef ^ (0x7f80 << 32), "without a reset it lasts");
            assert_eq!(it.reset(), Status::Done, "{}", it.message());
        }
        // and a sabotaged reset is noticed by this very check
        it.set_faults(hlfuzz_vmm::reset::Faults { forget_registers: true, ..Default::default() });
        assert_eq!(call(&mut it, VECTORS, 0xdead_beef, 0x7f80), Status::Done);
        assert_eq!(it.reset(), Status::Done);
        assert_eq!(call(&mut it, VECTORS, 0, 0x1f80), Status::Done);
        assert_eq!(it.results()[0][0], 0xdead_beef ^ (0x7f80 << 32), "the planted fault lets it survive");
    }
}

#[test]
fn every_written_page_is_restored_through_growth_eviction_and_a_full_ring() {
    for tracking in [Tracking::Ring, Tracking::Log] {
        let template = template(tracking);
        let arena = template.layout().arena.start;
        for transport in [Transport::Exit, Transport::Spin] {
            let mut it = open(&template, transport, Level::Memory);
            it.set_deadline(Deadline { cpu: Duration::from_secs(5), wall: Duration::from_secs(20) });
            // more pages than the smallest ring has entries, then few, so that the hot set decays; every reset is verified
            for pages in [1, 6000, 3, 6000].into_iter().chain([2; 400]).chain([600, 1]) {
                assert_eq!(call(&mut it, DIRTY, arena, pages), Status::Done, "{}", it.message());
                assert_eq!(it.results()[0][0], 1, "the page was as in the snapshot");
                assert_eq!(it.reset(), Status::Done, "{}", it.message());
            }
            let (_, resets) = it.stats();
            assert!(resets.evictions > 0 && it.hot_pages() < 700, "{resets:?}, {} hot", it.hot_pages());
        }
    }
}

#[test]
fn sabotaged_resets_are_noticed_by_the_verification() {
    use hlfuzz_vmm::reset::Faults;
    let template = template(Tracking::Auto);
    let arena = template.layout().arena.start;
    for faults in [
        Faults { skip_one_page: true, ..Default::default() },
        Faults { forget_new_pages: true, ..Default::default() },
        Faults { do_nothing: true, ..Default::default() },
    ] {
        let mut it = open(&template, Transport::Exit, Level::Strict);
        it.set_faults(faults);
        assert_eq!(call(&mut it, DIRTY, arena, 3), Status::Done);
        assert_eq!(it.reset(), Status::Dead, "{faults:?}");
        assert!(it.message().contains("state-reset violated by the platform"), "{}", it.message());
        assert_eq!(call(&mut it, COUNT, 0, 0), Status::Dead);
    }
}
