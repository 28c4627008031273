//! Which pages a snapshot file holds: runs of pages, in order, all of them the guest's to write.

use super::{Reason, damaged, refused};
use crate::error::Result;
use crate::layout::Layout;
use crate::snapshot::PAGE;
use std::ops::Range;

/// Pages `first` to `first + pages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub first: u32,
    pub pages: u32,
}

impl Run {
    pub fn bytes(self) -> Range<usize> {
        let start = self.first as usize * PAGE;
        start..start + self.pages as usize * PAGE
    }
}

/// The numbers of whole pages that the guest may write, as ranges in order.
pub(super) fn writable_pages(layout: &Layout) -> impl Iterator<Item = Range<u32>> {
    let page = PAGE as u64;
    layout.writable.iter().map(move |range| range.start.div_ceil(page) as u32..(range.end / page) as u32)
}

/// The runs of those pages of `writable` for which `holds` is true.
pub(super) fn runs(writable: impl Iterator<Item = Range<u32>>, holds: impl Fn(u32) -> bool) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for page in writable.flatten().filter(|page| holds(*page)) {
        match runs.last_mut() {
            Some(last) if last.first + last.pages == page => last.pages += 1,
            _ => runs.push(Run { first: page, pages: 1 }),
        }
    }
    runs
}

/// Are the runs in order, apart from each other, and all in memory that the guest may write? Their number of pages.
pub(super) fn check(runs: &[Run], layout: &Layout) -> Result<u64> {
    let (mut total, mut next) = (0u64, 0u64);
    for run in runs {
        let (first, end) = (u64::from(run.first), u64::from(run.first) + u64::from(run.pages));
        if run.pages == 0 || first < next {
            return Err(damaged("its list of pages is not in order"));
        }
        if end * PAGE as u64 > layout.whole.end {
            return Err(refused(
                Reason::TooLarge,
                "the snapshot file has pages outside of this guest's memory; load it with its own guest",
            ));
        }
        if !layout.may_write(first * PAGE as u64, u64::from(run.pages) * PAGE as u64) {
            return Err(damaged("it has pages that a guest may not write"));
        }
        total += u64::from(run.pages);
        next = end;
    }
    Ok(total)
}
