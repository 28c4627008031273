//! The immutable state that a reset returns to: memory file, registers, layout. Shared by all sandboxes made from it.

use crate::error::Result;
use crate::host::Host;
use crate::image::Layout;
use crate::machine::Registers;
use crate::mapping::{ForkMark, Mapping, data_pages, seal};
use std::fs::File;
use std::sync::Arc;

pub const PAGE: usize = 4096;

pub struct Snapshot {
    pub(crate) host: Arc<Host>,
    pub(crate) file: File,
    /// The memory file, read-only: what a reset copies from.
    view: Mapping,
    /// One bit a page: the file has data there. A reset of a hole writes zeros and does not fill the hole.
    data: Vec<u64>,
    pub(crate) registers: Registers,
    pub(crate) layout: Layout,
    pub(crate) fork: ForkMark,
}

impl Snapshot {
    /// Seals `file` (nobody may have it mapped for writing any more).
    pub(crate) fn new(host: Arc<Host>, file: File, registers: Registers, layout: Layout) -> Result<Self> {
        seal(&file)?;
        let data = data_pages(&file, layout.whole.end)?;
        let view = Mapping::read_only(&file, layout.whole.end as usize, "the snapshot")?;
        Ok(Self { host, file, view, data, registers, layout, fork: ForkMark::new()? })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn pages(&self) -> usize {
        self.view.len() / PAGE
    }

    pub(crate) fn has_data(&self, page: u32) -> bool {
        self.data[page as usize / 64] >> (page % 64) & 1 != 0
    }

    /// Writes the snapshot's content of `page` to `to`.
    ///
    /// # Safety
    /// `page` is a page of guest RAM and `to` is valid for one page.
    #[inline]
    pub(crate) unsafe fn copy_page(&self, page: u32, to: *mut u8) {
        // SAFETY: the caller's contract; the view covers all of guest RAM.
        unsafe {
            if self.has_data(page) {
                std::ptr::copy_nonoverlapping(self.view.as_ptr().add(page as usize * PAGE), to, PAGE);
            } else {
                std::ptr::write_bytes(to, 0, PAGE);
            }
        }
    }

    /// Compares 64 bytes at a time and copies only what differs. True: something did.
    ///
    /// # Safety
    /// As `copy_page`.
    #[inline]
    pub(crate) unsafe fn copy_differences(&self, page: u32, to: *mut u8) -> bool {
        const ZERO: [u64; 8] = [0; 8];
        let mut differed = false;
        // SAFETY: the caller's contract; lines are inside the page.
        unsafe {
            let from =
                self.has_data(page).then(|| self.view.as_ptr().add(page as usize * PAGE).cast::<[u64; 8]>());
            let to = to.cast::<[u64; 8]>();
            for line in 0..PAGE / 64 {
                let want = from.map_or(&ZERO, |from| &*from.add(line));
                let have = &mut *to.add(line);
                let mut bits = 0;
                for word in 0..8 {
                    bits |= want[word] ^ have[word];
                }
                if bits != 0 {
                    *have = *want;
                    differed = true;
                }
            }
        }
        differed
    }

    /// # Safety
    /// As `copy_page`, for reading.
    pub(crate) unsafe fn same(&self, page: u32, have: *const u8) -> bool {
        // SAFETY: the caller's contract.
        unsafe {
            let have = std::slice::from_raw_parts(have, PAGE);
            if self.has_data(page) {
                have == std::slice::from_raw_parts(self.view.as_ptr().add(page as usize * PAGE), PAGE)
            } else {
                have.iter().all(|byte| *byte == 0)
            }
        }
    }
}
