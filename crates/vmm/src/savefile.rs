//! Snapshots in files: one versioned, checksummed file that a hostile hand may have made, checksums and all.
//!
//! A file carries only what a guest could have brought about itself: the pages that it may write and the registers
//! that it may change at CPL3. Page tables, descriptors, ring-0 memory, code and system registers never come from a file:
//! at load the host builds them anew from its own guest, and lays the file's pages over that.
//! `identity` decides whether a file belongs to a guest, `header` is the form, `state` the registers, `save` and
//! `load` the two directions, `place` where a file is made.

mod identity;

pub use identity::{Fact, FactValue, Identity};

/// Why a snapshot file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NotASnapshot,
    /// Another version of the format, or of hlfuzz.
    Version,
    Truncated,
    Damaged,
    /// Of another guest, or of the same one under other limits or imported values.
    OtherGuest,
    /// Its code needs what this CPU lacks, or was compiled for less than this one has.
    Cpu,
    /// More than this guest can have.
    TooLarge,
    /// The operating system refused to read or write it.
    Io,
}
