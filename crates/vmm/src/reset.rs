//! Bringing guest RAM back to its snapshot: the hot set, its decay, and the check that nothing was missed.
//!
//! A page that was written once is *hot*: it is copied on every reset and never write-protected again, so that in
//! the steady state neither guest nor host pays more than the copy. Pages that stay clean long enough are given back
//! (write-protected, forgotten), or one large call would make all later resets slow.

use crate::error::Result;
use crate::machine::Machine;
use crate::mapping::Mapping;
use crate::snapshot::{PAGE, Snapshot};

/// Up to this many hot pages a plain copy is cheaper than finding out what was written.
const SMALL: usize = 48;
/// While the hot set is small, only one reset in so many looks which pages were written.
const LOOK_EVERY: u64 = 16;
/// Looks without a write after which a page counts as idle.
const IDLE_LOOKS: u8 = 8;

/// Counters of this sandbox's resets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResetStats {
    pub resets: u64,
    pub pages_restored: u64,
    /// Pages copied by the last reset.
    pub last_pages: u64,
    pub evictions: u64,
}

/// Test-only damage to the reset, so that tests can show that they would notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The first page that a reset would copy is left alone.
    pub skip_one_page: bool,
    pub forget_registers: bool,
    /// Pages that the snapshot has no data for (grown memory) are left alone.
    pub forget_new_pages: bool,
    pub do_nothing: bool,
}

pub struct HotSet {
    pages: Vec<u32>,
    /// Looks since the page was last found written, by position in `pages`.
    idle: Vec<u8>,
    /// One bit a page of RAM: it is in `pages`.
    member: Vec<u64>,
    /// Scratch for the dirty log; empty with a ring.
    log: Vec<u64>,
    pub stats: ResetStats,
}

impl HotSet {
    pub fn new(ram_pages: usize, ring: bool) -> Self {
        let words = ram_pages.div_ceil(64);
        Self {
            pages: Vec::with_capacity(64),
            idle: Vec::with_capacity(64),
            member: vec![0; words],
            log: if ring { Vec::new() } else { vec![0; words] },
            stats: ResetStats::default(),
        }
    }

    /// Number of hot pages.
    pub fn count(&self) -> usize {
        self.pages.len()
    }

    /// The host has written `page` itself, which KVM does not report.
    #[inline]
    pub fn insert(&mut self, page: u32) {
        let (word, bit) = (page as usize / 64, 1 << (page % 64));
        if self.member[word] & bit == 0 {
            self.member[word] |= bit;
            self.pages.push(page);
            self.idle.push(0);
        }
    }

    /// Adds what the guest has written since the last look.
    pub fn harvest(&mut self, machine: &Machine) -> Result<()> {
        if machine.has_ring() {
            let pages = self.member.len() as u64 * 64;
            machine.harvest_ring(pages, |page| self.insert(page));
            return Ok(());
        }
        let mut log = std::mem::take(&mut self.log);
        let result = machine.read_log(&mut log);
        for (word, bits) in log.iter().enumerate() {
            let mut new = bits & !self.member[word];
            while new != 0 {
                self.insert(word as u32 * 64 + new.trailing_zeros());
                new &= new - 1;
            }
        }
        self.log = log;
        result
    }

