//! Where things are in guest RAM: for the registers, for checks of what a guest names, and for messages.

use hlfuzz_abi::{Mailbox, map};
use std::mem::offset_of;
use std::ops::Range;

/// What runs in the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guest {
    /// The Wasm runtime with a module.
    Wasm,
    /// A native program.
    Native,
}

#[derive(Clone, Debug)]
pub struct Layout {
    pub guest: Guest,
    pub entry: u64,
    pub stack_top: u64,
    /// Executable ranges: of the runtime and the artifact, or of the native guest.
    pub text: Vec<Range<u64>>,
    pub artifact: Range<u64>,
    pub stack: Range<u64>,
    /// The unmapped pages below the stack.
    pub stack_guard: Range<u64>,
    pub heap: Range<u64>,
    pub arena: Range<u64>,
    /// What the guest may write, in order, without two that touch.
    pub writable: Vec<Range<u64>>,
    /// What the guest may read (the writable part too), in order, without two that touch.
    pub readable: Vec<Range<u64>>,
    /// All of guest RAM.
    pub whole: Range<u64>,
}

impl Layout {
    pub fn may_read(&self, start: u64, len: u64) -> bool {
        covers(&self.readable, start, len)
    }

    pub fn may_write(&self, start: u64, len: u64) -> bool {
        covers(&self.writable, start, len)
    }

    /// Which part of the map an address lies in, for messages.
    pub fn name(&self, address: u64) -> &'static str {
        let inside = |range: &Range<u64>| range.contains(&address);
        let native = self.guest == Guest::Native;
        if address < map::PAGE {
            "the null page"
        } else if address < map::BOOT {
            "supervisor pages"
        } else if address < map::BOOT + map::PAGE {
            "the boot record"
        } else if self.text.iter().any(inside) {
            "text"
        } else if inside(&self.artifact) {
            "the artifact"
        } else if inside(&self.stack) {
            "the stack"
        } else if inside(&self.stack_guard) {
            "the stack's guard"
        } else if inside(&self.heap) {
            if native { "the heap" } else { "the runtime's heap" }
        } else if inside(&self.arena) {
            "linear memory"
        } else if self.readable.iter().any(inside) {
            if native { "data" } else { "the runtime's data" }
        } else if address >= map::MAILBOX && address < map::MAILBOX + size_of::<Mailbox>() as u64 {
            mailbox_part((address - map::MAILBOX) as usize)
        } else {
            "an unmapped page"
        }
    }
}

fn mailbox_part(offset: usize) -> &'static str {
    const STARTS: [(usize, &str); 7] = [
        (offset_of!(Mailbox, vector), "the mailbox's byte vector"),
        (offset_of!(Mailbox, posted), "the mailbox's posted calls"),
        (offset_of!(Mailbox, posted_modes), "the mailbox's settings"),
        (offset_of!(Mailbox, text), "the mailbox's text"),
        (offset_of!(Mailbox, control), "the mailbox's settings"),
        (offset_of!(Mailbox, from_guest), "the mailbox's answer"),
        (offset_of!(Mailbox, to_guest), "the mailbox's request"),
    ];
    STARTS.iter().find(|(start, _)| *start <= offset).map_or("the mailbox", |(_, name)| name)
}

/// Whether one of `ranges` holds `len` bytes from `start`. No bytes lie anywhere.
fn covers(ranges: &[Range<u64>], start: u64, len: u64) -> bool {
    len == 0
        || start
            .checked_add(len)
            .is_some_and(|end| ranges.iter().any(|range| range.start <= start && end <= range.end))
}

/// `ranges` in order, those that touch made one.
pub fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::single_range_in_vec_init)]
    fn a_range_is_covered_by_one_that_holds_all_of_it() {
        let ranges = merged(vec![0x3000..0x5000, 0x1000..0x2000, 0x2000..0x2800, 0x9000..0x9000]);
        assert_eq!(ranges, [0x1000..0x2800, 0x3000..0x5000]);
        for (start, len, covered) in [
            (0x1000, 0x1800, true),
            (0x1000, 0x1801, false),
            (0x0fff, 2, false),
            (0x2800, 1, false),
            (0x27ff, 0x802, false),
            (0x3000, 0x2000, true),
            (u64::MAX, 2, false),
            (u64::MAX, 0, true),
        ] {
            assert_eq!(covers(&ranges, start, len), covered, "{start:#x} {len:#x}");
        }
    }
}
