//! What differs from the snapshot, byte for byte, and where in the guest that is.

use super::{Level, Sandbox};
use crate::compare::{self, Ranges, ZEROS};
use crate::error::{Error, Kind, Result};
use crate::layout::{Guest, Layout};
use crate::snapshot::{PAGE, Snapshot};
use crate::wipe;
use hlfuzz_abi::{WINDOWS, Windows, map};
use std::ops::Range;

/// Bytes of a difference that are shown.
pub const SHOWN: usize = 32;

/// A range of bytes that differ from the snapshot; among them may be a few that do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub range: Range<u64>,
    /// The first bytes, in the snapshot and now.
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    /// Which part of the memory map it begins in.
    pub part: &'static str,
    /// In a linear memory of the module: its position among those that the module defines, and the offset.
    pub memory: Option<(u32, u64)>,
}

impl Sandbox {
    /// Bytes that differ from the snapshot: at most `limit` ranges, and how many there are. Of a sandbox whose resets
    /// wipe the mailbox, what is there counts too. `read_only`: only what the guest may not write.
    pub fn differing_bytes(&self, read_only: bool, limit: usize) -> Result<(Vec<Difference>, u64)> {
        let snapshot = self.to_compare()?;
        let mut ranges = Ranges::new(limit);
        // an exception writes the ring-0 stack, though the guest may not
        let wanted = |page: u64| !read_only || !self.layout.may_write(page, 1) && page != map::RING0_STACK;
        compare::bytes(snapshot, &self.ram, &self.hot, wanted, &mut ranges)?;
        if !read_only && self.options.level == Level::Strict {
            for page in wipe::wiped() {
                let address = map::MAILBOX + (page * PAGE) as u64;
                ranges.compare(address, &ZEROS, self.mailbox_page(page));
            }
        }
        let ranges = ranges.finish();
        let windows = windows(&self.layout, snapshot.page((self.layout.heap.start / PAGE as u64) as u32));
        let described = ranges.found.iter().map(|range| self.difference(snapshot, &windows, range));
        Ok((described.collect(), ranges.total))
    }

    /// Calls `page` with the number and content of each page of the snapshot that has data.
    pub fn each_snapshot_page(&self, mut page: impl FnMut(u32, &[u8])) {
        let Some(snapshot) = &self.snapshot else { return };
        for number in 0..snapshot.pages() as u32 {
            if let Some(content) = snapshot.page(number) {
                page(number, content);
            }
        }
    }

    pub(super) fn to_compare(&self) -> Result<&Snapshot> {
        let missing = || Error::new(Kind::Internal, "a VM that boots has no snapshot");
        self.snapshot.as_deref().ok_or_else(missing)
    }

    fn mailbox_page(&self, page: usize) -> &[u8] {
        // SAFETY: only pages of the mailbox are asked for; the guest is at rest, or waits and writes nothing.
        unsafe { std::slice::from_raw_parts(self.mailbox.as_ptr().add(page * PAGE), PAGE) }
    }

    fn difference(&self, snapshot: &Snapshot, windows: &[Range<u64>], range: &Range<u64>) -> Difference {
        let shown = range.start..range.end.min(range.start + SHOWN as u64);
        let (mut before, mut after) = (Vec::with_capacity(SHOWN), Vec::with_capacity(SHOWN));
        for address in shown {
            let (page, at) = (address / PAGE as u64, (address % PAGE as u64) as usize);
            let (want, have) = match self.ram_slice(page * PAGE as u64, (page + 1) * PAGE as u64) {
                Some(have) => (snapshot.page(page as u32).unwrap_or(&ZEROS), have),
                None => (&ZEROS[..], self.mailbox_page((page - map::MAILBOX / PAGE as u64) as usize)),
            };
            before.push(want[at]);
            after.push(have[at]);
        }
        let memory = windows
            .iter()
            .enumerate()
            .filter(|(_, window)| window.start <= range.start && self.layout.arena.contains(&range.start))
            .max_by_key(|(_, window)| window.start)
            .map(|(index, window)| (index as u32, range.start - window.start));
        Difference { range: range.clone(), before, after, part: self.layout.name(range.start), memory }
    }
}

/// The linear memories that a module defines, in order: address and length of each in guest RAM. `table`: the first page
/// of the runtime's heap. A runtime that says anything impossible has none.
pub(super) fn windows(layout: &Layout, table: Option<&[u8]>) -> Vec<Range<u64>> {
    if layout.guest != Guest::Wasm {
        return Vec::new();
    }
    let Some(bytes) = table.and_then(|page| page.get(..size_of::<Windows>())) else { return Vec::new() };
    let word = |at: usize| u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().expect("eight bytes"));
    let mut found = Vec::new();
    for index in 0..word(0).min(WINDOWS as u64) as usize {
        let (start, len) = (word(1 + 2 * index), word(2 + 2 * index));
        match start.checked_add(len) {
            Some(end) if start >= layout.arena.start && end <= layout.arena.end => found.push(start..end),
            _ => return Vec::new(),
        }
    }
    found
}
