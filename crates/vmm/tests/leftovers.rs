//! What one call can leave for the next behind a strict reset: registers, flags, vectors, the mailbox. Nothing.

#![cfg(not(loom))]

mod attack;

use attack::*;
use hlfuzz_abi::Value;
use hlfuzz_vmm::faults::Faults;
use hlfuzz_vmm::sandbox::{BytesCall, Form, Room};
use hlfuzz_vmm::*;

/// Every register of the guest when it takes a request.
#[track_caller]
fn registers(it: &mut Sandbox) -> Vec<Value> {
    assert_eq!(call(it, DUMP, 0, 0), Status::Done, "{}", it.message());
    it.results().to_vec()
}

fn differing(a: &[Value], b: &[Value]) -> Vec<usize> {
    let words = |of: &[Value]| of.iter().flatten().copied().collect::<Vec<u64>>();
    words(a).iter().zip(words(b)).enumerate().filter(|(_, (a, b))| **a != *b).map(|(at, _)| at).collect()
}

#[test]
fn a_strict_reset_leaves_no_bit_of_any_register() {
    let template = template(Tracking::Auto);
    for transport in [Transport::Exit, Transport::Spin] {
        let mut it = open(&template, transport, Level::Strict);
        let first = registers(&mut it);
        assert_eq!(it.reset(), Status::Done);
        for seed in [u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(call(&mut it, POISON, seed, 0), Status::Done, "{:?}", it.trap());
            assert_eq!(it.reset(), Status::Done);
            assert_eq!(differing(&first, &registers(&mut it)), [0usize; 0], "a register survived the reset");
            assert_eq!(it.reset(), Status::Done);
        }
        // the poison reaches every general register, the flags, selectors, x87, SSE and AVX
        assert_eq!(call(&mut it, POISON, 3, 0), Status::Done);
        let poisoned = differing(&first, &registers(&mut it));
        assert!((0..16).all(|general| poisoned.contains(&general)), "{poisoned:?}");
        for (part, words) in [("x87", 28..44), ("SSE", 44..76), ("AVX", 96..128)] {
            assert!(poisoned.iter().any(|at| words.contains(at)), "{part}: {poisoned:?}");
        }
        // with KVM-PVM the selectors are those of the host's thread, which has its own back after every exit
        if transport == Transport::Spin {
            assert!(poisoned.iter().any(|at| (16..20).contains(at)), "selectors: {poisoned:?}");
        }
        // the same after an exception, from where everything is restored as well
        assert_eq!(call(&mut it, POISON, 5, 0), Status::Done);
        assert_eq!(call(&mut it, EXECUTE, 0, 0), Status::Trap);
        assert_eq!(differing(&first, &registers(&mut it)), [0usize; 0], "a register survived the recovery");
        // and a reset that forgets registers is noticed here
        it.set_faults(Faults { forget_registers: true, ..Faults::default() }).unwrap();
        assert_eq!(call(&mut it, POISON, 7, 0), Status::Done);
        assert_eq!(it.reset(), Status::Done);
        assert!(differing(&first, &registers(&mut it)).len() > 80);
    }
}

#[test]
fn selectors_that_a_guest_loads_stay_out_of_the_host_and_of_other_sandboxes() {
    let own = || {
        let (es, gs): (u16, u16);
        // SAFETY: reads two registers.
        unsafe { std::arch::asm!("mov {0:x}, es", "mov {1:x}, gs", out(reg) es, out(reg) gs) };
        (es, gs)
    };
    let template = template(Tracking::Auto);
    let (mut it, mut other) =
        (open(&template, Transport::Exit, Level::Strict), open(&template, Transport::Exit, Level::Strict));
    let (before, first) = (own(), registers(&mut other));
    assert_eq!(other.reset(), Status::Done);
    assert_eq!(call(&mut it, POISON, 9, 0), Status::Done);
    assert_eq!(own(), before, "the host's own thread");
    assert_eq!(differing(&first, &registers(&mut other)), [0usize; 0], "another sandbox of the thread");
}

#[test]
fn what_the_hosts_kernel_turned_on_for_ring_3_is_reset_too() {
    // With KVM-PVM the CPU's own settings hold in the guest: bases of FS and GS, protection keys and AVX-512 are there
    // although the guest's registers say that they are not. Where one is missing, the instruction is an exception.
    const VALUE: u64 = 0x1234_5678;
    let template = template(Tracking::Auto);
    for transport in [Transport::Exit, Transport::Spin] {
        let mut it = open(&template, transport, Level::Strict);
        let mut other = open(&template, Transport::Exit, Level::Strict);
        for read in [0, 2, 4, 6, 8] {
            if call(&mut it, HOST_STATE, read, 0) != Status::Done {
                still_clean(&mut it);
                continue;
            }
            let first = it.results()[0][0];
            let set = |it: &mut Sandbox| {
                assert_eq!(call(it, HOST_STATE, read + 1, VALUE), Status::Done, "{:?}", it.trap());
            };
            let now = |it: &mut Sandbox| {
                assert_eq!(call(it, HOST_STATE, read, 0), Status::Done, "{:?}", it.trap());
                it.results()[0][0]
            };
            set(&mut it);
            assert_eq!(now(&mut it), VALUE, "{read}: without a reset it lasts");
            assert_eq!(now(&mut other), first, "{read}: another sandbox");
            assert_eq!(other.reset(), Status::Done);
            assert_eq!(it.reset(), Status::Done);
            assert_eq!(now(&mut it), first, "{read}: after a reset");
            set(&mut it);
            assert_eq!(call(&mut it, EXECUTE, 0, 0), Status::Trap);
            assert_eq!(now(&mut it), first, "{read}: after a recovery");
            assert_eq!(it.reset(), Status::Done);
        }
    }
}

