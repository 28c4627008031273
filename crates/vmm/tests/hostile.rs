//! Attacks from inside the VM: native code that the runtime would never run tries to leave its place, to change what
//! the host relies on, and to lie in the mailbox. Each attempt ends as data, and the next call finds a clean guest.

#![cfg(not(loom))]

mod attack;

use attack::*;
use hlfuzz_abi::map;
use hlfuzz_vmm::*;
use std::time::Duration;

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
        (map::RUNTIME_DATA, 16),
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
        it.set_faults(hlfuzz_vmm::faults::Faults { forget_registers: true, ..Default::default() }).unwrap();
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
    use hlfuzz_vmm::faults::Faults;
    let template = template(Tracking::Auto);
    let arena = template.layout().arena.start;
    for faults in [
        Faults { skip_one_page: true, ..Default::default() },
        Faults { forget_new_pages: true, ..Default::default() },
        Faults { do_nothing: true, ..Default::default() },
    ] {
        let mut it = open(&template, Transport::Exit, Level::Strict);
        it.set_faults(faults).unwrap();
        assert_eq!(call(&mut it, DIRTY, arena, 3), Status::Done);
        assert_eq!(it.reset(), Status::Dead, "{faults:?}");
        assert!(it.message().contains("state-reset violated by the platform"), "{}", it.message());
        assert_eq!(call(&mut it, COUNT, 0, 0), Status::Dead);
    }
}

#[test]
fn odd_stores_to_the_doorbell_end_and_the_sandbox_lives() {
    let template = template(Tracking::Auto);
    for transport in [Transport::Exit, Transport::Spin] {
        let mut it = open(&template, transport, Level::Strict);
        for which in 0..ODD_BELLS {
            let status = call(&mut it, ODD_BELL, which, 0);
            assert!(matches!(status, Status::Trap | Status::Timeout), "{which}: {status:?} {:?}", it.trap());
            if which < 8 {
                // of another size, or beside the word that counts
                assert!(matches!(it.trap(), Some(TrapCause::Runtime(_))), "{which}: {status:?}");
            }
            still_clean(&mut it);
        }
    }
}

#[test]
fn only_answers_that_fit_the_request_are_taken_and_no_answer_kills_a_sandbox() {
    use hlfuzz_abi::answer;
    let template = template(Tracking::Auto);
    for transport in [Transport::Exit, Transport::Spin] {
        let mut it = open(&template, transport, Level::Strict);
        for word in [answer::HOST_FAILED, answer::REFUSED, answer::LINK_FAILED, answer::NO_ROOM, 9] {
            assert_eq!(call(&mut it, ANSWER, u64::from(word), 0), Status::Trap, "answer {word}");
            assert!(matches!(it.trap(), Some(TrapCause::Abi(_))), "answer {word}: {:?}", it.trap());
            still_clean(&mut it);
        }
        assert_eq!(call(&mut it, ANSWER, u64::from(answer::FATAL), 0), Status::Trap);
        assert!(matches!(it.trap(), Some(TrapCause::Runtime(_))), "{:?}", it.trap());
        still_clean(&mut it);
        assert_eq!(call(&mut it, ANSWER, u64::from(answer::TRAP), 123), Status::Trap);
        assert_eq!(it.trap(), Some(&TrapCause::Wasm { code: 123, text: String::new() }));
        still_clean(&mut it);
    }
}

#[test]
fn a_guest_that_changes_its_answer_while_the_host_reads_it_changes_nothing_else() {
    let template = template(Tracking::Auto);
    let mut it = open(&template, Transport::Spin, Level::Strict);
    let mut ends = [0u32; 2];
    for seed in 1..400 {
        match call(&mut it, FLIP, seed, 0) {
            Status::Done => {
                assert_eq!(it.results().len(), 1);
                ends[0] += 1;
            }
            Status::Trap => {
                assert!(matches!(it.trap(), Some(TrapCause::Abi(_))), "{:?}", it.trap());
                ends[1] += 1;
            }
            other => panic!("{other:?} {}", it.message()),
        }
        // while it goes on changing what the host looks at
        for len in [1, 4096] {
            if let Ok(Some(at)) = it.view(None, seed, len) {
                let layout = it.layout();
                let start = at as usize - it.ram_slice(0, 1).unwrap().as_ptr() as usize;
                assert!(layout.may_write(start as u64, len), "a view of {start:#x}");
            }
        }
        still_clean(&mut it);
    }
    assert!(ends[0] > 20, "{ends:?}");
}

#[test]
fn an_interface_that_the_mailbox_cannot_carry_is_refused() {
    use hlfuzz_vmm::image::Spec;
    let elf = guest();
    let spec = Spec {
        runtime: &elf,
        artifact: &elf,
        heap: 4096,
        arena: 4096,
        memory_limit: 4096,
        table_limit: 0,
        grow_traps: false,
        wasm_stack: 4096,
    };
    let host = std::sync::Arc::new(Host::open().expect("these tests need /dev/kvm"));
    for (params, results, fits) in [(1000, 1000, true), (1001, 0, false), (0, 1001, false)] {
        for exported in [true, false] {
            let mut interface = Interface::default();
            let list = if exported { &mut interface.exports } else { &mut interface.imports };
            list.push(Some((params, results)));
            let boot = Boot::new(
                host.clone(),
                &spec,
                interface.into(),
                &[],
                Tracking::Auto,
                Deadline::default(),
                None,
            );
            assert_eq!(boot.is_ok(), fits, "{params} parameters, {results} results");
        }
    }
}
