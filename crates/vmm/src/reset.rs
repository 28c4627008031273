//! Bringing guest RAM back to its snapshot: the hot set, its decay, and the check that nothing was missed.
//!
//! A page that was written once is *hot*: every reset looks at it, and it is never write-protected again, so that in the
//! steady state neither guest nor host makes a system call or takes a fault. Of a page with few written lines only
//! those are copied: the other lines stay in the guest CPU's cache. Pages that stay clean long enough are given back
//! (write-protected, forgotten), or one large call would make all later resets slow.

use crate::error::Result;
use crate::faults::{Faults, change};
use crate::machine::Machine;
use crate::mapping::Mapping;
use crate::snapshot::{PAGE, Snapshot};
use crate::wipe::MailboxPages;
use hlfuzz_abi::map;

/// From so many written lines on a page is copied whole, which is cheaper than comparing it.
const HEAVY_LINES: u32 = 17;
/// Hot pages whose lines are asked for ahead; of many more, the caches would not hold what was fetched.
const FETCHED: usize = 32;
/// One reset in so many compares a page that is copied whole otherwise.
const LOOK_EVERY: u64 = 16;
/// Looks without a difference after which a page is idle, for a small and for a large hot set. A large one costs much
/// at every reset, so it is thinned out sooner.
const IDLE_LOOKS: u32 = 64;
const IDLE_LOOKS_LARGE: u32 = 8;
const LARGE: usize = 64;
/// A page that came back after it was given back must be idle twice as long the next time, up to this many doublings:
/// some pages are written by every call with what they held already.
const MAX_DOUBLINGS: u8 = 20;

/// Counters of this sandbox's resets.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResetStats {
    pub resets: u64,
    pub pages_restored: u64,
    /// Pages copied by the last reset.
    pub last_pages: u64,
    pub evictions: u64,
}

#[derive(Clone, Copy)]
struct Hot {
    page: u32,
    /// Looks in a row that found no difference.
    idle: u32,
    /// One bit a line that differed at the last look.
    lines: u64,
}

impl Hot {
    /// Worth giving back? `returned`: how often each page was, which only a small set goes by.
    #[inline]
    fn is_idle(&self, large: bool, returned: &[u8]) -> bool {
        if large {
            return self.idle >= IDLE_LOOKS_LARGE;
        }
        self.idle >= IDLE_LOOKS && self.idle >= IDLE_LOOKS << returned[self.page as usize]
    }
}

pub struct HotSet {
    pages: Vec<Hot>,
    /// One bit a page of RAM: it is in `pages`.
    member: Vec<u64>,
    /// How often each page of RAM was given back as idle.
    returned: Vec<u8>,
    /// Scratch for the dirty log; empty with a ring.
    log: Vec<u64>,
    /// Written pages of the mailbox; only complete where the mailbox is tracked.
    pub(crate) mailbox: MailboxPages,
    mailbox_tracked: bool,
    pub stats: ResetStats,
}

impl HotSet {
    /// `mailbox`: its pages are tracked too.
    pub fn new(ram_pages: usize, ring: bool, mailbox: bool) -> Self {
        let words = ram_pages.div_ceil(64);
        Self {
            pages: Vec::with_capacity(64),
            member: vec![0; words],
            returned: vec![0; words * 64],
            log: if ring { Vec::new() } else { vec![0; words] },
            mailbox: MailboxPages::default(),
            mailbox_tracked: mailbox,
            stats: ResetStats::default(),
        }
    }

    /// Number of hot pages.
    pub fn count(&self) -> usize {
        self.pages.len()
    }

    pub fn contains(&self, page: u32) -> bool {
        self.member[page as usize / 64] >> (page % 64) & 1 != 0
    }

    /// The hot pages.
    pub fn pages(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().map(|hot| hot.page)
    }

    /// The host has written `page` itself, which KVM does not report.
    #[inline]
    pub fn insert(&mut self, page: u32) {
        if !self.contains(page) {
            self.member[page as usize / 64] |= 1 << (page % 64);
            self.pages.push(Hot { page, idle: 0, lines: 0 });
        }
    }

