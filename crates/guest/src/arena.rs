//! Where linear memories live: fixed windows of one mapped region, so that `memory.grow` moves nothing,
//! allocates nothing and writes nothing but a length.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use hlfuzz_abi::Windows;
use wasmtime::{Error, LinearMemory, MemoryCreator, MemoryType, Result};

const WASM_PAGE: usize = 64 * 1024;

pub struct Arena {
    next: AtomicUsize,
    end: usize,
    limit: usize,
    table: Table,
}

/// The table of windows for whoever looks from outside.
#[derive(Clone, Copy)]
struct Table(*mut Windows);

// SAFETY: the VM has one vCPU and no interrupts.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// Enters a memory; its position, if there is room.
    fn add(self, start: usize, size: usize) -> Option<usize> {
        // SAFETY: `Arena::new` was given room for a table.
        let table = unsafe { &mut *self.0 };
        let index = table.count as usize;
        *table.memories.get_mut(index)? = [start as u64, size as u64];
        table.count += 1;
        Some(index)
    }

    fn grown(self, index: usize, size: usize) {
        // SAFETY: as in `add`, which gave the index.
        unsafe { (*self.0).memories[index][1] = size as u64 };
    }
}

impl Arena {
    /// `limit`: bytes that one memory may have at most. `table`: zeroed room for a table of windows, which is this arena's
    /// from now on.
    pub fn new(start: usize, len: usize, limit: usize, table: *mut Windows) -> Self {
        Self { next: AtomicUsize::new(start), end: start + len, limit, table: Table(table) }
    }
}

// SAFETY: windows are disjoint, zeroed by the host, and stay mapped for as long as the VM exists.
unsafe impl MemoryCreator for Arena {
    fn new_memory(
        &self,
        _: MemoryType,
        minimum: usize,
        maximum: Option<usize>,
        reserved: Option<usize>,
        _: usize,
    ) -> Result<Box<dyn LinearMemory>, String> {
        let start = self.next.load(Relaxed);
        let room = self.end - start;
        // only the heap of collected values has a reservation (see tunables.rs); the host has left room for it
        let wanted = match reserved {
            Some(bytes) if bytes > 0 => bytes,
            _ => maximum.unwrap_or(usize::MAX).min(self.limit),
        };
        let capacity = wanted.max(minimum).next_multiple_of(WASM_PAGE).min(room);
        if minimum > capacity {
            return Err("the linear-memory arena is full".to_string());
        }
        self.next.store(start + capacity, Relaxed);
        // the heap of collected values is no memory of the module
        let entry =
            if reserved.is_some_and(|bytes| bytes > 0) { None } else { self.table.add(start, minimum) };
        Ok(Box::new(Window { start, size: minimum, capacity, table: self.table, entry }))
    }
}

struct Window {
    start: usize,
    size: usize,
    capacity: usize,
    table: Table,
    /// Its position in the table.
    entry: Option<usize>,
}

// SAFETY: `start` is valid for `capacity` bytes and never moves.
unsafe impl LinearMemory for Window {
    fn byte_size(&self) -> usize {
        self.size
    }
    fn byte_capacity(&self) -> usize {
        self.capacity
    }
    fn grow_to(&mut self, new_size: usize) -> Result<()> {
        if new_size > self.capacity {
            return Err(Error::msg("linear memory limit reached"));
        }
        self.size = new_size;
        if let Some(entry) = self.entry {
            self.table.grown(entry, new_size);
        }
        Ok(())
    }
    fn as_ptr(&self) -> *mut u8 {
        self.start as *mut u8
    }
}
