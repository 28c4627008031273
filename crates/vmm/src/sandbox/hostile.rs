//! Fuzzes the host's decoder: a guest that lies in every field of the mailbox at any time, played by a function, so that
//! a case costs microseconds and no VM. `make fuzz-self` runs ten million cases, the tests a hundred thousand.
//!
//! HLFUZZ_FUZZ_CASES and HLFUZZ_FUZZ_SEED choose how many cases run and from which seed on; a failure names its seed.

mod guest;
mod judge;
mod random;

use super::{Interface, Level, Options, Sandbox, Transport};
use crate::deadline::Deadline;
use crate::host::{Host, Tracking};
use crate::image::{Image, Spec};
use crate::machine::Machine;
use crate::mapping::{Mapping, memory_file};
use crate::sandbox::new_mailbox;
use crate::snapshot::Snapshot;
use guest::Played;
use hlfuzz_abi::{Mailbox, map};
use judge::Judge;
use random::Random;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Parameter and result counts of what the played guest exports, by position.
const EXPORTS: [Option<(u32, u32)>; 7] =
    [Some((2, 1)), Some((0, 0)), Some((3, 2)), Some((1, 1)), Some((16, 1)), Some((1000, 1000)), None];
const IMPORTS: [Option<(u32, u32)>; 6] =
    [Some((1, 1)), Some((0, 0)), Some((3, 0)), None, Some((1000, 1000)), Some((2, 0))];

/// An ELF file with one page of `ret`.
fn elf() -> Vec<u8> {
    let mut elf = vec![0u8; 8192];
    elf[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
    let mut put = |at: usize, bytes: &[u8]| elf[at..at + bytes.len()].copy_from_slice(bytes);
    put(18, &[62]);
    put(24, &map::RUNTIME.to_le_bytes());
    put(32, &[64]); // program headers
    put(40, &128u64.to_le_bytes()); // section headers
    put(54, &[56, 0, 1]);
    put(58, &[64, 0, 1]);
    put(64, &[1, 0, 0, 0, 5]); // PT_LOAD, R-X
    put(72, &4096u64.to_le_bytes());
    put(80, &map::RUNTIME.to_le_bytes());
    put(96, &4096u64.to_le_bytes());
    put(104, &4096u64.to_le_bytes());
    put(132, &[1]); // a section with text
    put(136, &[6]);
    put(152, &4096u64.to_le_bytes());
    put(160, &4096u64.to_le_bytes());
    elf[4096..].fill(0xc3);
    elf
}

fn snapshot() -> Arc<Snapshot> {
    let elf = elf();
    let spec = Spec {
        runtime: &elf,
        artifact: &elf,
        heap: 64 << 10,
        arena: 1 << 20,
        memory_limit: 1 << 20,
        table_limit: 0,
        wasm_stack: 64 << 10,
        grow_traps: false,
    };
    let size = spec.ram_size().unwrap();
    let file = memory_file(size).unwrap();
    let ram = Mapping::shared(&file, size as usize, "guest RAM").unwrap();
    // SAFETY: a fresh mapping of this size that nobody else knows of.
    let layout = spec.build(unsafe { std::slice::from_raw_parts_mut(ram.as_ptr(), ram.len()) }).unwrap();
    let host = Arc::new(Host::open().expect("these tests need /dev/kvm"));
    let machine = Machine::new(&host, &ram, &new_mailbox().unwrap(), None).unwrap();
    machine.start_at(&layout).unwrap();
    let registers = machine.registers().unwrap();
    drop((machine, ram));
    Arc::new(Snapshot::new(host, file, registers, Arc::new(layout), Arc::default()).unwrap())
}

/// A sandbox whose guest is played.
fn sandbox(snapshot: &Arc<Snapshot>, level: Level, seed: u64) -> (Sandbox, Arc<Played>) {
    let interface = Arc::new(Interface { exports: EXPORTS.to_vec(), imports: IMPORTS.to_vec() });
    let options = Options {
        transport: Transport::Exit,
        level,
        deadline: Deadline { cpu: Duration::from_secs(1), wall: Duration::from_secs(5) },
        ..Options::default()
    };
    let memory = (snapshot.layout().arena.start, 64 << 10);
    let it = Sandbox::new(snapshot.clone(), interface, Tracking::Auto, memory, options).unwrap();
    let played = Arc::new(Played::new(&it, seed));
    let turns = played.clone();
    it.machine.play(Box::new(move |written| turns.turn(written)));
    (it, played)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Runs cases from `first` on in one sandbox, so that what one leaves behind meets the next.
fn run(cases: u64) {
    let first = setting("HLFUZZ_FUZZ_SEED", 1);
    let snapshot = snapshot();
    for (level, cases) in [(Level::Strict, cases - cases / 4), (Level::Memory, cases / 4)] {
        let (it, played) = sandbox(&snapshot, level, first);
        let mut judge = Judge::new(it, played);
        for seed in first..first + cases {
            judge.case(seed);
        }
        judge.enough_was_seen(cases);
    }
}

#[test]
fn whatever_a_guest_answers_the_host_keeps_its_promises() {
    run(setting("HLFUZZ_FUZZ_CASES", 100_000));
}

#[test]
fn a_guest_that_changes_what_the_host_reads_changes_nothing() {
    let (it, played) = sandbox(&snapshot(), Level::Strict, 7);
    let mailbox = it.mailbox.clone();
    let stop = Arc::new(AtomicBool::new(false));
    let until = stop.clone();
    let flips = std::thread::spawn(move || {
        let mut random = Random::new(11);
        let words = size_of::<Mailbox>() / 4;
        let mut count = 0u64;
        while !until.load(Relaxed) {
            let at = if random.one_in(2) { 0x1000 + random.below(16) } else { random.below(words as u64) };
            let value = random.hostile() as u32;
            // SAFETY: inside the mailbox, which this thread keeps alive.
            unsafe { AtomicU32::from_ptr(mailbox.as_ptr().cast::<u32>().add(at as usize)) }
                .store(value, Relaxed);
            count += 1;
        }
        count
    });
    let mut judge = Judge::new(it, played);
    judge.words_change = true;
    let cases = setting("HLFUZZ_FUZZ_CASES", 100_000) / 5;
    for seed in 0..cases {
        judge.case(seed);
    }
    stop.store(true, Relaxed);
    assert!(flips.join().unwrap() > cases, "the other thread has written");
}
