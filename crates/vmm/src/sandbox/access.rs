//! Guest memory and globals from outside, bounds-checked; counting pages of guest RAM that differ from the snapshot.

use super::{Phase, Sandbox, Status};
use crate::compare;
use crate::error::{Error, Kind, Result};
use crate::layout::Guest;
use crate::snapshot::PAGE;
use hlfuzz_abi::{Mailbox, Value, map, op};
use memchr::memmem;
use std::ops::Range;

impl Sandbox {
    /// Address in guest RAM and length of a memory, checked; `export` None: the default one. A native guest has one, whose
    /// addresses are its own; which parts of it may be read or written is checked for each access.
    pub fn memory_range(&mut self, export: Option<u32>) -> std::result::Result<(u64, u64), Status> {
        if let Some(status) = self.unusable() {
            return Err(status);
        }
        if self.phase == Phase::Running {
            return Err(Status::Busy);
        }
        if self.layout.guest == Guest::Native {
            let is_memory = |at: u32| matches!(self.interface.exports.get(at as usize), Some(None));
            if export.is_some_and(|at| !is_memory(at)) {
                return Err(self.invalid("no memory at this position".into()));
            }
            return Ok((0, self.layout.whole.end));
        }
        let (base, len) = match export {
            None => self.memory,
            Some(index) => {
                let status = self.ask(op::MEMORY, index, &[], 1);
                if status != Status::Done {
                    return Err(status);
                }
                (self.results[0][0], self.results[0][1])
            }
        };
        // both came from the guest: they must lie where the host has put writable memory for it
        if base < self.layout.heap.start && len != 0 || !self.layout.may_write(base, len) {
            let waits = self.phase == Phase::HostCall;
            let status =
                self.violated(format!("a linear memory at {base:#x} with {len} bytes, outside of guest RAM"));
            self.note_end(waits, status);
            return Err(status);
        }
        Ok((base, len))
    }

    /// A pointer to `len` bytes at `ptr` of a memory, for reading, valid until the guest runs again; None: out of range,
    /// or nothing that a native guest could read itself.
    pub fn view(
        &mut self,
        export: Option<u32>,
        ptr: u64,
        len: u64,
    ) -> std::result::Result<Option<*mut u8>, Status> {
        let (base, size) = self.memory_range(export)?;
        if ptr.checked_add(len).is_none_or(|end| end > size)
            || self.layout.guest == Guest::Native && !self.layout.may_read(ptr, len)
        {
            return Ok(None);
        }
        self.looks();
        Ok(self.ram.range(base + ptr, len))
    }

    /// The first range of a memory, at `from` or behind it, that the guest itself may write: all of a linear memory, or
    /// data, stack and heap of a native guest.
    pub fn writable(
        &mut self,
        export: Option<u32>,
        from: u64,
    ) -> std::result::Result<Option<Range<u64>>, Status> {
        let (_, size) = self.memory_range(export)?;
        let rest = |range: &Range<u64>| (from < range.end).then(|| range.start.max(from)..range.end);
        Ok(match self.layout.guest {
            Guest::Native => self.layout.writable.iter().find_map(rest),
            _ => rest(&(0..size)),
        })
    }

    /// Writes to a memory of the guest. False: out of range, or not writable for a native guest; nothing was written.
    pub fn write(
        &mut self,
        export: Option<u32>,
        ptr: u64,
        bytes: &[u8],
    ) -> std::result::Result<bool, Status> {
        let Some(to) = self.view(export, ptr, bytes.len() as u64)? else {
            return Ok(false);
        };
        if bytes.is_empty() {
            return Ok(true);
        }
        if self.layout.guest == Guest::Native && !self.layout.may_write(ptr, bytes.len() as u64) {
            return Ok(false);
        }
        self.touched();
        let start = to as usize - self.ram.as_ptr() as usize;
        for page in start / PAGE..=(start + bytes.len() - 1) / PAGE {
            if !self.faults.forget_host_writes {
                self.hot.insert(page as u32);
            }
        }
        // SAFETY: `view` checked the range; the guest is at rest or waits.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Ok(true)
    }

    pub fn global_get(&mut self, export: u32) -> std::result::Result<Value, Status> {
        match self.ask(op::GLOBAL_GET, export, &[], 1) {
            Status::Done => Ok(self.results[0]),
            status => Err(status),
        }
    }

    pub fn global_set(&mut self, export: u32, value: Value) -> Status {
        self.ask(op::GLOBAL_SET, export, &[value], 0)
    }

