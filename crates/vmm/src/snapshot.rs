//! The immutable state that a reset returns to: memory file, registers, layout. Shared by all sandboxes made from it.

use crate::error::Result;
use crate::host::Host;
use crate::layout::Layout;
use crate::machine::Registers;
use crate::mapping::{ForkMark, Mapping, data_pages, seal};
use crate::savefile::Identity;
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
    pub(crate) layout: Arc<Layout>,
    pub(crate) fork: ForkMark,
    /// What the state belongs to, for files of it.
    pub(crate) identity: Arc<Identity>,
    /// The CPU has AVX2.
    avx2: bool,
}

impl Snapshot {
    /// Seals `file` (nobody may have it mapped for writing any more).
    pub(crate) fn new(
        host: Arc<Host>,
        file: File,
        registers: Registers,
        layout: Arc<Layout>,
        identity: Arc<Identity>,
    ) -> Result<Self> {
        seal(&file)?;
        let data = data_pages(&file, layout.whole.end)?;
        let view = Mapping::read_only(&file, layout.whole.end as usize, "the snapshot")?;
        Ok(Self {
            host,
            file,
            view,
            data,
            registers,
            layout,
            fork: ForkMark::new()?,
            identity,
            avx2: std::is_x86_feature_detected!("avx2"),
        })
    }

    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(crate) fn pages(&self) -> usize {
        self.view.len() / PAGE
    }

    /// Where the content of all pages begins; holes read as zeros.
    pub(crate) fn content(&self) -> *mut u8 {
        self.view.as_ptr()
    }

    pub(crate) fn data_pages(&self) -> u64 {
        self.data.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    pub(crate) fn has_data(&self, page: u32) -> bool {
        self.data[page as usize / 64] >> (page % 64) & 1 != 0
    }

    /// The snapshot's content of a page of guest RAM; None: zeros.
    pub(crate) fn page(&self, page: u32) -> Option<&[u8]> {
        // SAFETY: the file is sealed, and the view covers all of guest RAM.
        self.has_data(page).then(|| unsafe {
            std::slice::from_raw_parts(self.view.as_ptr().add(page as usize * PAGE), PAGE)
        })
    }

    /// For tests: changes a byte, though not in the sealed file: a page of our view of it is replaced.
    #[cold]
    pub(crate) fn spoil(&self, address: u64, by: u8) {
        self.view.replace_page(address / PAGE as u64, (address % PAGE as u64) as usize, by);
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

    /// Compares line by line and writes only what differs, so that lines which the guest has only read stay in its
    /// cache. One bit for each line that differed.
    ///
    /// # Safety
    /// As `copy_page`.
    #[inline]
    pub(crate) unsafe fn copy_differences(&self, page: u32, to: *mut u8) -> u64 {
        // SAFETY: the caller's contract; the view covers all of guest RAM, and ZERO is a page.
        unsafe {
            let from = if self.has_data(page) {
                self.view.as_ptr().add(page as usize * PAGE).cast_const()
            } else {
                ZERO.0.as_ptr()
            };
            if self.avx2 { copy_lines_avx2(from, to) } else { copy_lines(from, to) }
        }
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
                have == ZERO.0
            }
        }
    }
}

pub(crate) fn is_zero(page: &[u8; PAGE]) -> bool {
    page.as_chunks::<64>().0.iter().all(|line| line.iter().fold(0, |bits, byte| bits | byte) == 0)
}

#[repr(align(64))]
struct ZeroPage([u8; PAGE]);

static ZERO: ZeroPage = ZeroPage([0; PAGE]);

/// # Safety
/// Both point to a page.
unsafe fn copy_lines(from: *const u8, to: *mut u8) -> u64 {
    let mut differed = 0;
    // SAFETY: the caller's contract; the lines are inside the page.
    unsafe {
        let (from, to) = (from.cast::<[u64; 8]>(), to.cast::<[u64; 8]>());
        for line in 0..PAGE / 64 {
            let (want, have) = (&*from.add(line), &mut *to.add(line));
            let different = (0..8).fold(0, |bits, word| bits | want[word] ^ have[word]);
            if different != 0 {
                *have = *want;
                differed |= 1 << line;
            }
        }
    }
    differed
}

/// # Safety
/// As `copy_lines`; the CPU has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn copy_lines_avx2(from: *const u8, to: *mut u8) -> u64 {
    use core::arch::x86_64::{
        __m256i, _mm256_load_si256, _mm256_or_si256, _mm256_store_si256, _mm256_testz_si256, _mm256_xor_si256,
    };
    let mut differed = 0;
    // SAFETY: the caller's contract; pages are aligned, the lines are inside them.
    unsafe {
        let (from, to) = (from.cast::<__m256i>(), to.cast::<__m256i>());
        for half in (0..PAGE / 32).step_by(2) {
            let (a, b) = (_mm256_load_si256(from.add(half)), _mm256_load_si256(from.add(half + 1)));
            let (x, y) = (
                _mm256_load_si256(to.add(half).cast_const()),
                _mm256_load_si256(to.add(half + 1).cast_const()),
            );
            let different = _mm256_or_si256(_mm256_xor_si256(a, x), _mm256_xor_si256(b, y));
            if _mm256_testz_si256(different, different) == 0 {
                _mm256_store_si256(to.add(half), a);
                _mm256_store_si256(to.add(half + 1), b);
                differed |= 1 << (half / 2);
            }
        }
    }
    differed
}
