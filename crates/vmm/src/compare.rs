//! Comparing a sandbox with its snapshot: how many pages of guest RAM differ, and which bytes.

use crate::error::Result;
use crate::mapping::Mapping;
use crate::reset::HotSet;
use crate::snapshot::{PAGE, Snapshot};
use std::ops::Range;

/// Differing bytes with fewer equal ones between them than this are one range: what a person would call one place.
const GAP: u64 = 8;

/// Ranges of bytes that differ, of which the first ones are kept.
pub(crate) struct Ranges {
    pub found: Vec<Range<u64>>,
    /// All that were found, kept or not.
    pub total: u64,
    limit: usize,
    /// The one that may still grow.
    last: Range<u64>,
}

impl Ranges {
    pub(crate) fn new(limit: usize) -> Self {
        Self { found: Vec::new(), total: 0, limit, last: 0..0 }
    }

    /// Compares two pieces of memory of one length, which begin at `address`; addresses come in order.
    pub(crate) fn compare(&mut self, address: u64, want: &[u8], have: &[u8]) {
        for (line, (want, have)) in want.chunks(64).zip(have.chunks(64)).enumerate() {
            if want == have {
                continue;
            }
            for (at, _) in want.iter().zip(have).enumerate().filter(|(_, (want, have))| want != have) {
                self.add(address + 64 * line as u64 + at as u64);
            }
        }
    }

    fn add(&mut self, address: u64) {
        if !self.last.is_empty() && address - self.last.end < GAP {
            self.last.end = address + 1;
        } else {
            self.close();
            self.last = address..address + 1;
        }
    }

    fn close(&mut self) {
        if self.last.is_empty() {
            return;
        }
        self.total += 1;
        let last = std::mem::take(&mut self.last);
        if self.found.len() < self.limit {
            self.found.push(last);
        }
    }

    pub(crate) fn finish(mut self) -> Self {
        self.close();
        self
    }
}

/// Calls `page` for each page of `ram` that differs from the snapshot, in order. Looks at every page that this mapping
/// can have of its own, hot or not.
fn each(
    snapshot: &Snapshot,
    ram: &Mapping,
    hot: &HotSet,
    mut page: impl FnMut(u32, *const u8),
) -> Result<()> {
    for (at, own) in ram.own_pages()?.iter().enumerate() {
        let number = at as u32;
        if *own == 0 && !hot.contains(number) {
            continue;
        }
        let have = ram.as_ptr().wrapping_add(at * PAGE).cast_const();
        // SAFETY: `own_pages` has one entry a page of RAM.
        if !unsafe { snapshot.same(number, have) } {
            page(number, have);
        }
    }
    Ok(())
}

/// Pages of `ram` that differ from the snapshot: their number and the first of them.
pub(crate) fn pages(snapshot: &Snapshot, ram: &Mapping, hot: &HotSet) -> Result<(u64, Option<u32>)> {
    let (mut count, mut first) = (0, None);
    each(snapshot, ram, hot, |page, _| {
        count += 1;
        first = first.or(Some(page));
    })?;
    Ok((count, first))
}

/// Bytes of `ram` that differ from the snapshot, inside those `wanted`.
pub(crate) fn bytes(
    snapshot: &Snapshot,
    ram: &Mapping,
    hot: &HotSet,
    wanted: impl Fn(u64) -> bool,
    ranges: &mut Ranges,
) -> Result<()> {
    each(snapshot, ram, hot, |page, have| {
        let address = u64::from(page) * PAGE as u64;
        if wanted(address) {
            // SAFETY: a page of guest RAM, and the guest is at rest or waits.
            let have = unsafe { std::slice::from_raw_parts(have, PAGE) };
            ranges.compare(address, snapshot.page(page).unwrap_or(&ZEROS), have);
        }
    })
}

/// A page that the snapshot has no data for.
pub(crate) static ZEROS: [u8; PAGE] = [0; PAGE];

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    fn differing(at: &[usize], limit: usize) -> (Vec<Range<u64>>, u64) {
        let mut have = vec![0u8; 2 * PAGE];
        at.iter().for_each(|at| have[*at] = 1);
        let mut ranges = Ranges::new(limit);
        for (page, have) in have.chunks(PAGE).enumerate() {
            ranges.compare(0x5000 + (page * PAGE) as u64, &ZEROS, have);
        }
        let ranges = ranges.finish();
        (ranges.found, ranges.total)
    }

    #[test]
    fn bytes_that_lie_near_each_other_are_one_range_also_across_lines_and_pages() {
        assert_eq!(differing(&[], 9), (vec![], 0));
        assert_eq!(differing(&[0, 7], 9), (vec![0x5000..0x5008], 1));
        assert_eq!(differing(&[0, 9], 9), (vec![0x5000..0x5001, 0x5009..0x500a], 2));
        assert_eq!(differing(&[63, 64], 9), (vec![0x503f..0x5041], 1));
        assert_eq!(differing(&[4095, 4096], 9), (vec![0x5fff..0x6001], 1));
        assert_eq!(differing(&[8191], 9), (vec![0x6fff..0x7000], 1));
    }

    #[test]
    fn ranges_beyond_the_limit_are_counted_and_not_kept() {
        assert_eq!(differing(&[1, 101, 201], 2), (vec![0x5001..0x5002, 0x5065..0x5066], 3));
    }
}
