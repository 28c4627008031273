//! What the two sides of the wall share: the memory map, the mailbox and the numbers in it.
//!
//! Used by the host (`hlfuzz-vmm`) and by the code inside the VM (`crates/guest`), so that no offset or
//! code is written twice. Nothing here has behaviour; the sizes and offsets are checked at compile time.
#![no_std]

mod boot;
mod mailbox;
pub mod map;

pub use boot::{Boot, WINDOWS, Windows, boot_flag};
pub use mailbox::{
    Control, FromGuest, MAX_FRAMES, MAX_VALUES, Mailbox, NO_ALLOCATOR, POSTED_BYTES, POSTED_MODES,
    PostedHeader, TEXT_BYTES, Text, ToGuest, VECTOR_ALLOC_ARGS, VECTOR_BYTES, VECTOR_PARAMS, Value,
    VectorArea, VectorHead,
};

/// What the host asks of the guest: `ToGuest::word`. Zero means "nothing yet".
pub mod op {
    /// Call the export at position `index` with `n` arguments in `values`.
    pub const CALL: u32 = 1;
    /// The host function has returned; `n` results are in `values`.
    pub const RESUME: u32 = 2;
    /// The host function failed: unwind the guest to the call.
    pub const FAIL: u32 = 3;
    /// Report base and length of the exported memory at position `index`.
    pub const MEMORY: u32 = 4;
    /// Read the exported global at position `index` into `values[0]`.
    pub const GLOBAL_GET: u32 = 5;
    /// Write `values[0]` to the exported global at position `index`.
    pub const GLOBAL_SET: u32 = 6;
    /// Answer at once: the cost of the exchange alone.
    pub const NOP: u32 = 7;
    /// As `CALL`, with a byte vector: see [`super::VectorArea`].
    pub const BYTES: u32 = 8;
}

/// What the guest answers: `FromGuest::word`. Zero means "nothing yet".
pub mod answer {
    /// The request is done; `n` results are in `values`.
    pub const DONE: u32 = 1;
    /// The guest called import `aux` with `n` arguments in `values` and waits for `RESUME` or `FAIL`.
    pub const HOSTCALL: u32 = 2;
    /// The call ended in a Wasm trap, code `aux` (see [`super::trap`]); text in `Mailbox::text`.
    pub const TRAP: u32 = 3;
    /// The call ended because a host function failed (`op::FAIL`).
    pub const HOST_FAILED: u32 = 4;
    /// The request cannot be served (wrong index or kind); text in `Mailbox::text`.
    pub const REFUSED: u32 = 5;
    /// The runtime cannot go on (panic, out of heap); text in `Mailbox::text`.
    pub const FATAL: u32 = 6;
    /// Instantiation failed for a reason that is not a trap; text in `Mailbox::text`.
    pub const LINK_FAILED: u32 = 7;
    /// `op::BYTES`: the allocator gave an address, `values[0]`, where the bytes are not inside memory.
    pub const NO_ROOM: u32 = 8;
}

/// What the value stored to the doorbell page means.
pub mod bell {
    /// An answer was published and the transport is `exit`.
    pub const ANSWER: u32 = 1;
    /// Nothing was asked for longer than `Control::idle_ticks`.
    pub const IDLE: u32 = 2;
    /// The runtime cannot go on; `FromGuest::word` is `answer::FATAL`.
    pub const FATAL: u32 = 3;
}

/// Trap codes beside those of `wasmtime::Trap` (which are its discriminants, below 1000).
pub mod trap {
    /// An exception was thrown and not caught.
    pub const EXCEPTION: u32 = 1000;
    /// An error that is neither a trap nor an exception.
    pub const OTHER: u32 = 1001;
    /// With `boot_flag::GROW_TRAPS`: `memory.grow` beyond the limit.
    pub const MEMORY_LIMIT: u32 = 1002;
    /// With `boot_flag::GROW_TRAPS`: `table.grow` beyond the limit.
    pub const TABLE_LIMIT: u32 = 1003;
}

/// `Control::transport`: the guest rings the doorbell after each answer, or spins.
pub mod transport {
    pub const SPIN: u32 = 0;
    pub const EXIT: u32 = 1;
}
