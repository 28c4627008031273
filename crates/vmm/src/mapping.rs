//! Memory mappings that unmap themselves, and the memory file that holds a snapshot.

use crate::error::{Error, Result};
use crate::inject::{self, point};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

/// One `mmap`ed range, valid until it is dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// The process that made it. A forked child has not inherited it, and something else may lie there by then.
    process: u32,
}

// SAFETY: a range of memory has no thread; who may touch it when is the business of its owner.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize, prot: i32, flags: i32, fd: i32, offset: i64, what: &str) -> Result<Self> {
        #[cfg(test)]
        let (place, flags) = (fenced_place(len), flags | libc::MAP_FIXED);
        #[cfg(not(test))]
        let place = ptr::null_mut();
        let failed = |error| Error::os(&format!("mapping {len} bytes of {what}"), &error);
        inject::check(point::MEMORY).map_err(failed)?;
        // SAFETY: a new mapping at an address that the kernel chooses harms nothing.
        let start = unsafe { libc::mmap(place, len, prot, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(failed(io::Error::last_os_error()));
        }
        // SAFETY: mmap returned a mapping, and never at address 0.
        Ok(Self { start: unsafe { NonNull::new_unchecked(start.cast()) }, len, process: std::process::id() })
    }

    /// Zeroed memory that a forked child does not get.
    pub fn anonymous(len: usize, what: &str) -> Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let it = Self::new(len, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0, what)?;
        it.advise(libc::MADV_DONTFORK)?;
        Ok(it)
    }

    /// `file` for reading and writing through to it.
    pub fn shared(file: &File, len: usize, what: &str) -> Result<Self> {
        let it =
            Self::new(len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0, what)?;
        it.advise(libc::MADV_DONTFORK)?;
        Ok(it)
    }

    pub fn read_only(file: &File, len: usize, what: &str) -> Result<Self> {
        let it = Self::new(len, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0, what)?;
        it.advise(libc::MADV_DONTFORK)?;
        Ok(it)
    }

    /// A copy-on-write view of `file`; pages stay shared with it until written.
    pub fn copy_on_write(file: &File, len: usize, what: &str) -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_NORESERVE;
        let it = Self::new(len, libc::PROT_READ | libc::PROT_WRITE, flags, file.as_raw_fd(), 0, what)?;
        it.advise(libc::MADV_DONTFORK)?;
        Ok(it)
    }

    /// A part of a device (a vCPU's run page or dirty ring).
    pub fn device(fd: i32, len: usize, offset: i64, what: &str) -> Result<Self> {
        Self::new(len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, fd, offset, what)
    }

    fn advise(&self, advice: i32) -> Result<()> {
        let failed = |error| Error::os("setting what a forked child gets of the memory", &error);
        inject::check(point::MEMORY).map_err(failed)?;
        // SAFETY: advises on our own mapping.
        if unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, advice) } != 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        Ok(())
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Length in bytes, never 0.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// A pointer to `len` bytes at `offset`, if they are inside.
    pub fn range(&self, offset: u64, len: u64) -> Option<*mut u8> {
        let end = offset.checked_add(len)?;
        if end > self.len as u64 {
            return None;
        }
        // SAFETY: the range is inside the mapping.
        Some(unsafe { self.as_ptr().add(offset as usize) })
    }

    /// Makes the pages of a range at once instead of one fault each. Where the kernel cannot (before Linux 5.14), the
    /// faults do it.
    pub fn populate(&self, range: std::ops::Range<u64>) {
        if let Some(start) = self.range(range.start, range.end.saturating_sub(range.start)) {
            // SAFETY: advises on our own mapping.
            unsafe {
                libc::madvise(start.cast(), (range.end - range.start) as usize, libc::MADV_POPULATE_WRITE);
            }
        }
    }

    /// For tests: puts a page of our own in the place of page `page`, with the same content but for one byte.
    pub(crate) fn replace_page(&self, page: u64, byte: usize, by: u8) {
        let Some(at) = self.range(page * 4096, 4096) else { return };
        let mut content = [0u8; 4096];
        // SAFETY: a page of this mapping, and nobody writes it meanwhile.
        unsafe { ptr::copy_nonoverlapping(at, content.as_mut_ptr(), 4096) };
        content[byte] ^= by;
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: as above.
        unsafe {
            let placed = libc::mmap(at.cast(), 4096, prot, flags | libc::MAP_FIXED, -1, 0);
            assert_ne!(placed, libc::MAP_FAILED, "replacing a page for a test");
            ptr::copy_nonoverlapping(content.as_ptr(), at, 4096);
        }
    }

    /// For tests: maps one page, which all that call this share, in the place of page `page`. It gets the content that it
    /// has here.
    pub(crate) fn share_page(&self, page: u64) -> Result<()> {
        static SHARED: Mutex<Option<File>> = Mutex::new(None);
        let Some(at) = self.range(page * 4096, 4096) else { return Ok(()) };
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            *shared = Some(memory_file(4096)?);
        }
        let Some(file) = &*shared else { return Ok(()) };
        // SAFETY: a page of this mapping, and nobody writes it meanwhile.
        let content = unsafe { std::slice::from_raw_parts(at, 4096) };
        file.write_all_at(content, 0).map_err(|error| Error::os("sharing a page", &error))?;
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_FIXED);
        // SAFETY: a page of this mapping; a VM that runs on it is told by the kernel that it is another.
        if unsafe { libc::mmap(at.cast(), 4096, prot, flags, file.as_raw_fd(), 0) } == libc::MAP_FAILED {
            return Err(Error::last_os("sharing a page"));
        }
        Ok(())
    }

    /// One number a page, 0 where this mapping has no page of its own: nobody has looked at it or written it here, so it is
    /// the file's.
    ///
    /// The kernel's page map says it at a tenth of the price of `mincore`, which asks the file too.
    pub fn own_pages(&self) -> Result<Vec<u8>> {
        self.mapped_pages().map_or_else(|| self.resident(), Ok)
    }

    /// From Linux: Documentation/admin-guide/mm/pagemap.rst. None where there is no such file.
    fn mapped_pages(&self) -> Option<Vec<u8>> {
        const PRESENT_OR_SWAPPED: u64 = 3 << 62;
        let map = File::open("/proc/self/pagemap").ok()?;
        let count = self.len.div_ceil(4096);
        let mut pages = Vec::with_capacity(count);
        let mut entries = [0u8; 64 << 10];
        while pages.len() < count {
            let part = &mut entries[..(8 * (count - pages.len())).min(64 << 10)];
            let at = (self.start.as_ptr() as usize / 4096 + pages.len()) as u64 * 8;
            map.read_exact_at(part, at).ok()?;
            let words = part.as_chunks().0.iter();
            pages.extend(words.map(|word| u8::from(u64::from_le_bytes(*word) & PRESENT_OR_SWAPPED != 0)));
        }
        Some(pages)
    }

    /// As `own_pages`; also pages that nobody has looked at here and that a file has something for.
    pub fn resident(&self) -> Result<Vec<u8>> {
        let mut pages = vec![0u8; self.len.div_ceil(4096)];
        // SAFETY: one byte a page, as mincore wants.
        if unsafe { libc::mincore(self.start.as_ptr().cast(), self.len, pages.as_mut_ptr()) } != 0 {
            return Err(Error::last_os("asking which pages are resident"));
        }
        Ok(pages)
    }
}

