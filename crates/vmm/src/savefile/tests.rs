//! Files as they are, cut, flipped, and made by somebody who knows the checksums.
//!
//! HLFUZZ_FUZZ_CASES and HLFUZZ_FUZZ_SEED choose how many hostile files are tried and from which seed on.

use super::header::{self, Header};
use super::identity::Claim;
use super::index::{self, Run};
use super::load::overlay;
use super::{Fact, FactValue, Identity, Reason, pages, save, state};
use crate::error::{Error, Kind};
use crate::layout::{Guest, Layout};
use crate::snapshot::PAGE;
use std::io::Read;

const PAGES: u64 = 40;
/// What is in memory that no file may touch.
const OURS: u8 = 0x5a;

fn layout() -> Layout {
    let pages = |first: u64, end: u64| first * PAGE as u64..end * PAGE as u64;
    Layout {
        guest: Guest::Wasm,
        entry: 0,
        stack_top: 0,
        text: Vec::new(),
        artifact: 0..0,
        stack: pages(10, 14),
        stack_guard: 0..0,
        heap: pages(20, 32),
        arena: pages(34, 38),
        writable: vec![pages(10, 14), pages(20, 32), pages(34, 38)],
        readable: Vec::new(),
        whole: pages(0, PAGES),
    }
}

fn identity() -> Identity {
    let fact = |name, value, reason| Fact { name, value, reason };
    Identity {
        facts: vec![
            fact("hlfuzz", FactValue::Text("1.2.3".into()), Reason::Version),
            fact("memory limit in bytes", FactValue::Number(7), Reason::OtherGuest),
        ],
        cpu: vec!["sse3".into(), "avx".into()],
        globals: vec![[1, 2]],
        from_file: false,
    }
}

/// Memory of a guest with data on some pages, and those of the host's.
fn ram() -> Vec<u8> {
    let mut ram = empty();
    for page in [10, 11, 13, 25, 34, 35, 36, 37] {
        let bytes = &mut ram[page * PAGE..][..PAGE];
        bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = (at * page / 7) as u8);
    }
    ram
}

/// The host's memory, and zeros where a guest may write.
fn empty() -> Vec<u8> {
    let mut ram = vec![OURS; PAGES as usize * PAGE];
    for range in layout().writable {
        ram[range.start as usize..range.end as usize].fill(0);
    }
    ram
}

fn file(compressed: bool) -> Vec<u8> {
    let ram = ram();
    let holds = |page| ram[page as usize * PAGE..][..PAGE].iter().any(|byte| *byte != 0);
    let mut header = Header {
        compressed,
        header_len: 0,
        file_len: 0,
        body_hash: [0; 32],
        image_hash: save::image_hash(&ram, &layout(), |_| true).into(),
        memory: (0x1000, 0x2000),
        ram: ram.len() as u64,
        registers: [3; state::BYTES],
        claim: identity().claim(),
        runs: index::runs(index::writable_pages(&layout()), holds),
    };
    let mut body = Vec::new();
    let (hash, len) = pages::write(&mut body, &header.runs, &ram, compressed).unwrap();
    assert_eq!(len, body.len() as u64);
    header.body_hash = hash.into();
    let mut file = header.encode(len);
    file.extend(body);
    file
}

/// What a load does with `file`, except for the VM.
fn load(file: &[u8], ram: &mut [u8]) -> Result<Header, Error> {
    let mut source = file;
    let header = Header::read(&mut source, file.len() as u64, PAGES)?;
    identity().check(&header.claim, false)?;
    overlay(&mut source, &header, &layout(), ram)?;
    Ok(header)
}

