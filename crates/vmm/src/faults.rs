//! Damage on purpose, for tests of tests: a check of resets and of isolation must be seen to fail.

use crate::machine::Registers;
use crate::xsave::{self, MXCSR};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// What is wrong with a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The first page that a reset would copy is left alone.
    pub skip_one_page: bool,
    pub forget_registers: bool,
    /// Pages that the snapshot has no data for (grown memory) are left alone.
    pub forget_new_pages: bool,
    pub do_nothing: bool,
    /// A strict reset leaves the mailbox alone.
    pub forget_mailbox: bool,
    /// The host goes on saying how large the default memory was.
    pub forget_size: bool,
    /// A reset leaves alone what the host wrote to guest memory.
    pub forget_host_writes: bool,
    /// A strict reset leaves x87, SSE and AVX state alone.
    pub forget_vectors: bool,
    /// A strict reset leaves MXCSR alone.
    pub forget_mxcsr: bool,
    /// What restores a sandbox after a crash or a deadline leaves x87, SSE and AVX state alone.
    pub forget_vectors_after_crash: bool,
    /// The first page of memory, of a native guest the last of its heap, is one with every other sandbox of this process
    /// that has this fault.
    pub share_page: bool,
    /// Each reset changes a byte of code.
    pub spoil_text: bool,
    /// Each reset changes a bit in a page table.
    pub spoil_tables: bool,
    /// Each reset changes a byte of the snapshot.
    pub spoil_snapshot: bool,
    /// Data selectors that the guest loads stay in the thread that runs it, until the sandbox is closed.
    pub keep_selectors: bool,
    /// The vCPU thread of the spin transport takes an interruption that it was not told of for the end of the guest.
    pub interruption_ends: bool,
}

impl Faults {
    /// Does a strict reset set other registers than the snapshot's?
    pub(crate) fn in_registers(&self) -> bool {
        self.forget_vectors || self.forget_mxcsr
    }

    /// What a reset that forgets sets: the snapshot's registers with parts of the XSAVE area `now`.
    pub(crate) fn mix(&self, mut now: Vec<u8>, snapshot: &Registers) -> Registers {
        if !self.forget_vectors {
            let kept = now[MXCSR].to_vec();
            now.copy_from_slice(xsave::area(&snapshot.xsave));
            now[MXCSR].copy_from_slice(&kept);
        }
        snapshot.with_xsave(&now)
    }
}

/// A number that is another one each time, and never 0: what a spoiled byte is changed by.
pub(crate) fn change() -> u8 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    (COUNT.fetch_add(1, Relaxed) % 255 + 1) as u8
}