/// Tests: an address with a page before and after `len` bytes that nobody can touch, so that one byte outside is a crash.
#[cfg(test)]
fn fenced_place(len: usize) -> *mut libc::c_void {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address that the kernel chooses, and an address inside of it.
    unsafe {
        let start =
            libc::mmap(ptr::null_mut(), len.next_multiple_of(4096) + 8192, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(start, libc::MAP_FAILED);
        start.byte_add(4096)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        // SAFETY: our mapping, and nobody has a pointer into it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// One page that reads 1 in the process that made it and 0 in its forked children: the kernel wipes it on fork.
#[derive(Debug)]
pub struct ForkMark(Mapping);

impl ForkMark {
    pub fn new() -> Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let page = Mapping::new(4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0, "the fork mark")?;
        page.advise(libc::MADV_WIPEONFORK)?;
        // SAFETY: our own page.
        unsafe { page.as_ptr().write(1) };
        Ok(Self(page))
    }

    #[inline]
    pub fn in_child(&self) -> bool {
        // SAFETY: our own page.
        unsafe { self.0.as_ptr().read_volatile() == 0 }
    }
}

/// A file in memory of `len` bytes, all holes.
pub fn memory_file(len: u64) -> Result<File> {
    let name = c"hlfuzz-snapshot";
    let failed = |error| Error::os("creating the snapshot's memory file", &error);
    inject::check(point::MEMORY).map_err(failed)?;
    // SAFETY: a valid name; the result is checked.
    let fd = unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    // SAFETY: a new descriptor that nobody else owns.
    let file = unsafe { File::from_raw_fd(fd) };
    inject::check(point::MEMORY)
        .and_then(|()| file.set_len(len))
        .map_err(|e| Error::os("sizing the snapshot's memory file", &e))?;
    Ok(file)
}

/// Makes a range of `file`, whole pages, a hole again.
pub fn punch(file: &File, range: std::ops::Range<u64>) -> Result<()> {
    let (start, len) = (range.start as i64, (range.end - range.start) as i64);
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: plain fallocate on our descriptor.
    let punched = || unsafe { libc::fallocate(file.as_raw_fd(), mode, start, len) };
    crate::again::number("clearing the snapshot's memory file", punched).map(drop)
}

/// Makes `file` immutable for everybody, for good.
pub fn seal(file: &File) -> Result<()> {
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    let failed = |error| Error::os("sealing the snapshot", &error);
    inject::check(point::MEMORY).map_err(failed)?;
    let mut left = SEAL_TRIES;
    loop {
        // SAFETY: plain fcntl on our descriptor.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        left -= 1;
        if error.raw_os_error() != Some(libc::EBUSY) || left == 0 {
            return Err(failed(error));
        }
        // Somebody looks at one of its pages for a moment (reclaim, a child between fork and exec).
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

const SEAL_TRIES: u32 = 20;

/// One bit a page: does the file have data there (and not a hole)?
pub fn data_pages(file: &File, len: u64) -> Result<Vec<u64>> {
    let pages = len.div_ceil(4096) as usize;
    let mut bits = vec![0u64; pages.div_ceil(64)];
    let mut at: i64 = 0;
    loop {
        // SAFETY: plain lseek on our descriptor.
        let start = unsafe { libc::lseek(file.as_raw_fd(), at, libc::SEEK_DATA) };
        if start < 0 {
            let error = io::Error::last_os_error();
            if error.raw_os_error() == Some(libc::ENXIO) {
                return Ok(bits);
            }
            return Err(Error::os("reading the snapshot's extents", &error));
        }
        // SAFETY: as above.
        let end = unsafe { libc::lseek(file.as_raw_fd(), start, libc::SEEK_HOLE) };
        if end < 0 {
            return Err(Error::last_os("reading the snapshot's extents"));
        }
        for page in (start as usize / 4096)..(end as usize).div_ceil(4096).min(pages) {
            bits[page / 64] |= 1 << (page % 64);
        }
        at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_asking_see_a_page_that_was_written_and_none_that_nobody_touched() {
        let file = memory_file(64 << 12).unwrap();
        let map = Mapping::copy_on_write(&file, 64 << 12, "a test").unwrap();
        // SAFETY: inside of our own mapping.
        unsafe { map.as_ptr().add(5 << 12).write(1) };
        for pages in [map.mapped_pages().unwrap(), map.resident().unwrap()] {
            assert_eq!(pages.len(), 64);
            assert_ne!(pages[5], 0);
            assert_eq!(pages[40], 0, "far from it, and the kernel has no reason to map it");
        }
    }
}