fn reason(file: &[u8]) -> Reason {
    match load(file, &mut empty()).expect_err("a refusal").kind {
        Kind::Snapshot(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// Makes both checksums right.
fn reseal(file: &mut [u8]) {
    let len = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    if len < 96 || len > file.len() {
        return;
    }
    let body = blake3::hash(&file[len..]);
    file[64..96].copy_from_slice(body.as_bytes());
    header::seal(&mut file[..len]);
}

#[test]
fn what_was_saved_is_loaded() {
    for compressed in [false, true] {
        let file = file(compressed);
        let mut back = empty();
        let header = load(&file, &mut back).unwrap();
        assert!(back == ram(), "compressed: {compressed}");
        assert_eq!((header.memory, header.registers), ((0x1000, 0x2000), [3; state::BYTES]));
        assert_eq!(header.runs.len(), 4);
        assert_eq!(header.claim, identity().claim());
    }
    assert!(file(true).len() < file(false).len());
}

#[test]
fn a_file_that_ends_early_is_called_truncated_wherever_it_ends() {
    for compressed in [false, true] {
        let file = file(compressed);
        for len in (0..file.len()).filter(|len| *len < 1200 || len % 97 == 0) {
            assert_eq!(reason(&file[..len]), Reason::Truncated, "{len}");
        }
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_truncated() {
    let file = file(false);
    let mut source = (&file[..]).take(file.len() as u64 - 5000);
    let header = Header::read(&mut source, file.len() as u64, PAGES).unwrap();
    let error = overlay(&mut source, &header, &layout(), &mut empty()).unwrap_err();
    assert_eq!(error.kind, Kind::Snapshot(Reason::Truncated));
}

#[test]
fn every_flipped_bit_is_noticed() {
    for compressed in [false, true] {
        let mut file = file(compressed);
        for at in (0..file.len()).filter(|at| *at < 1200 || at % 131 == 0) {
            let bit = 1 << (at % 8);
            file[at] ^= bit;
            let found = reason(&file);
            let fine = match at {
                0..8 => found == Reason::NotASnapshot,
                8..12 => found == Reason::Version,
                12..24 => matches!(found, Reason::Damaged | Reason::Truncated | Reason::TooLarge),
                _ => found == Reason::Damaged,
            };
            assert!(fine, "byte {at}: {found:?}");
            file[at] ^= bit;
        }
        assert!(load(&file, &mut empty()).is_ok());
    }
}

#[test]
fn bytes_after_the_end_are_noticed() {
    let mut file = file(false);
    file.push(0);
    assert_eq!(reason(&file), Reason::Damaged);
}

/// A file of somebody who knows how they are made.
fn made_up(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let whole = file(false);
    let mut header = Header::read(&mut &whole[..], whole.len() as u64, PAGES).unwrap();
    let body = whole[header.header_len as usize..].to_vec();
    change(&mut header);
    let mut made = header.encode(body.len() as u64);
    made.extend(body);
    made
}

#[test]
fn another_guest_is_recognised_by_its_first_difference() {
    let change = |change: fn(&mut Claim)| made_up(|header| change(&mut header.claim));
    for (file, reason, text) in [
        (change(|c| c.facts[0].1 = FactValue::Text("1.2.4".into())), Reason::Version, "1.2.4"),
        (change(|c| c.facts[1].1 = FactValue::Number(9)), Reason::OtherGuest, "9 in the file and 7 here"),
        (change(|c| drop(c.facts.pop())), Reason::OtherGuest, "not given"),
        (change(|c| c.facts[1].1 = FactValue::Text("\u{1b}[31m".into())), Reason::OtherGuest, "\\u{1b}"),
        (change(|c| c.globals[0][0] = 9), Reason::OtherGuest, "imported globals"),
        (change(|c| c.globals.clear()), Reason::OtherGuest, "imported globals"),
        (change(|c| c.cpu.push("amx".into())), Reason::Cpu, "amx"),
    ] {
        let error = load(&file, &mut empty()).unwrap_err();
        assert_eq!(error.kind, Kind::Snapshot(reason));
        assert!(error.message.contains(text), "{}", error.message);
    }
    let any = made_up(|header| header.claim.globals[0][0] = 9);
    let header = Header::read(&mut &any[..], any.len() as u64, PAGES).unwrap();
    identity().check(&header.claim, true).unwrap();
}

#[test]
fn pages_that_are_not_the_guests_to_write_are_refused() {
    for (runs, reason) in [
        (vec![(9, 8)], Reason::Damaged),
        (vec![(12, 4), (20, 4)], Reason::Damaged),
        (vec![(0, 8)], Reason::Damaged),
        (vec![(20, 4), (10, 4)], Reason::Damaged),
        (vec![(20, 4), (22, 4)], Reason::Damaged),
        (vec![(20, 4), (20, 4)], Reason::Damaged),
        (vec![(20, 8), (30, 0)], Reason::Damaged),
        (vec![(20, 9)], Reason::Damaged),
        (vec![(34, 8)], Reason::TooLarge),
        (vec![(u32::MAX, u32::MAX)], Reason::TooLarge),
    ] {
        let made = made_up(|header| {
            header.runs = runs.iter().map(|(first, pages)| Run { first: *first, pages: *pages }).collect();
        });
        let mut ram = empty();
        assert_eq!(load(&made, &mut ram).unwrap_err().kind, Kind::Snapshot(reason), "{runs:?}");
        assert!(ram == empty(), "nothing was written: {runs:?}");
    }
}

#[test]
fn a_header_that_could_be_no_guests_is_not_read_into_memory() {
    let mut file = file(false);
    file[12..16].copy_from_slice(&(1u32 << 30).to_le_bytes());
    let mut none = std::io::empty();
    let mut source = (&file[..64]).chain(&mut none);
    let error = Header::read(&mut source, 1 << 40, PAGES).unwrap_err();
    assert_eq!(error.kind, Kind::Snapshot(Reason::TooLarge));
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 29
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}")))
}

/// Changes a few bytes or integers, mostly of the header, cuts, or repeats.
fn mutate(file: &mut Vec<u8>, random: &mut Random) {
    const VALUES: [u32; 8] = [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 40, 4096, 1 << 20];
    let header = u32::from_le_bytes(file[12..16].try_into().unwrap()) as usize;
    for _ in 0..1 + random.below(4) {
        let end = if random.below(4) == 0 { file.len() } else { header.max(100).min(file.len()) };
        let at = 8 + random.below(end.saturating_sub(12).max(1));
        match random.below(8) {
            0..3 => file[at] ^= 1 << random.below(8),
            3 => file[at] = random.next() as u8,
            4..6 => {
                let value = VALUES[random.below(VALUES.len())];
                file[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            6 => {
                let shifted = u32::from_le_bytes(file[at..at + 4].try_into().unwrap())
                    .wrapping_add(random.below(5) as u32)
                    .wrapping_sub(2);
                file[at..at + 4].copy_from_slice(&shifted.to_le_bytes());
            }
            _ => {
                let len = (96 + random.below(file.len())).min(file.len());
                file.truncate(len);
                let whole = (file.len() as u64).to_le_bytes();
                file[16..24].copy_from_slice(&whole);
            }
        }
    }
}

#[test]
fn a_hostile_file_with_right_checksums_reaches_nothing_but_the_guests_memory() {
    let (seed, cases) = (setting("HLFUZZ_FUZZ_SEED", 1), setting("HLFUZZ_FUZZ_CASES", 100_000));
    let files = [file(false), file(true)];
    let (clean, layout) = (empty(), layout());
    let mut seen = std::collections::HashMap::<Option<Reason>, u64>::new();
    let mut ram = clean.clone();
    for case in seed..seed + cases {
        let mut random = Random(case);
        let mut mutant = files[random.below(2)].clone();
        mutate(&mut mutant, &mut random);
        if random.below(16) != 0 {
            reseal(&mut mutant);
        }
        let found = match load(&mutant, &mut ram) {
            Ok(header) => {
                let mut registers = crate::machine::Registers::default();
                let _ = state::apply(&header.registers, &mut registers);
                None
            }
            Err(Error { kind: Kind::Snapshot(reason), .. }) => Some(reason),
            Err(other) => panic!("HLFUZZ_FUZZ_SEED={case}: {other}"),
        };
        *seen.entry(found).or_default() += 1;
        let mut before = 0;
        for range in &layout.writable {
            let (start, end) = (range.start as usize, range.end as usize);
            assert!(ram[before..start] == clean[before..start], "HLFUZZ_FUZZ_SEED={case}");
            ram[start..end].fill(0);
            before = end;
        }
        assert!(ram[before..] == clean[before..], "HLFUZZ_FUZZ_SEED={case}");
    }
    for expected in [
        None,
        Some(Reason::Version),
        Some(Reason::Truncated),
        Some(Reason::Damaged),
        Some(Reason::OtherGuest),
        Some(Reason::Cpu),
        Some(Reason::TooLarge),
    ] {
        let often = seen.get(&expected).is_some_and(|count| *count > cases / 2000);
        assert!(often || cases < 10_000, "{expected:?}: {seen:?}");
    }
}