#[test]
fn an_answer_that_rings_in_an_odd_way_leaves_no_register_either() {
    let template = template(Tracking::Auto);
    let mut it = open(&template, Transport::Exit, Level::Strict);
    let first = registers(&mut it);
    assert_eq!(it.reset(), Status::Done);
    for which in 0..ODD_ANSWERS {
        let status = call(&mut it, ODD_ANSWER, which, 0);
        assert!(matches!(status, Status::Done | Status::Trap), "{which}: {status:?}");
        assert_eq!(it.reset(), Status::Done, "{which}: {}", it.message());
        assert_eq!(differing(&first, &registers(&mut it)), [0usize; 0], "answer {which}");
        still_clean(&mut it);
    }
}

#[test]
fn an_instruction_that_is_cut_short_does_not_go_on_in_the_next_call() {
    let template = template(Tracking::Auto);
    for transport in [Transport::Exit, Transport::Spin] {
        let mut it = open(&template, transport, Level::Strict);
        let first = registers(&mut it);
        assert_eq!(it.reset(), Status::Done);
        for which in 0..ODD_BELLS {
            let status = call(&mut it, ODD_BELL, which, 0);
            assert!(matches!(status, Status::Trap | Status::Timeout), "{which}: {status:?}");
            assert_eq!(differing(&first, &registers(&mut it)), [0usize; 0], "{transport:?} {which}");
            assert_eq!(it.reset(), Status::Done, "{which}: {}", it.message());
        }
    }
}

fn left_in_the_mailbox(it: &mut Sandbox) -> u64 {
    assert_eq!(call(it, SCAN, 0, 0), Status::Done, "{:?} {}", it.trap(), it.message());
    it.results()[0][0]
}

#[test]
fn a_strict_reset_leaves_no_byte_in_the_mailbox() {
    for tracking in [Tracking::Ring, Tracking::Log] {
        let template = template(tracking);
        for transport in [Transport::Exit, Transport::Spin] {
            let mut it = open(&template, transport, Level::Strict);
            let secret = vec![0x5a; 50_000];
            let args = [[0, 0]; 2];
            let bytes =
                BytesCall { export: COUNT, args: &args, at: 0, room: Room::Scratch(0), form: Form::None };
            let fill = |it: &mut Sandbox| {
                assert_eq!(call(it, FILL, 0x5a5a_5a5a_5a5a_5a5a, 0), Status::Done, "{:?}", it.trap());
                assert_eq!(it.call_bytes(&bytes, &secret), Status::Done, "{:?}", it.trap());
            };
            for _ in 0..3 {
                fill(&mut it);
                assert_eq!(it.reset(), Status::Done);
                assert_eq!(left_in_the_mailbox(&mut it), 0, "{tracking:?} {transport:?}");
            }
            // as after an exception
            fill(&mut it);
            assert_eq!(call(&mut it, EXECUTE, 0, 0), Status::Trap);
            assert_eq!(left_in_the_mailbox(&mut it), 0, "{tracking:?} {transport:?}");
            // what is there without a reset, and with one that forgets it
            fill(&mut it);
            let all = left_in_the_mailbox(&mut it);
            assert!(all > 2 * 8192, "the bytes of both sides: {all}");
            it.set_faults(Faults { forget_mailbox: true, ..Faults::default() }).unwrap();
            assert_eq!(it.reset(), Status::Done);
            assert!(left_in_the_mailbox(&mut it) + 8 > all);
        }
    }
}

#[test]
fn two_sandboxes_of_one_template_share_no_byte() {
    let template = template(Tracking::Auto);
    let mut one = open(&template, Transport::Exit, Level::Strict);
    let mut other = open(&template, Transport::Exit, Level::Strict);
    let arena = other.layout().arena.start;
    assert_eq!(call(&mut one, FILL, u64::MAX, 0), Status::Done);
    assert_eq!(call(&mut one, DIRTY, arena, 100), Status::Done);
    assert_eq!(call(&mut one, POISON, u64::MAX, 0), Status::Done);
    assert_eq!(left_in_the_mailbox(&mut other), 0);
    assert_eq!(other.reset(), Status::Done);
    assert_eq!(call(&mut other, DIRTY, arena, 1), Status::Done);
    assert_eq!(other.results()[0][0], 1, "the page was as in the snapshot");
}