    /// How the guest makes calls of `import`: 0 asks and waits, 1 posts, 2 + k posts with the bytes that parameters
    /// k and k + 1 name.
    pub fn set_posted_mode(&mut self, import: u32, mode: u8) -> Status {
        let Some(&Some((params, results))) = self.interface.imports.get(import as usize) else {
            return self.invalid(format!("no imported function at position {import}"));
        };
        if import as usize >= hlfuzz_abi::POSTED_MODES || mode != 0 && results != 0 {
            return self.invalid(format!("import {import} cannot be posted: it returns {results} values"));
        }
        if mode >= 2 && u32::from(mode) > params {
            return self
                .invalid(format!("import {import} has {params} parameters, no pointer and length there"));
        }
        if self.posted_modes.len() <= import as usize {
            self.posted_modes.resize(import as usize + 1, 0);
        }
        self.posted_modes[import as usize] = mode;
        // SAFETY: the index was checked.
        unsafe { (&raw mut (*self.mailbox_ptr()).posted_modes[import as usize]).write_volatile(mode) };
        Status::Done
    }

    /// The bytes of guest RAM in `range`, for hashing. The guest is at rest or waits.
    pub fn ram_slice(&self, start: u64, end: u64) -> Option<&[u8]> {
        let len = end.checked_sub(start)?;
        // SAFETY: the range is inside; nobody writes while the guest waits.
        self.ram.range(start, len).map(|at| unsafe { std::slice::from_raw_parts(at, len as usize) })
    }

    /// Address at which `needle` begins in guest RAM; None: nowhere. Pages that nobody has written hold zeros only and are
    /// passed over, so a needle of zeros may be missed.
    pub fn find_in_ram(&self, needle: &[u8]) -> Result<Option<u64>> {
        for range in self.held()? {
            let at = self.ram_slice(range.start, range.end).and_then(|bytes| memmem::find(bytes, needle));
            if let Some(at) = at {
                return Ok(Some(range.start + at as u64));
            }
        }
        Ok(None)
    }

    /// Each page of guest RAM that is not all zeros, with its number: together with these numbers, all of its content.
    pub fn each_page(&self, mut look: impl FnMut(u32, &[u8])) -> Result<()> {
        for range in self.held()? {
            let Some(bytes) = self.ram_slice(range.start, range.end) else { continue };
            for (at, page) in bytes.chunks_exact(PAGE).enumerate() {
                if page.iter().any(|byte| *byte != 0) {
                    look((range.start / PAGE as u64) as u32 + at as u32, page);
                }
            }
        }
        Ok(())
    }

    /// Guest RAM without what nobody has written, which is zeros: address ranges, ascending.
    fn held(&self) -> Result<Vec<Range<u64>>> {
        self.check_at_rest()?;
        let own = self.ram.own_pages()?;
        let in_snapshot = |page: u32| self.snapshot.as_ref().is_none_or(|snapshot| snapshot.has_data(page));
        let held = |page: usize| own[page] != 0 || self.hot.contains(page as u32) || in_snapshot(page as u32);
        let mut found: Vec<Range<u64>> = Vec::new();
        for page in (0..own.len()).filter(|page| held(*page)) {
            let start = (page * PAGE) as u64;
            match found.last_mut() {
                Some(last) if last.end == start => last.end += PAGE as u64,
                _ => found.push(start..start + PAGE as u64),
            }
        }
        Ok(found)
    }

    /// As `find_in_ram`, in the mailbox; the address is the guest's.
    pub fn find_in_mailbox(&self, needle: &[u8]) -> Result<Option<u64>> {
        self.check_at_rest()?;
        let mut bytes = vec![0; size_of::<Mailbox>()];
        // SAFETY: a mailbox has this size; the guest is at rest or waits, and a copy is what is searched.
        unsafe { std::ptr::copy_nonoverlapping(self.mailbox.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
        Ok(memmem::find(&bytes, needle).map(|at| map::MAILBOX + at as u64))
    }

    fn check_at_rest(&self) -> Result<()> {
        if self.phase == Phase::Running {
            return Err(Error::new(Kind::Internal, "a call runs"));
        }
        Ok(())
    }

    /// Pages of guest RAM that differ from the snapshot, and the first of them.
    pub fn differences(&self) -> Result<(u64, Option<u32>)> {
        compare::pages(self.to_compare()?, &self.ram, &self.hot)
    }
}
