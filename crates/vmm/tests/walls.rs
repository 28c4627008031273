//! The page tables as they are in guest RAM: what the guest may touch, page by page, and that nothing else is mapped.

#![cfg(not(loom))]

mod attack;

use attack::*;
use hlfuzz_abi::{Mailbox, map};
use hlfuzz_vmm::*;
use std::mem::offset_of;
use std::ops::Range;

const PRESENT: u64 = 1;
const WRITE_BIT: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED_DIRTY: u64 = 3 << 5;
const LARGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// One mapped page: its address and the bits that count, as the CPU combines them.
struct Page {
    address: u64,
    bits: u64,
}

impl Page {
    fn user(&self) -> bool {
        self.bits & USER != 0
    }

    fn writable(&self) -> bool {
        self.user() && self.bits & WRITE_BIT != 0
    }

    fn executable(&self) -> bool {
        self.user() && self.bits & NO_EXECUTE == 0
    }
}

/// Every page that the tables map.
fn pages(it: &Sandbox) -> Vec<Page> {
    let ram = it.ram_slice(0, it.layout().whole.end).unwrap();
    let entry = |at: u64| u64::from_le_bytes(ram[at as usize..at as usize + 8].try_into().unwrap());
    let mut found = Vec::new();
    let mut open = vec![(map::PML4, 0u64, 39u32, USER | WRITE_BIT)];
    while let Some((table, base, shift, bits)) = open.pop() {
        assert!(
            table == map::PML4 || (map::TABLE_POOL..map::TABLE_POOL_END).contains(&table),
            "a table at {table:#x}"
        );
        for slot in 0..512 {
            let value = entry(table + 8 * slot);
            if value & PRESENT == 0 {
                assert_eq!(value, 0, "an entry that is not present says nothing");
                continue;
            }
            let address = base + (slot << shift);
            assert_eq!(value & ACCESSED_DIRTY, ACCESSED_DIRTY, "the walker must not write at {address:#x}");
            let both = bits & value & (USER | WRITE_BIT) | value & NO_EXECUTE;
            if shift == 12 {
                assert_eq!(value & ADDRESS, address, "a page lies at its own address");
                found.push(Page { address, bits: both });
            } else {
                assert_eq!(value & (LARGE | NO_EXECUTE), 0, "no large page at {address:#x}");
                open.push((value & ADDRESS, address, shift - 9, both));
            }
        }
    }
    found
}

fn inside(ranges: &[Range<u64>], address: u64) -> bool {
    ranges.iter().any(|range| range.contains(&address))
}

/// Guest-physical memory exists for guest RAM and the mailbox only; the doorbell has none.
fn exists(it: &Sandbox, address: u64) -> bool {
    address < it.layout().whole.end
        || (map::MAILBOX..map::MAILBOX + size_of::<Mailbox>() as u64).contains(&address)
        || address == map::DOORBELL
}

/// The mailbox pages that a Wasm runtime has to write.
#[allow(clippy::single_range_in_vec_init)]
fn shared() -> Vec<Range<u64>> {
    let at = |offset: usize, len: usize| {
        let start = map::MAILBOX + offset as u64;
        start..start + len as u64
    };
    vec![
        at(offset_of!(Mailbox, to_guest), 4096),
        at(offset_of!(Mailbox, from_guest), size_of::<hlfuzz_abi::FromGuest>()),
        at(offset_of!(Mailbox, text), 4096),
        at(offset_of!(Mailbox, posted), hlfuzz_abi::POSTED_BYTES),
        map::DOORBELL..map::DOORBELL + 4096,
    ]
}

#[test]
fn every_mapped_page_allows_what_it_is_for_and_nothing_more() {
    let template = template(Tracking::Auto);
    let it = open(&template, Transport::Exit, Level::Strict);
    let layout = it.layout().clone();
    let found = pages(&it);
    assert!(found.len() > 6000, "{} pages", found.len());
    for page in &found {
        let at = page.address;
        assert!(exists(&it, at), "{at:#x} is mapped and is nothing");
        assert!(!(page.writable() && page.executable()), "{at:#x} is writable and executable");
        assert_eq!(page.executable(), inside(&layout.text, at), "execute {at:#x}");
        assert_eq!(page.writable(), inside(&layout.writable, at) || inside(&shared(), at), "write {at:#x}");
        let system = (map::PML4..map::BOOT).contains(&at);
        assert_ne!(page.user(), system, "{at:#x} at ring 3");
        let boundary = at == map::BOOT || at >= map::MAILBOX;
        assert!(!page.user() || boundary || inside(&layout.readable, at), "read {at:#x}");
        // ring 0 has one page of code, which it cannot write
        if system && page.bits & NO_EXECUTE == 0 {
            assert_eq!((at, page.bits & WRITE_BIT), (map::STUBS, 0), "code of ring 0");
        }
    }
    let mapped = |at: u64| found.iter().any(|page| page.address == at);
    for guard in [
        0,
        layout.stack.start - 4096,
        layout.artifact.start - 4096,
        layout.artifact.end,
        layout.heap.start - 4096,
        layout.heap.end,
        layout.arena.start - 4096,
        layout.arena.end,
        map::DOORBELL + 4096,
        map::MAILBOX + size_of::<Mailbox>() as u64,
    ] {
        assert!(!mapped(guard), "the guard at {guard:#x}");
    }
}

#[test]
fn what_only_the_host_writes_in_the_mailbox_the_guest_cannot() {
    let template = template(Tracking::Auto);
    for (transport, level) in [(Transport::Exit, Level::Strict), (Transport::Spin, Level::Memory)] {
        let mut it = open(&template, transport, level);
        for offset in [
            offset_of!(Mailbox, to_guest) + 4096,
            offset_of!(Mailbox, control),
            offset_of!(Mailbox, posted_modes),
            offset_of!(Mailbox, posted_modes) + 4095,
            offset_of!(Mailbox, vector),
            size_of::<Mailbox>() - 1,
        ] {
            faults(&mut it, WRITE, map::MAILBOX + offset as u64, PAGE_FAULT);
        }
        for range in shared().into_iter().take(4) {
            // not the first bytes: they are the exchange's own words
            assert_eq!(call(&mut it, WRITE, range.start + 64, 0), Status::Done, "{range:x?}");
            still_clean(&mut it);
        }
    }
}

#[test]
fn the_dirty_ring_and_the_run_page_are_nowhere_in_the_guest() {
    // Both belong to the vCPU's file and lie in the host's memory. The guest reaches guest-physical addresses only, and
    // only those that the tables map; so everything else must fault, also what is next to what exists.
    let template = template(Tracking::Ring);
    let mut it = open(&template, Transport::Exit, Level::Strict);
    assert!(it.tracks_by_ring());
    let whole = it.layout().whole.end;
    let mut places = vec![whole, whole + 4096, map::MAILBOX - 4096, 0xfffb_d000, 0xfee0_0000, 0xfec0_0000];
    places.extend((20..47).map(|bit| 1u64 << bit).filter(|at| *at >= whole && !exists(&it, *at)));
    for at in places {
        faults(&mut it, READ, at, PAGE_FAULT);
        faults(&mut it, WRITE, at, PAGE_FAULT);
    }
}