    /// Restores `ram`. The vCPU is at rest, or spins in its exchange loop.
    pub fn restore(
        &mut self,
        machine: &Machine,
        snapshot: &Snapshot,
        ram: &Mapping,
        faults: Faults,
    ) -> Result<()> {
        self.harvest(machine)?;
        self.stats.resets += 1;
        self.stats.last_pages = self.pages.len() as u64;
        self.stats.pages_restored += self.pages.len() as u64;
        if faults != Faults::default() {
            self.restore_badly(snapshot, ram, faults);
            return Ok(());
        }
        let small = self.pages.len() <= SMALL;
        if small && !self.stats.resets.is_multiple_of(LOOK_EVERY) {
            for &page in &self.pages {
                // SAFETY: only pages of guest RAM get into the set.
                unsafe { snapshot.copy_page(page, ram.as_ptr().add(page as usize * PAGE)) };
            }
            return Ok(());
        }
        let mut idle_pages = 0;
        for (&page, idle) in self.pages.iter().zip(&mut self.idle) {
            // SAFETY: as above.
            let written = unsafe { snapshot.copy_differences(page, ram.as_ptr().add(page as usize * PAGE)) };
            *idle = if written { 0 } else { idle.saturating_add(1) };
            idle_pages += usize::from(*idle >= IDLE_LOOKS);
        }
        // giving back costs a system call and a fault for each page that is still in use: worth it for a quarter
        if idle_pages > 0 && idle_pages * 4 >= self.pages.len() {
            self.evict(machine, snapshot, ram)?;
        }
        Ok(())
    }

    /// Write-protects again and forgets. All content equals the snapshot at this point.
    fn evict(&mut self, machine: &Machine, snapshot: &Snapshot, ram: &Mapping) -> Result<()> {
        self.stats.evictions += 1;
        let ring = machine.has_ring();
        if ring {
            // the ring gives back in order only: every page, and those still in use come back with their next write
            machine.reprotect_ring()?;
        } else {
            self.log.fill(0);
            for (&page, &idle) in self.pages.iter().zip(&self.idle) {
                if idle >= IDLE_LOOKS {
                    self.log[page as usize / 64] |= 1 << (page % 64);
                }
            }
            let ram_pages = (ram.len() / PAGE) as u32;
            machine.reprotect_log(&mut self.log, ram_pages)?;
        }
        let mut kept = 0;
        for at in 0..self.pages.len() {
            let page = self.pages[at];
            let evict = ring || self.idle[at] >= IDLE_LOOKS;
            // a write between the last copy and the protection would go unseen: whatever differs stays hot
            // SAFETY: only pages of guest RAM get into the set.
            let late =
                evict && unsafe { snapshot.copy_differences(page, ram.as_ptr().add(page as usize * PAGE)) };
            if evict && !late {
                self.member[page as usize / 64] &= !(1 << (page % 64));
            } else {
                (self.pages[kept], self.idle[kept]) = (page, 0);
                kept += 1;
            }
        }
        self.pages.truncate(kept);
        self.idle.truncate(kept);
        Ok(())
    }

    /// The ring is full: everything known is hot already, so its entries can be given back.
    pub fn make_room(&mut self, machine: &Machine) -> Result<()> {
        self.harvest(machine)?;
        machine.reprotect_ring()
    }

    #[cold]
    fn restore_badly(&self, snapshot: &Snapshot, ram: &Mapping, faults: Faults) {
        for (at, &page) in self.pages.iter().enumerate() {
            // SAFETY: as in `restore`.
            unsafe {
                let to = ram.as_ptr().add(page as usize * PAGE);
                let new_page = !snapshot.has_data(page);
                if faults.do_nothing || faults.skip_one_page && at == 0 || faults.forget_new_pages && new_page
                {
                    continue;
                }
                snapshot.copy_page(page, to);
            }
        }
    }
}

/// Pages of `ram` that differ from the snapshot: their number and the first of them. Looks at every page that this
/// mapping can have of its own, hot or not.
pub fn differences(snapshot: &Snapshot, ram: &Mapping, hot: &HotSet) -> Result<(u64, Option<u32>)> {
    let (mut count, mut first) = (0, None);
    for (page, resident) in ram.resident()?.iter().enumerate() {
        let page = page as u32;
        let is_hot = hot.member[page as usize / 64] >> (page % 64) & 1 != 0;
        if resident & 1 == 0 && !is_hot {
            continue;
        }
        // SAFETY: `resident` has one entry a page of RAM.
        if !unsafe { snapshot.same(page, ram.as_ptr().add(page as usize * PAGE)) } {
            count += 1;
            first = first.or(Some(page));
        }
    }
    Ok((count, first))
}