    /// Adds what the guest has written since the last look.
    pub fn harvest(&mut self, machine: &Machine) -> Result<()> {
        if machine.has_ring() {
            let pages = self.member.len() as u64 * 64;
            let mut mailbox = self.mailbox;
            machine.harvest_ring(pages, |page| self.insert(page), |page| mailbox.by_guest(page));
            self.mailbox = mailbox;
            return Ok(());
        }
        if self.mailbox_tracked {
            self.mailbox.by_guest_bits(machine.read_mailbox_log()?);
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
        let at = |page: u32| ram.as_ptr().wrapping_add(page as usize * PAGE);
        for hot in self.pages.iter().take(FETCHED) {
            fetch_lines(at(hot.page), hot.lines);
        }
        let look = self.stats.resets.is_multiple_of(LOOK_EVERY);
        let large = self.pages.len() > LARGE;
        let mut idle_pages = 0;
        for hot in &mut self.pages {
            // SAFETY: only pages of guest RAM get into the set.
            unsafe {
                if hot.lines.count_ones() >= HEAVY_LINES && !look {
                    snapshot.copy_page(hot.page, at(hot.page));
                    continue;
                }
                hot.lines = snapshot.copy_differences(hot.page, at(hot.page));
            }
            hot.idle = if hot.lines == 0 { hot.idle.saturating_add(1) } else { 0 };
            idle_pages += usize::from(hot.is_idle(large, &self.returned));
        }
        // giving back costs a system call and a fault for each page that is still in use: worth it for a quarter
        if idle_pages > 0 && idle_pages * 4 >= self.pages.len() {
            self.evict(machine, snapshot, ram, large)?;
        }
        Ok(())
    }

    /// Write-protects again and forgets. All content equals the snapshot at this point.
    #[cold]
    fn evict(&mut self, machine: &Machine, snapshot: &Snapshot, ram: &Mapping, large: bool) -> Result<()> {
        self.stats.evictions += 1;
        let ring = machine.has_ring();
        if ring {
            // the ring gives back in order only: every page, and those still in use come back with their next write
            machine.reprotect_ring()?;
        } else {
            self.log.fill(0);
            for hot in self.pages.iter().filter(|hot| hot.is_idle(large, &self.returned)) {
                self.log[hot.page as usize / 64] |= 1 << (hot.page % 64);
            }
            machine.reprotect_log(&mut self.log, (ram.len() / PAGE) as u32)?;
        }
        let (member, returned) = (&mut self.member, &mut self.returned);
        self.pages.retain_mut(|hot| {
            let was_idle = hot.is_idle(large, returned);
            if !ring && !was_idle {
                return true;
            }
            // a write between the last copy and the protection would go unseen: whatever differs stays hot
            // SAFETY: only pages of guest RAM get into the set.
            hot.lines =
                unsafe { snapshot.copy_differences(hot.page, ram.as_ptr().add(hot.page as usize * PAGE)) };
            if hot.lines != 0 {
                hot.idle = 0;
                return true;
            }
            if was_idle && !large {
                let count = &mut returned[hot.page as usize];
                *count = (*count + 1).min(MAX_DOUBLINGS);
            }
            member[hot.page as usize / 64] &= !(1 << (hot.page % 64));
            false
        });
        Ok(())
    }

    /// The ring is full: everything known is hot already, so its entries can be given back.
    pub fn make_room(&mut self, machine: &Machine) -> Result<()> {
        self.harvest(machine)?;
        machine.reprotect_ring()
    }

    #[cold]
    fn restore_badly(&self, snapshot: &Snapshot, ram: &Mapping, faults: Faults) {
        for (at, hot) in self.pages.iter().enumerate() {
            let new_page = !snapshot.has_data(hot.page);
            if faults.do_nothing || faults.skip_one_page && at == 0 || faults.forget_new_pages && new_page {
                continue;
            }
            // SAFETY: as in `restore`.
            unsafe { snapshot.copy_page(hot.page, ram.as_ptr().add(hot.page as usize * PAGE)) };
        }
        let spoil = |wanted: bool, address: u64, by: u8| {
            if let Some(byte) = ram.range(address, 1).filter(|_| wanted) {
                // SAFETY: inside guest RAM, at a byte that no code reads.
                unsafe { *byte ^= by };
            }
        };
        let padding = snapshot.layout().text.last().map_or(map::BOOT, |text| text.end) - 1;
        spoil(faults.spoil_text, padding, change());
        spoil(faults.spoil_tables, map::TABLE_POOL + 1, 2); // bit 9 of an entry, which is the software's own
        if faults.spoil_snapshot {
            // below the stack pointer of a Wasm runtime that waits; each reset copies this page
            snapshot.spoil(map::RUNTIME_DATA, change());
        }
    }
}

/// Asks for what a comparison of a page will wait for, before it is needed: lines that the guest has touched come from
/// the other CPU's cache, and waiting for them one after the other is what a reset would spend its time on. Those are
/// the lines that differed last time; where none did, they may be any (a call often writes what was there already).
#[inline]
fn fetch_lines(page: *mut u8, written: u64) {
    // SAFETY: a prefetch has no effect that a program can see, wherever it points.
    unsafe {
        if written == 0 {
            for line in 0..PAGE / 64 {
                let at = page.wrapping_add(64 * line);
                core::arch::asm!("prefetcht0 [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
            }
        } else if written.count_ones() < HEAVY_LINES {
            let mut left = written;
            while left != 0 {
                let at = page.wrapping_add(64 * left.trailing_zeros() as usize);
                core::arch::asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
                left &= left - 1;
            }
        } // else it is copied whole, in order, which the CPU foresees itself
    }
}
